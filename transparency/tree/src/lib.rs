//! The key-transparency log as a data structure, sans-IO: bytes and tiles in, values or typed errors out.
//!
//! From the bottom up:
//! - hashing, inclusion and consistency ([`leaf_hash`], [`is_included`], [`is_consistent`]; RFC 6962, section 2.1), and
//!   the same from tiles ([`tile`], [`proofs`], [`growth`]; C2SP tlog-tiles);
//! - notes and who signed them ([`note`], [`key`]), checkpoints, cosignatures and what a witness signs ([`checkpoint`],
//!   [`witness`]), whose signatures are enough ([`policy`]), proofs as files ([`proof_file`], [`binding_record`]), evidence of
//!   two histories ([`evidence`]);
//! - what is logged: [`entry`], [`commitment`], the [`label`] and the [`vrf`] that hides it, the values of accounts
//!   ([`value`], [`succession`]) and of the domain ([`config`]), the log's word on what is newest ([`claim`]);
//! - what a client verifies: [`lookup`]; what an outsider reads of a whole log: [`audit`].
//!
//! No sockets, no database, no clock, no panic on any input. Delivery proofs use the hashing, too.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]
#![cfg_attr(
    test,
    expect(clippy::arithmetic_side_effects, reason = "the tests count small numbers and may panic")
)]

#[cfg(test)]
extern crate self as qpq_transparency_tree;

pub mod audit;
pub mod binding_record;
pub mod checkpoint;
pub mod claim;
pub mod commitment;
pub mod config;
mod consistency;
pub mod entry;
pub mod evidence;
pub mod growth;
mod hashing;
mod inclusion;
pub mod key;
pub mod label;
pub mod lookup;
pub mod name;
pub mod note;
pub mod policy;
pub mod proof_file;
pub mod proofs;
#[cfg(test)]
mod sample;
pub mod succession;
mod text;
pub mod tile;
pub mod value;
pub mod vrf;
pub mod witness;

pub use checkpoint::{Checkpoint, SignedCheckpoint, TreeHead};
pub use consistency::is_consistent;
pub use hashing::{leaf_hash, root};
pub use inclusion::{LONGEST_PATH, inclusion_paths, is_included};
pub use key::{LogSigner, VerifierKey, WitnessSigner};
pub use name::KeyName;
pub use note::SignedNote;
