@0xb6f3a0d97c2e4185;
# What a key-transparency log answers, the same to clients and to peers.
#
# Entries, values, claims and CONFIGs are bytes with one encoding each; their byte tables are in the files of
# transparency/tree/src that the fields name. Notes are C2SP signed notes, hashes those of RFC 6962. A list of hashes is
# Data: 32 bytes each, one after the other. transparency/testdata has vectors of all of it.

struct LogView {
  # What the asker has verified already. The answer continues it, and leaves out what it has.
  address @0 :Text;
  # The user that is asked for.
  size @1 :UInt64;
  # The size of the last tree of the domain's log; 0: none.
  config @2 :UInt64;
  # 1 + the version of the CONFIG that it has; 0: none.
  version @3 :UInt64;
  # 1 + the newest version of this user's keys that it has; 0: none.
}

struct ProvenEntry {
  # An entry, that it is in the tree, and what it commits to.
  entry @0 :Data;
  # 110 bytes (entry.rs).
  index @1 :UInt64;
  inclusion @2 :Data;
  # Hashes: the path to the root, the lowest first (RFC 6962, section 2.1.1).
  opening @3 :Data;
  # 16 bytes; empty: opening and value were erased, as only a closed account's are.
  value @4 :Data;
  # The value that the entry commits to (value.rs; of a CONFIG: config.rs).
}

struct ResetEvidence {
  # That a reset was announced, and seen by the log's witnesses, a day before it was made.
  pending @0 :ProvenEntry;
  # The announcement, the version before the reset.
  seen @1 :Text;
  # A checkpoint of that time which has it.
  seenInclusion @2 :Data;
  # Hashes: the announcement's path in that tree.
  consistency @3 :Data;
  # Hashes: from that tree to the answer's (RFC 6962, section 2.1.2).
  config @4 :ProvenEntry;
  # The CONFIG of that time, which says whose signatures were needed; absent, with the next one, if it is the newest still.
  nextConfig @5 :ProvenEntry;
  # The one after it, which is not in that tree.
}

struct LookupAnswer {
  # What a log says of one user, with everything that a client needs to verify it (lookup.rs says how).
  logKey @0 :Text;
  # The log's verifier key, as the home of the asker knows it. It counts only for who has none pinned.
  note @1 :Text;
  # The checkpoint that the answer is about, at most 16 kB.
  consistency @2 :Data;
  # Hashes: from the asker's tree to this one; empty if it has none.
  claim @3 :Data;
  # Which version of the user's keys, and which CONFIG, is the newest (claim.rs).
  claimSignature @4 :Data;
  # 64 bytes, Ed25519 by the log's key over the claim.
  config @5 :ProvenEntry;
  # The newest CONFIG, unless the asker has it.
  vrfProof @6 :Data;
  # 80 bytes (RFC 9381, section 5): that the user's entries are those of the claim's label id.
  latest @7 :ProvenEntry;
  # The newest version; absent: the log has no entry of the user.
  base @8 :ProvenEntry;
  # The version before it, if the newest only announces a reset.
  links @9 :List(ProvenEntry);
  # The versions between the asker's and the newest that changed the identity key, ascending, at most 32.
  resets @10 :List(ResetEvidence);
  # One for each reset among `latest` and `links`.
}

struct LogPlace {
  # Where the next version of an account's keys will stand: what the identity keys sign besides it (value.rs).
  origin @0 :Text;
  # The log's name.
  labelId @1 :Data;
  # 32 bytes.
  version @2 :UInt32;
  prev @3 :Data;
  # The leaf hash of the version before; 32 zero bytes at version 0.
  account @4 :Data;
  # The account's id, 16 bytes, which every value of it names.
  value @5 :Data;
  # The newest value (value.rs); empty before the first.
}

struct LoggedVersion {
  # A version of the asker's own keys. Each names the one before by its hash, so a proof for the last proves all.
  entry @0 :Data;
  opening @1 :Data;
  value @2 :Data;
  index @3 :UInt64;
}
