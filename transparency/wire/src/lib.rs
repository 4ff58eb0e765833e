//! How what a key-transparency log says of users looks in `schemas/transparency.capnp`: one reading and one writing, for whoever
//! answers, whoever passes an answer on, and whoever verifies it.
//!
//! Reading is the door: what comes out is well-formed and within its bounds, and what can't be read is a [`WireError`] that names
//! the field. Whether it is *true* is judged by [`verify`](qpq_transparency_tree::lookup::verify). What was read and is written
//! again reads as the same, so that an answer can be passed on by who doesn't judge it.

mod answer;
mod bounds;
mod entry;
mod error;
mod field;
mod own;
mod views;
mod witness;

pub use answer::{ToldLookup, read_lookup, write_lookup};
pub use bounds::{KEY_TEXT_BYTES, LOGGED_VALUE_BYTES, LOOKUP_RESETS};
pub use error::{Field, Malformed, WireError};
pub use own::{LogPlace, LoggedVersion, read_place, read_version, write_place, write_version};
pub use views::{Views, read_views, write_views};
pub use witness::{
    CosignAnswer, Cosigned, LOG_ENTRIES, proof_bytes, read_checkpoint, read_cosigned, read_entries, read_key,
    read_origin, read_proof, write_cosigned,
};
