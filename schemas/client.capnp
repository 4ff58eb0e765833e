@0x9d3660d405e3b509;
# What users' programs call: Cap'n Proto RPC on the one bidirectional stream that the client opens, over QUIC
# with ALPN "capnp". The bootstrap capability is `Homeserver`. A session's capabilities *are* the
# authorisation: who holds one may use it, and the sender of anything is the session, never a field.

using import "common.capnp".Failure;
using import "common.capnp".DeviceCertificate;
using import "common.capnp".UserKeys;
using import "common.capnp".ClaimedUser;
using import "common.capnp".CommitSubmit;
using import "common.capnp".CommitAnswer;
using import "common.capnp".CommitAccepted;
using import "common.capnp".GroupTree;
using import "common.capnp".Receipt;
using import "transparency.capnp".LogView;
using import "transparency.capnp".LogPlace;
using import "transparency.capnp".LoggedVersion;

interface Homeserver {
  # All that an unauthenticated connection can do; it must log in within 10 s.

  info @0 () -> (info :DomainInfo);
  # What this homeserver is and allows.

  register @1 (localpart :Text, registrationToken :Text, request :Data)
      -> (registration :Registration, response :Data, challenge :Data, failure :Failure, place :LogPlace);
  # Begins to make an account. `request` is an OPAQUE RegistrationRequest, `response` the
  # RegistrationResponse (RFC 9807, section 5.1). The token is checked before the name. `challenge` is signed in `DeviceClaim`.
  # `place` is where the account's keys will stand in the log; absent if the domain keeps none. A name whose account was closed
  # is free again a day after somebody asked for it here: 204 with the time to wait.
  # Failures: 100, 101, 203, 204, 300.

  logIn @2 (address :Text, request :Data) -> (login :Login, response :Data, failure :Failure);
  # Begins a login. `request` is an OPAQUE KE1, `response` the KE2 (RFC 9807, section 6.1). An unknown
  # user is answered like a known one. Failures: 100, 300.

  resume @3 (token :Data, next :Data) -> (session :Session, grant :SessionGrant, failure :Failure);
  # Opens a session with a resumption token, which is thereby used up; the grant holds the next one. A client that
  # persists 32 random bytes and offers them as `next` gets these as its next token, so an answer lost with a
  # crash costs nothing: it resumes with `next`. Empty: the server draws it. Failures: 100, 201, 202.
}

struct DomainInfo {
  # What a homeserver says about itself to everybody.
  domain @0 :Text;
  version @1 :Text;
  # The program's version, for people.
  minVersion @2 :UInt16;
  # The lowest protocol version spoken.
  maxVersion @3 :UInt16;
  # The highest protocol version spoken.
  incarnation @4 :Data;
  # 16 bytes, new after each restore: cursors of another incarnation start again.
  registration @5 :RegistrationPolicy;
  draining @6 :Bool;
  # The server is stopping: reconnect in a moment.
  limits @7 :Limits;
}

enum RegistrationPolicy {
  # Who may make an account.
  token @0;
  # Holders of a registration token (the default).
  open @1;
  # Everybody.
}

struct Limits {
  # The limits in force, so that a client can obey them before it is refused.
  messageBytes @0 :UInt32;
  # The longest application message (MLS ciphertext).
  handshakeBytes @1 :UInt32;
  # The longest commit, Welcome, GroupInfo or ratchet tree.
  batchItems @2 :UInt16;
  # The most items in one list of a call.
  mailboxMessages @3 :UInt32;
  # Undelivered application messages per device.
  submitsPerMinute @4 :UInt32;
  # Submits per user and minute.
  messageTtlMs @5 :UInt64;
  # How long an undelivered message lives, and the most a sender may ask for.
}

interface Registration {
  # An account being made; gone with the connection.
  finish @0 (upload :Data, identityKey :Data, sealedIdentity :Data, device :DeviceClaim, binding :Data)
      -> (session :Session, grant :SessionGrant, failure :Failure);
  # Makes the account, its first device and the first version of its keys in the log in one transaction. `binding` is that
  # version: a signed value (transparency/tree/src/value.rs) with the reason `registration`, or `reset` where `place` is not the
  # name's first; without one the account stays out of the log until `Account.bind`. `upload` is an OPAQUE RegistrationRecord;
  # `sealedIdentity` the private identity key, encrypted under OPAQUE's export key, which the server can't
  # read and hands to the account's next device. Failures: 100, 203, 204, 205, 214, 500.
}

interface Login {
  # A login under way; gone with the connection.
  finish @0 (finalization :Data)
      -> (enrolment :Enrolment, identityKey :Data, sealedIdentity :Data, challenge :Data, failure :Failure,
          place :LogPlace);
  # `finalization` is an OPAQUE KE3. `place` is where the account's next version will stand in the log; absent if the domain keeps
  # none. Failures: 200.
}

interface Enrolment {
  # The password was right; which device is it?
  enrol @0 (device :DeviceClaim, binding :Data) -> (session :Session, grant :SessionGrant, failure :Failure);
  # Adds the device to the account, or logs a known one in again when id and key are unchanged. `binding` is the account's next
  # version, which adds the device (reason `devices`; `registration` if the account is not in the log): both are made in one
  # transaction. A device that no version names is in no directory, and its KeyPackages are served to nobody; without `binding`
  # it stays so until `Account.bind`. Failures: 100, 202, 205, 210, 211, 214.
}

struct DeviceClaim {
  # A device that presents itself.
  certificate @0 :DeviceCertificate;
  possession @1 :Data;
  # 64 bytes, Ed25519 by the device's signature key over "qpq/enrol/v1" || challenge[32] || certificate signature[64].
}

struct SessionGrant {
  # What a client keeps of a session.
  session @0 :Data;
  # The session's id.
  device @1 :Data;
  resumptionToken @2 :Data;
  # 32 bytes, single use: persist it before anything else is done with the session.
  resumptionExpiresAt @3 :UInt64;
  sessionExpiresAt @4 :UInt64;
  # The session's calls fail with 201 afterwards: resume.
  incarnation @5 :Data;
}

interface Session {
  # A device of an account, logged in. Each capability ends with the session.
  account @0 () -> (account :Account);
  devices @1 () -> (devices :Devices);
  keyPackages @2 () -> (keyPackages :KeyPackages);
  directory @3 () -> (directory :Directory);
  mailbox @4 () -> (mailbox :Mailbox);
  groups @5 () -> (groups :Groups);
  contacts @6 () -> (contacts :Contacts);
}

interface Account {
  # The account itself.
  show @0 () -> (address :Text, account :Data, keys :UserKeys, createdAt :UInt64, failure :Failure);

  history @1 (after :UInt64) -> (place :LogPlace, versions :List(LoggedVersion), more :Bool, failure :Failure);
  # What the log has of this account: where the next version will stand, and the versions from number `after` on, ascending.
  # Compare them with what this account signed. Failures: 102 (the domain keeps no log).

  bind @2 (binding :Data) -> (place :LogPlace, failure :Failure);
  # Logs the next version of the account's keys: a signed value with the reason `registration` (an account from before the log),
  # `devices` (what is active here may be added, anything may be taken away), `reset_cancelled` or `revocation`. Answered when
  # its entry is in a durable checkpoint. Failures: 100, 102, 205, 214, 300.

  rekey @3 (binding :Data, sealedIdentity :Data, certificates :List(DeviceCertificate))
      -> (place :LogPlace, failure :Failure);
  # Gives the account another identity key: a signed value with the reason `rotation`, or `reset` a day after `announceReset`.
  # `certificates` are those of all devices that the value names, by the new key. Failures: 100, 102, 205, 214, 300.

  announceReset @4 () -> (place :LogPlace, earliest :UInt64, failure :Failure);
  # For who can't sign with the identity key any more: announces in the log that another one will come, at `earliest`. Until then
  # whoever has the present key can say no (`bind` with `reset_cancelled`). Failures: 102, 214, 300.
}

interface Devices {
  # The account's devices.
  list @0 () -> (devices :List(DeviceInfo), failure :Failure);
  revoke @1 (device :Data) -> (failure :Failure);
  # Ends the device's sessions, deletes its KeyPackages and takes it out of the directory. Failures: 102.
}

struct DeviceInfo {
  certificate @0 :DeviceCertificate;
  enrolledAt @1 :UInt64;
  lastSeenAt @2 :UInt64;
  revokedAt @3 :UInt64;
  # 0: active.
  current @4 :Bool;
  # Whether it is the device that asks.
  keyPackages @5 :UInt32;
  # Its stock of one-time KeyPackages.
}

interface KeyPackages {
  # One's own stock, and claims on the stock of others (RFC 9750, section 5.1).

  upload @0 (packages :List(KeyPackageUpload)) -> (stock :KeyPackageStock, failure :Failure);
  # Adds to this device's stock. A lifetime over 84 days, a foreign credential or an unknown suite is
  # refused; an exact repeat counts once. Failures: 100, 101.

  stock @1 () -> (stock :KeyPackageStock, failure :Failure);

  claim @2 (group :Data, nonce :Data, targets :List(Text), views :List(LogView))
      -> (users :List(ClaimedUser), failure :Failure);
  # Takes one KeyPackage of every device of each target, of any domain, for adding them to `group`.
  # Repeating the call with the same nonce (16 bytes) takes nothing more. Order as asked. A target's own
  # failure is in its `keys.failure`: 102, 209, 300, 303, 305, 306. `views` as in `Directory.resolve`.
}

struct KeyPackageUpload {
  keyPackage @0 :Data;
  # A serialised MLSMessage of wire format mls_key_package.
  lastResort @1 :Bool;
  # Replaces the device's last-resort package.
}

struct KeyPackageStock {
  oneTime @0 :UInt32;
  # Unclaimed packages with more than 35 days left.
  lastResortUntil @1 :UInt64;
  # When the last-resort package must be renewed; 0: there is none.
}

interface Directory {
  # Who is who.
  resolve @0 (addresses :List(Text), group :Data, views :List(LogView))
      -> (users :List(UserKeys), failure :Failure);
  # The keys of users of any domain, in the order asked. Asking for somebody whose domain wants their consent first
  # leaves a request (306). `group` names a group that the device shares with them: its members see each other without
  # having accepted each other; empty: none. For each address that `views` names, the answer has the proof of its domain's log.
}

interface Contacts {
  # Whom of other domains the account accepts. Members of one domain see each other without.

  requests @0 () -> (requests :List(ContactRequest), failure :Failure);
  # Who has asked and waits for an answer, the oldest first. They don't learn whether the request was seen.

  accept @1 (addresses :List(Text)) -> (asked :List(Text), failure :Failure);
  # Lets users of other domains see the account's keys, claim its KeyPackages and add it to groups. Call it before
  # writing to somebody first, too: who writes first accepts. `asked` are those who had asked; their domains are told.
  # Repeating it is harmless. Failures: 100, 101.

  decline @2 (address :Text) -> (failure :Failure);
  # Takes a request, or an earlier acceptance, back. Nobody is told, and for 30 days the same user leaves no other request.
  # Groups that exist go on. Failures: 102.
}

struct ContactRequest {
  # Somebody who asks to be accepted.
  from @0 :Text;
  since @1 :UInt64;
}

struct FeedPosition {
  # A position in one of the device's feeds.
  feed :union {
    mailbox @0 :Void;
    # The device's own notices.
    group @1 :Data;
    # The log of this group.
  }
  incarnation @2 :Data;
  # The incarnation that numbered it.
  seq @3 :UInt64;
}

interface Mailbox {
  # What waits for this device: notices of its own, and the logs of its groups.

  subscribe @0 (inbox :Inbox) -> (failure :Failure);
  # Pushes everything after the acknowledged positions, now and as it comes. A second subscription of the
  # device replaces the first.

  fetch @1 (after :List(FeedPosition), maxItems :UInt16)
      -> (deliveries :List(Delivery), more :Bool, failure :Failure);
  # The same, pulled. A feed that is not named in `after` starts at its acknowledged position.

  acknowledge @2 (positions :List(FeedPosition)) -> (failure :Failure);
  # "Stored durably up to here": what is acknowledged is never delivered again. Moving back has no effect.
}

interface Inbox {
  # Implemented by the client.

  deliver @0 (deliveries :List(Delivery)) -> stream;
  # Several deliveries, in order within each feed. Return when they may be forgotten by the transport; how many
  # calls may be under way is bounded by the server. Acknowledge with `Mailbox.acknowledge`.

  draining @1 (reason :Text) -> ();
  # The server is stopping; reconnect after a moment, with jitter.
}

struct Delivery {
  position @0 :FeedPosition;
  storedAt @1 :UInt64;
  # When this domain stored it.
  union {
    application @2 :ApplicationDelivery;
    commit @3 :CommitDelivery;
    welcome @4 :WelcomeDelivery;
    refused @5 :RefusedDelivery;
    keyPackagesLow @6 :KeyPackageStock;
    # The device should upload KeyPackages.
    needsResync @7 :ResyncDelivery;
    removed @8 :RemovedDelivery;
    expired @9 :ExpiredDelivery;
    contact @10 :ContactDelivery;
    receipt @11 :Receipt;
    # A domain has stored messages of this device. Doesn't count as a message.
  }
}

struct ApplicationDelivery {
  # An application message of the position's group.
  id @0 :Data;
  # The id that its sender submitted it with. A device meets its own messages here too.
  epoch @1 :UInt64;
  message @2 :Data;
  # A serialised MLSMessage of wire format mls_private_message.
}

struct CommitDelivery {
  # A commit that the hub granted.
  id @0 :Data;
  epoch @1 :UInt64;
  # The epoch that it starts from.
  commit @2 :Data;
  # A serialised MLSMessage of wire format mls_public_message.
  sender @3 :Text;
  # The submitting device's address.
  signature @4 :Data;
  # See CommitSubmit.signature; check it against the sender's leaf.
}

struct WelcomeDelivery {
  # An invitation into a group.
  group @0 :Data;
  epoch @1 :UInt64;
  # The epoch that the joiner starts in; ask `Groups.tree` for it.
  welcome @2 :Data;
  # A serialised MLSMessage of wire format mls_welcome.
  sender @3 :Text;
  # The device that added this one.
  startSeq @4 :UInt64;
  # The joiner's position in the group's log: what follows is readable.
}

struct RefusedDelivery {
  # A message of this device that the hub, or a mailbox behind it, refused; it is in no log.
  group @0 :Data;
  id @1 :Data;
  failure @2 :Failure;
  # 301 (try later), 402 (encrypt again, same id), 401 or 403.
}

struct ResyncDelivery {
  # This device fell too far behind in a group and was cut off.
  group @0 :Data;
  reason @1 :Text;
}

struct RemovedDelivery {
  # This device was removed from a group.
  group @0 :Data;
}

struct ExpiredDelivery {
  # A message that outlived its time before it was delivered; it keeps its place in the log.
  id @0 :Data;
}

struct ContactDelivery {
  # Something about a user of another domain.
  address @0 :Text;
  event @1 :ContactEvent;
}

enum ContactEvent {
  requested @0;
  # They ask to be accepted: see Contacts.requests.
  accepted @1;
  # They have accepted: send what was kept for them.
}

interface Groups {
  # Conversations, ordered by the hub that each group id names.

  create @0 (group :Data, groupInfo :Data, ratchetTree :Data) -> (position :FeedPosition, failure :Failure);
  # Makes this domain the hub of a new group at epoch 0 whose only member is this device. Idempotent.
  # Failures: 100, 101, 401, 405.

  commit @1 (submit :CommitSubmit) -> (answer :CommitAnswer);
  # Offers a commit to the hub and waits for its answer, up to 8 s. Failures: 100, 101, 103, 303, 306, 401, 403, 404.

  submit @2 (messages :List(ApplicationSubmit))
      -> (answers :List(SubmitAnswer), failure :Failure, receipts :List(Receipt));
  # Hands application messages over; each answer means that its message is durable here. `receipts` prove that
  # for the messages that were taken, each for those of one group and one time.

  tree @3 (group :Data, epoch :UInt64) -> (tree :GroupTree, failure :Failure);
  # The ratchet tree of an epoch with Welcomes that are not joined yet. Failures: 102, 303, 403.

  log @4 (group :Data, after :UInt64, maxItems :UInt16) -> (deliveries :List(Delivery), more :Bool, failure :Failure);
  # Pages the group's log from a position: the missing commits after a wrongEpoch. Failures: 102, 403, 404.
}

struct ApplicationSubmit {
  # One message for a group.
  id @0 :Data;
  # The idempotency key.
  group @1 :Data;
  message @2 :Data;
  # A serialised MLSMessage of wire format mls_private_message.
  ttlMs @3 :UInt64;
  # How long it may wait for its readers; 0: the domain's default.
}

struct SubmitAnswer {
  # What became of one message.
  union {
    failure @0 :Failure;
    # Nothing was kept. Failures: 100, 101, 103, 300, 301, 402, 403, 404, 500.
    atHub @1 :CommitAccepted;
    # In the group's log.
    atHome @2 :UInt64;
    # Durable here at this time, and on its way to the hub.
  }
}
