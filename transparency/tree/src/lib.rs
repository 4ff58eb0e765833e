//! The key-transparency log as a data structure, sans-IO: bytes and a tile reader in, values or typed errors out.
//!
//! Empty until the key-transparency issue. What will live here: RFC 6962 hashing, tiles, signed notes, checkpoints and
//! cosignatures (C2SP), RFC 9381 VRF, the fixed layout of an entry, inclusion and consistency proofs, and what a client
//! verifies, in order. No sockets, no database, no clock, no panic on any input.
