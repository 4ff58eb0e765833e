@0xc5bbc4d5ca754c2b;
# What homeservers call on each other: Cap'n Proto RPC on one bidirectional stream per link, over QUIC with
# mutual TLS and ALPN "quicproquo/federation/1". Both sides offer `Peering` as their bootstrap capability, so
# one link serves both directions. An untrusted link has nothing but `hello` and `acceptInvite`; a trusted
# one gets a `Link` out of `hello`, and that capability is the authorisation.

using import "common.capnp".Failure;
using import "common.capnp".UserKeys;
using import "common.capnp".ClaimedUser;
using import "common.capnp".CommitSubmit;
using import "common.capnp".CommitAnswer;
using import "common.capnp".GroupTree;
using import "transparency.capnp".LogView;

interface Peering {
  # The bootstrap capability, trusted or not.

  hello @0 (hello :Hello) -> (hello :Hello, link :Link, failure :Failure);
  # Introduces the caller. `link` is there only when the callee trusts the caller's certificate and its policy
  # allows the domain; otherwise `failure` says why: 104, 206, 207, 209, 300.

  acceptInvite @1 (statement :Data) -> (answer :Data, failure :Failure);
  # Finishes a peering: `statement` is the signed AcceptStatement of the caller (federation/proto/src/invite.rs has
  # the byte table). Using up the invite and making the peer are one transaction; a repeat by the same CA gets
  # the same answer. Failures: 100, 208, 300.
}

struct Hello {
  # An introduction.
  minVersion @0 :UInt16;
  maxVersion @1 :UInt16;
  features @2 :List(Text);
  # "probe": the sender looks whether all is well and then goes; it is no link to keep, and nothing is dialled back.
  domain @3 :Text;
  trusted @4 :TrustedHello;
  # Sent and read on trusted links only.
}

struct TrustedHello {
  incarnation @0 :Data;
  # The sender's own, 16 bytes.
  yours @1 :Data;
  # The highest incarnation of the receiver that the sender has seen; empty: none.
  streams @2 :UInt64;
  # How many of the receiver's streams the sender has applied rows of.
  headsDigest @3 :Data;
  # SHA-256 over (stream id || incarnation || last applied seq || chain) of those, ordered by stream id. If it differs from
  # what the receiver has heard, it asks for the heads before it sends anything.
  clock @4 :UInt64;
  # The sender's time; skew is shown to admins, never used for order.
}

interface Link {
  # What a trusted peer may call.

  relayEnqueue @0 (header :BatchHeader, batches :List(StreamBatch), call :Call)
      -> (answers :List(StreamAnswer), failure :Failure);
  # Hands over rows of the caller's streams, answered after they are durable. Failures: 100, 206, 302.

  proxyFetchKeyPackages @1 (requester :Text, group :Data, nonce :Data, targets :List(Text), call :Call,
                            views :List(LogView)) -> (users :List(ClaimedUser), failure :Failure);
  # Claims KeyPackages of the callee's users for the caller's user `requester`. 306 and `views` as in `resolveUser`.

  resolveUser @2 (requester :Text, addresses :List(Text), call :Call, group :Data, views :List(LogView))
      -> (users :List(UserKeys), failure :Failure);
  # The keys of the callee's users. Where these must accept the requester first, the answer about each of them is 306, the
  # same for a user who doesn't exist. `group` names a group that the user is a member of, or a KeyPackage was claimed for:
  # who knows its id is told without consent. A hub that asks for another domain's committer must name it. For each address that `views`
  # names, and that is not answered with a failure, the answer has the proof of the callee's log, for the requester to verify.
  # 302 for one of many: the proofs didn't fit into one answer, ask for it again.

  federationHealth @3 () -> (health :FederationHealth, failure :Failure);
  # What the callee thinks of the caller.

  groupCommit @4 (sender :Text, submit :CommitSubmit, call :Call) -> (answer :CommitAnswer);
  # A commit by the caller's device `sender` for a group whose hub is the callee.

  groupTree @5 (requester :Text, group :Data, epoch :UInt64, call :Call) -> (tree :GroupTree, failure :Failure);
  # The tree for the caller's device `requester` that was welcomed.

  streamHeads @6 (after :Data, limit :UInt16, named :List(Data)) -> (heads :List(AppliedHead), failure :Failure);
  # How far the caller's streams are applied here: a page ordered by stream id, after the stream `after` (empty: from the
  # first), at most `limit` and 1,024; or, where `named` lists up to 64 streams, those with the header that proves it.

  addCheckpoint @7 (logKey :Text, request :Data, call :Call) -> (answer :WitnessAnswer, failure :Failure);
  # Asks the callee to cosign a checkpoint of the caller's log, which `logKey` signs (a verifier key; the first that the callee
  # sees is pinned). `request` is the body that tlog-witness defines. Failures: 100, 209, 214: it is not signed, does not
  # continue what was cosigned, or is of another log than the caller's.

  witnessedCheckpoint @8 (origin :Text, call :Call) -> (note :Text, failure :Failure);
  # The last checkpoint of a log that the callee cosigned, a signed note; empty: none.

  logEntries @9 (origin :Text, first :UInt64, count :UInt16, call :Call) -> (entries :Data, failure :Failure);
  # Entries of a log from the place `first` on, 110 bytes each, at most `count` and 256 and none beyond what the callee has
  # signed: of its own log, or of one that it witnesses and keeps a mirror of. Entries name nobody.

  logConsistency @10 (old :UInt64, new :UInt64, call :Call) -> (proof :Data, failure :Failure);
  # Hashes: that the callee's log at the size `new` continues that at the size `old` (RFC 6962, section 2.1.2). 102: it has no
  # such trees.
}

struct WitnessAnswer {
  # What a witness says to a checkpoint (C2SP tlog-witness, "add-checkpoint").
  union {
    signatures @0 :Text;
    # It cosigned: signature lines, each ended by a line feed, at most 16.
    conflict @1 :UInt64;
    # The old size was not that of the last checkpoint that it cosigned, which is this.
  }
  witnessKey @2 :Text;
  # The witness's verifier key. A domain whose witness lost its state has another one.
}

struct Call {
  # What travels with a call beside what is asked. All of it may be absent.
  request @0 :Data;
  # The id of the request that the caller makes this call for, 16 bytes: both sides log it.
  budgetMs @1 :UInt32;
  # How long the caller still waits, when it sent this; the callee gives up no later. A span, because clocks differ;
  # 0: the callee's own bound.
}

struct BatchHeader {
  # Signs the batches of one call.
  origin @0 :Text;
  destination @1 :Text;
  incarnation @2 :Data;
  signature @3 :Data;
  # 64 bytes, Ed25519 by the origin's federation key; federation/proto/src/header.rs has the byte table.
}

struct StreamBatch {
  # Consecutive rows of one stream.
  stream @0 :Data;
  # 16 bytes.
  first @1 :UInt64;
  # The first row's position; rows have no holes.
  rows @2 :List(Row);
  before @3 :Data;
  # The chain before the first row, 32 bytes; empty if the sender doesn't know it. Part of what the header signs.
  gapThrough @4 :UInt64;
  # Not 0: there are no rows, and those from `first` to this one will never come, because the sender doesn't have them any
  # more. Part of what the header signs. The chain after it is SHA-256("qpq/gap/v1" || chain before || this number).
}

struct AppliedHead {
  # How far one stream is applied.
  stream @0 :Data;
  incarnation @1 :Data;
  # The life of the origin's database that numbered the rows.
  applied @2 :UInt64;
  chain @3 :Data;
  backedUpThrough @4 :UInt64;
  # Rows up to here are inside a completed backup: the origin need not keep them; 0: none.
  header @5 :Data;
  # The last signed header of this stream that was applied; only where streams were named.
}

struct Row {
  # One row of a stream.
  id @0 :Data;
  kind @1 :UInt16;
  # 1 groupSubmit, 2 groupEntry, 3 welcome, 4 submitRefused, 5 tombstone, 6 contactAccepted, 7 receipt. Unknown kinds are
  # parked by the receiver, never dropped.
  ttlMs @2 :UInt64;
  # What is left of its life, judged only by the domain that holds it; 0: it never expires.
  payload @3 :Data;
  # A message of records.capnp, by kind, as a single unpacked segment list.
  request @4 :Data;
  # The id of the request that this row follows from, 16 bytes: both sides log it. For people; the header doesn't sign
  # it. May be empty.
}

struct StreamAnswer {
  # What became of one stream's batch.
  stream @0 :Data;
  union {
    applied @1 :AppliedRows;
    expectSeq @2 :UInt64;
    # There is a gap: send from here.
    chainDiffers @3 :Data;
    # The rows contradict what was applied before: the receiver's last signed header of this stream.
    notNow @4 :Failure;
    # Nothing of this stream was stored; 302 with when to retry.
  }
}

struct AppliedRows {
  # Rows that are durable at the receiver.
  through @0 :UInt64;
  # The last applied position.
  chain @1 :Data;
  # SHA-256 chain over the applied rows, 32 bytes.
  acks @2 :List(RowAck);
  # Only the rows that were not plainly stored; the rest are.
}

struct RowAck {
  # A row that keeps its place in the stream although its message went nowhere.
  seq @0 :UInt64;
  failure @1 :Failure;
  # 301 mailboxFull, 102 unknownMailbox, 209 policy, 402, 403, 401.
}

struct FederationHealth {
  # One side's view of the other.
  reachable @0 :Bool;
  # Whether the callee has a link of its own to the caller.
  state @1 :Text;
  # In words, for people.
  retryAt @2 :UInt64;
  # When the callee tries again; 0: not waiting.
  queued @3 :UInt64;
  # Rows that wait for the caller.
  oldestQueuedMs @4 :UInt64;
  # Age of the oldest of them.
  clock @5 :UInt64;
  pin @6 :Data;
  # The caller's CA pin as the callee knows it, 32 bytes.
  standing @7 :Text;
  # One word: healthy, degraded, backing-off, refused (nothing is sent until somebody acts). Empty: not told.
  trouble @8 :Text;
  # What is wrong, in words; empty: nothing.
}
