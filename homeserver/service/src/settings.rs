//! What an admin may choose, already parsed: the homeserver reads it from its configuration before anything starts.

use qpq_core::{Millis, limits};
use qpq_delivery::rates::Rate;
use qpq_federation_proto::DirectoryPolicy;

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationPolicy {
    /// Holders of a registration token.
    Token,
    /// Everybody.
    Open,
}

/// What an admin may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may make an account.
    pub registration: RegistrationPolicy,
    /// Who sees our users unasked, at the beginning; [`Ground::set_directory`](crate::Ground::set_directory) changes it.
    pub directory: DirectoryPolicy,
    /// Undelivered application messages per device.
    pub mailbox_messages: u64,
    /// Bytes of them.
    pub mailbox_bytes: u64,
    /// How long a device may leave an entry of a group of more than two accounts unread before it is cut off.
    pub mailbox_age: Millis,
    /// Submits per user and minute.
    pub submits_per_minute: u32,
    /// How long an undelivered message lives, and the most a sender may ask for.
    pub message_ttl: Millis,
    /// How long a session's resumption token lives.
    pub resumption_lifetime: Millis,
    /// How long a session lives before it must resume.
    pub session_lifetime: Millis,
    /// Registrations and logins that one network may begin.
    pub attempts_per_network: Rate,
    /// Logins that may begin for one name.
    pub logins_per_name: Rate,
    /// One-time KeyPackages that one requester may take from one target before it gets only the last-resort one.
    pub claim_burst: u32,
    /// After the burst, one more claim in this time.
    pub claim_interval: Millis,
    /// The same for all requesters of one other domain together.
    pub claims_per_domain: Rate,
    /// Addresses that one account, or one other domain, may ask the keys or KeyPackages of.
    pub lookups: Rate,
    /// How long acknowledged outbox rows are kept.
    pub retain: Millis,
    /// How many bytes of them are kept for each peer.
    pub retain_bytes: u64,
    /// How many bytes may wait for each peer; each row counts 256 bytes more than its payload.
    pub peer_queue_bytes: u64,
    /// How long a handshake may wait for a peer before its devices are left behind.
    pub peer_queue_age: Millis,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            registration: RegistrationPolicy::Token,
            directory: DirectoryPolicy::default(),
            mailbox_messages: limits::MAILBOX_MESSAGES,
            mailbox_bytes: limits::MAILBOX_BYTES,
            mailbox_age: limits::MAILBOX_AGE,
            submits_per_minute: limits::SUBMITS_PER_MINUTE,
            message_ttl: limits::MESSAGE_TTL,
            resumption_lifetime: limits::RESUMPTION_LIFETIME,
            session_lifetime: limits::SESSION_LIFETIME,
            attempts_per_network: Rate { burst: 120, refill: Millis(500) },
            logins_per_name: Rate { burst: 10, refill: Millis::from_secs(15) },
            claim_burst: Rate::CLAIMS_PER_TARGET.burst,
            claim_interval: Rate::CLAIMS_PER_TARGET.refill,
            claims_per_domain: Rate { burst: 60, refill: Millis::from_secs(60) },
            lookups: Rate { burst: 1_000, refill: Millis(60) },
            retain: limits::RETAIN,
            retain_bytes: limits::RETAIN_BYTES,
            peer_queue_bytes: limits::PEER_QUEUE_BYTES,
            peer_queue_age: limits::PEER_QUEUE_AGE,
        }
    }
}
