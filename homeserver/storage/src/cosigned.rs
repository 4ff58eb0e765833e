//! Our own log and its witnesses: the checkpoint that has the cosignatures it needs, those that still collect them, and what
//! each witness did last.

use async_trait::async_trait;
use qpq_core::Timestamp;

use crate::{LogHead, Stored};

/// How many checkpoints collect cosignatures at once: the newest ones, so that a slow witness is not always too late.
pub const COLLECTED_CHECKPOINTS: usize = 8;

/// What a witness of our log did last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OurWitness {
    /// Its key, as a vkey.
    pub key: String,
    /// The largest size that it cosigned; 0 for none.
    pub size: u64,
    /// When we got its last signature.
    pub signed_at: Option<Timestamp>,
    /// Why it didn't sign since, as a text for people, and when that was.
    pub failed: Option<(String, Timestamp)>,
}

/// Reads how our log is cosigned.
#[async_trait]
pub trait CosignedRead: Send {
    /// The newest checkpoint that had the cosignatures it needs, with them; `None` if there never was one.
    async fn kt_cosigned(&mut self) -> Stored<Option<LogHead>>;

    /// The checkpoint of this size with the cosignatures that it has so far.
    async fn kt_collected(&mut self, size: u64) -> Stored<Option<LogHead>>;

    /// All witnesses of which something is known, ascending by their keys.
    async fn kt_our_witnesses(&mut self) -> Stored<Vec<OurWitness>>;
}

/// Writes how our log is cosigned.
#[async_trait]
pub trait CosignedWrite: Send {
    /// Keeps a checkpoint as the newest that has the cosignatures it needs; smaller ones collect none any more.
    ///
    /// `Conflict` if the one before is larger, or the log is smaller.
    async fn kt_keep_cosigned(&mut self, cosigned: &LogHead) -> Stored<()>;

    /// Keeps a checkpoint with the cosignatures that it has so far, in the place of the same one with fewer. Of all, the
    /// largest [`COLLECTED_CHECKPOINTS`] stay.
    ///
    /// `Conflict` if the log is smaller.
    async fn kt_keep_collected(&mut self, collected: &LogHead) -> Stored<()>;

    /// Notes that a witness signed a checkpoint of this size; the largest stays, and it has not failed any more.
    async fn kt_witness_signed(&mut self, key: &str, size: u64, at: Timestamp) -> Stored<()>;

    /// Notes why a witness didn't sign.
    async fn kt_witness_failed(&mut self, key: &str, why: &str, at: Timestamp) -> Stored<()>;
}
