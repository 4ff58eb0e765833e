@0xde4828fba1855683;
# Values that clients, peers and the admin socket share.
#
# Conventions of all our schemas
#   * Ids (message, device, account, session) are Data of exactly 16 bytes.
#   * A group id is Data: 16 random bytes, u32 big-endian hub term, the hub's domain in ASCII.
#   * An address is Text, user@domain, normalised by PRECIS UsernameCaseMapped (RFC 8265).
#   * A device address is Text, user@domain/dev_<32 hex>: the bytes of its MLS BasicCredential.
#   * Times are UInt64, milliseconds since 1970-01-01T00:00:00Z. Spans are milliseconds too.
#   * A method that fails sets `failure` in its results; every other result is then absent.
#   * The server answers a call beyond its cap of calls in flight with an RPC exception of type
#     "overloaded", before any work was done.

using import "transparency.capnp".LookupAnswer;

struct Failure {
  # Why a request was not fulfilled. Programs act on the code, people read the text.
  code @0 :UInt16;
  # A stable number; schemas/README.md lists them.
  text @1 :Text;
  # One sentence: what is wrong and what to do. Never parsed.
  retryAfterMs @2 :UInt64;
  # When trying again makes sense; 0: trying the same again does not help.
  request @3 :Data;
  # The id of the refused request in the server's log and audit log, 16 bytes: for whoever has to look it up. May be empty.
}

struct DeviceCertificate {
  # The identity key's statement that a device is the account's.
  device @0 :Text;
  # The device's address.
  signatureKey @1 :Data;
  # The Ed25519 key (32 bytes) with which the device signs MLS messages.
  certifiedAt @2 :UInt64;
  # When the identity key said so.
  signature @3 :Data;
  # 64 bytes, Ed25519 by the account's identity key over
  # "qpq/device/v1" || u16 length of user || user address || device id[16] || signatureKey[32] || u64 certifiedAt,
  # numbers big-endian.
}

struct UserKeys {
  # What a domain says about the keys of one of its users. The caller checks every signature.
  address @0 :Text;
  identityKey @1 :Data;
  # The account's Ed25519 identity key (32 bytes). Where `lookup` proves it, it is what was proven; otherwise clients pin it
  # on first use.
  devices @2 :List(DeviceCertificate);
  # Every active device; of an account that is in the log, those that the log names.
  failure @3 :Failure;
  # Set when this address could not be answered; the other fields are then absent.
  lookup @4 :LookupAnswer;
  # What the domain's log says of the user, if that was asked for and the domain keeps one.
}

struct ClaimedUser {
  # The KeyPackages of one user, one for each active device.
  keys @0 :UserKeys;
  packages @1 :List(ClaimedPackage);
  # Devices without a usable KeyPackage are missing here though they are in `keys`.
}

struct ClaimedPackage {
  # One KeyPackage of one device (RFC 9420, section 10).
  device @0 :Data;
  # The device's id.
  keyPackage @1 :Data;
  # A serialised MLSMessage of wire format mls_key_package.
  lastResort @2 :Bool;
  # Whether this is the package that stays when the others are gone.
}

struct CommitSubmit {
  # A commit (RFC 9420, section 12.4) offered to the hub, and what follows from it if it wins.
  id @0 :Data;
  # The idempotency key: a repeat with the same content gets the same answer.
  group @1 :Data;
  epoch @2 :UInt64;
  # The epoch that the commit starts from.
  commit @3 :Data;
  # A serialised MLSMessage of wire format mls_public_message.
  groupInfo @4 :Data;
  # A serialised MLSMessage of wire format mls_group_info for the epoch after the commit, without the ratchet tree.
  welcome @5 :Data;
  # A serialised MLSMessage of wire format mls_welcome for all added devices; empty if none is added.
  signature @6 :Data;
  # 64 bytes, Ed25519 by the submitting device's MLS signature key over
  # "qpq/commit/v1" || id[16] || SHA-256(commit).
  # Membership and confirmation tags can't be verified by the hub, so this binds the commit to its device.
}

struct CommitAnswer {
  # What the hub made of a commit.
  union {
    failure @0 :Failure;
    # Refused for a reason other than its epoch.
    accepted @1 :CommitAccepted;
    # It won its epoch and is durable in the group's log.
    wrongEpoch @2 :WrongEpoch;
    # Another commit won: apply what is missing, then rebase.
  }
}

struct CommitAccepted {
  seq @0 :UInt64;
  # The commit's position in the group's log.
  at @1 :UInt64;
  # When the hub accepted it.
}

struct WrongEpoch {
  current @0 :UInt64;
  # The group's epoch now.
  seq @1 :UInt64;
  # The last position of the group's log, as the hub counts.
}

struct GroupTree {
  # What a joiner needs beside its Welcome, which carries no tree.
  epoch @0 :UInt64;
  ratchetTree @1 :Data;
  # The serialised ratchet tree of exactly that epoch (RFC 9420, section 7.8).
}

struct Receipt {
  # Proves what became of messages of one group: one signature covers them all.
  group @0 :Data;
  statement @1 :Data;
  # The signed bytes; proof/src/statement.rs has the byte table.
  signature @2 :Data;
  # 64 bytes, Ed25519 by the federation key that the statement names.
  messages @3 :List(ProvenMessage);
  # Those that the receiver sent.
  pin @4 :Data;
  # To clients: the pin of the signing domain's CA, 32 bytes, as their home knows it. The home has checked that the
  # statement's key is the signing domain's. Between domains it is empty.
}

struct ProvenMessage {
  # A message and its way to the statement's root (RFC 6962, section 2.1.1).
  id @0 :Data;
  index @1 :UInt32;
  # The number of its leaf.
  path @2 :Data;
  # The hashes beside its way, 32 bytes each, the lowest first.
}
