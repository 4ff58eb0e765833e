//! The key-transparency log service: sequences entries, publishes checkpoints, asks peers to witness them, recovers.
//!
//! Empty until the key-transparency issue. What will live here: one sequencer per domain, which returns from the call
//! that registers or rotates a key only after the entry is in a signed, durable checkpoint; the storage port it writes
//! through; the witness side for other domains' logs; and `WitnessCalls`, the trait that `federation` implements. The
//! tree itself, and everything a verifier needs, is in `qpq-transparency-tree`.
//!
//! Until then a client pins an account's identity key on first use (`qpq_core::DeviceCertificate`), which does not
//! protect the first contact from a lying home domain.
