@0xdd68ec55cf6f8749;
# The payloads of stream rows between homeservers; which one a row holds is its kind.

using import "common.capnp".Failure;

struct GroupSubmit {
  # Kind 1: an application message of the origin's user, for the log of a group that the destination orders.
  group @0 :Data;
  sender @1 :Text;
  # The submitting device's address; its domain is the origin.
  message @2 :Data;
  # A serialised MLSMessage of wire format mls_private_message.
}

struct GroupEntry {
  # Kind 2: an entry of a group's log, from its hub.
  group @0 :Data;
  seq @1 :UInt64;
  # The hub's number of the entry.
  epoch @2 :UInt64;
  # The epoch that the entry's message belongs to; of a commit, the one that it starts from.
  at @3 :UInt64;
  # When the hub accepted it.
  message @4 :Data;
  # A serialised MLSMessage.
  sender @5 :Text;
  # Of a commit: the committing device; empty for application messages.
  signature @6 :Data;
  # Of a commit: see CommitSubmit.signature; empty for application messages.
  removed @7 :List(Text);
  # Of a commit: devices of the destination that it removes. They still get this entry.
  memberCount @8 :UInt32;
  # Accounts in the group after this entry: two-member groups refuse instead of cutting off.
}

struct GroupWelcome {
  # Kind 3: devices of the destination that a commit added.
  group @0 :Data;
  epoch @1 :UInt64;
  # The epoch after the commit.
  startSeq @2 :UInt64;
  # The commit's position in the log: what follows is theirs.
  sender @3 :Text;
  devices @4 :List(Text);
  welcome @5 :Data;
  memberCount @6 :UInt32;
}

struct SubmitRefused {
  # Kind 4: tells the origin of a groupSubmit that its message is in no log, and why; or the hub that a member's
  # domain could not take an entry.
  group @0 :Data;
  sender @1 :Text;
  # The submitting device's address; absent from a member's domain, which can't know it: the hub does.
  failure @2 :Failure;
}

struct Tombstone {
  # Kind 5: takes the place of a row that expired or was given up, so that a position is never skipped.
  reason @0 :Text;
  kind @1 :UInt16;
  # What the row was.
  group @2 :Data;
  # Set by the group's hub: without what the row was, the destination's devices can't follow this group from here on.
}

struct ContactAccepted {
  # Kind 6: a user of the origin has accepted a user of the destination who had asked.
  user @0 :Text;
  # Who accepted; its domain is the origin.
  asker @1 :Text;
  # Who had asked; a user of the destination.
}

# Kind 7 is a Receipt of common.capnp: the origin has stored rows of the destination, or a hub passes on that a member's
# domain has stored entries of its log.
