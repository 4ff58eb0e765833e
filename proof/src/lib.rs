//! Delivery proofs: a domain's signed word that it accepted or stored messages, and how anybody checks it offline.
//!
//! A proof is a batch from the first day: one Ed25519 signature by the domain's federation key covers the root of a
//! Merkle tree (RFC 6962) whose leaves are messages, and each message gets its way to the root. A proof names the
//! message by its id and the SHA-256 of its ciphertext, and the domain that it went to; never a device, never a text. Who keeps
//! the ciphertext, or its hash, shows with a proof that this domain had it at that time.
//!
//! No I/O and no clock. That the key is the domain's is not in the signature: a [`ProofFile`] says who vouches for it.

mod file;
mod statement;
mod tree;

pub use file::{FILE_BYTES, FileError, FileProof, FormatName, Judged, ProofFile};
pub use statement::{ProofError, Role, SignedStatement, Statement, Terms};
pub use tree::{MOST_LEAVES, Message, Place};
