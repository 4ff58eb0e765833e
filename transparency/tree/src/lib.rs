//! Merkle trees as a data structure, sans-IO: bytes in, values or typed errors out.
//!
//! What is here: hashing and inclusion proofs as in RFC 6962, section 2.1 ([`leaf_hash`], [`root`], [`inclusion_paths`],
//! [`is_included`]). Delivery proofs build on them. What the key-transparency log adds with its own issue: tiles, signed
//! notes, checkpoints and cosignatures (C2SP), RFC 9381 VRF, the fixed layout of an entry, consistency proofs, and what a
//! client verifies, in order. No sockets, no database, no clock, no panic on any input.

mod hashing;
mod inclusion;

pub use hashing::{leaf_hash, root};
pub use inclusion::{LONGEST_PATH, inclusion_paths, is_included};
