//! The limits of the design in one place; what an admin may change is a default here and a field in the config.

use crate::Millis;

/// The longest application message that is accepted, in bytes of MLS ciphertext.
pub const MESSAGE_BYTES: usize = 256 * 1024;
/// The longest handshake message (commit, Welcome, GroupInfo, ratchet tree), in bytes.
pub const HANDSHAKE_BYTES: usize = 4 * 1024 * 1024;
/// The most items in one list of a call: submits, acknowledgements, claims, KeyPackages.
pub const BATCH_ITEMS: usize = 256;
/// The most bytes of payload in one pushed or relayed batch.
pub const BATCH_BYTES: usize = 1024 * 1024;
/// Undelivered application messages per device before it is cut off or senders are refused (default).
pub const MAILBOX_MESSAGES: u64 = 1_000;
/// Bytes of undelivered application messages per device before the same (default).
pub const MAILBOX_BYTES: u64 = 64 * 1024 * 1024;
/// How long a device may stay away from a group of more than two accounts before it is cut off (default): a commit that adds
/// somebody can't be processed once the KeyPackage in it has expired, and those are added with at least 35 days left.
pub const MAILBOX_AGE: Millis = Millis::from_days(30);
/// Submits per user and minute (default).
pub const SUBMITS_PER_MINUTE: u32 = 100;
/// Devices per account.
pub const DEVICES_PER_ACCOUNT: usize = 16;
/// The longest KeyPackage that is accepted, in bytes: with X-Wing one has about 4 KiB.
pub const KEY_PACKAGE_BYTES: usize = 16 * 1024;
/// One-time KeyPackages kept per device.
pub const KEY_PACKAGES_PER_DEVICE: usize = 200;
/// Below this stock a device is asked to upload more KeyPackages.
pub const KEY_PACKAGES_LOW: u64 = 10;
/// The longest lifetime of a KeyPackage that is accepted.
pub const KEY_PACKAGE_LIFETIME: Millis = Millis::from_days(84);
/// Claims and Adds need at least this much lifetime left.
pub const KEY_PACKAGE_REMAINING: Millis = Millis::from_days(35);
/// Last-resort packages are renewed at this age.
pub const LAST_RESORT_RENEWAL: Millis = Millis::from_days(49);
/// How many past epochs an application message may lag behind the hub.
pub const PAST_EPOCHS: u64 = 5;
/// How long an undelivered message lives (default), and the most a sender may ask for.
pub const MESSAGE_TTL: Millis = Millis::from_days(30);
/// Idempotency records outlive the longest TTL by this much.
pub const IDEMPOTENCY_EXTRA: Millis = Millis::from_days(7);
/// A resumption token lives this long after it was issued.
pub const RESUMPTION_LIFETIME: Millis = Millis::from_days(30);
/// A session ends after this time and must resume.
pub const SESSION_LIFETIME: Millis = Millis::from_secs(24 * 3_600);
/// A connection that has not logged in by then is closed.
pub const LOGIN_DEADLINE: Millis = Millis::from_secs(10);
/// Every answer to a login attempt takes at least this long, so that time says nothing about the name.
pub const LOGIN_FLOOR: Millis = Millis(150);
/// Calls in flight per session before `overloaded` is answered.
pub const CALLS_IN_FLIGHT: usize = 64;
/// Capabilities a session may hold exported at once.
pub const EXPORTED_CAPABILITIES: usize = 64;
/// The whole time of an interactive call across domains, passed on as a deadline.
pub const INTERACTIVE: Millis = Millis::from_secs(8);
/// How long acknowledged outbox rows are kept for a peer that restores a backup.
pub const RETAIN: Millis = Millis::from_days(8);
/// How many bytes of acknowledged outbox rows are kept per peer.
pub const RETAIN_BYTES: u64 = 1024 * 1024 * 1024;
/// How many bytes may wait for one peer (default).
pub const PEER_QUEUE_BYTES: u64 = 1024 * 1024 * 1024;
/// How long a handshake may wait for a peer before its devices are left behind (default).
pub const PEER_QUEUE_AGE: Millis = Millis::from_days(30);
/// Stream batches under one signed header, in one relay call.
pub const RELAY_STREAMS: usize = 256;
/// Streams of one peer that are followed; rows of further ones wait at the peer.
pub const PEER_STREAMS: u64 = 65_536;
/// Bytes of rows of unknown kinds that are parked for one peer; further ones wait at the peer.
pub const PARKED_BYTES: u64 = 16 * 1024 * 1024;
/// How long a request to be accepted waits for its answer, counted from when it was last asked.
pub const CONTACT_REQUEST: Millis = Millis::from_days(30);
/// How long whoever was declined leaves no other request.
pub const CONTACT_DECLINED: Millis = Millis::from_days(30);
/// What is asked again within this time changes nothing.
pub const CONTACT_ASKED: Millis = Millis::from_secs(3_600);
/// When whoever heard `requested` should ask again.
pub const CONTACT_ASK_AGAIN: Millis = Millis::from_secs(600);
/// Requests that wait for one user's answer.
pub const CONTACT_REQUESTS_PER_TARGET: u64 = 200;
/// Requests of one user of another domain that wait here.
pub const CONTACT_REQUESTS_PER_REQUESTER: u64 = 100;
/// Requests of all users of one other domain that wait here.
pub const CONTACT_REQUESTS_PER_DOMAIN: u64 = 10_000;
/// Different users that one user of another domain may ask for in `CONTACT_ASKED`.
pub const CONTACT_ASKS_PER_REQUESTER: u64 = 100;
/// The same for all users of one other domain.
pub const CONTACT_ASKS_PER_DOMAIN: u64 = 10_000;
/// Users of other domains that one account may have accepted or declined.
pub const CONTACTS_PER_ACCOUNT: u64 = 10_000;
/// Default port of the client listener (UDP).
pub const CLIENT_PORT: u16 = 7443;
/// Default port of the federation listener (UDP).
pub const FEDERATION_PORT: u16 = 7444;
/// ALPN of the client listener.
pub const CLIENT_ALPN: &[u8] = b"capnp";
/// ALPN of the federation listener.
pub const FEDERATION_ALPN: &[u8] = b"quicproquo/federation/1";
/// The protocol version that `info` and `hello` name.
pub const PROTOCOL_VERSION: u16 = 1;
