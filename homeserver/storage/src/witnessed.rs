//! Other domains' logs that this server witnesses: the key of each, the last checkpoint that was cosigned, the mirror of its
//! entries, and evidence of logs that have two histories.
//!
//! What is kept here only ever moves forward: a key stays, a cosigned size never shrinks, a mirrored entry never changes, and
//! evidence is never deleted.

use async_trait::async_trait;
use qpq_core::Timestamp;

use crate::{LOG_ENTRY_BYTES, LogHead, Stored};

/// How many pieces of evidence are kept of one log: one is enough, and a log that lies can make any number.
pub const EVIDENCE_PER_LOG: usize = 16;

/// A log of another domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessedLog {
    /// Its origin line.
    pub origin: String,
    /// The key that signs it, as a vkey.
    pub key: String,
    /// The last checkpoint that was cosigned here, with our signature; `None` before the first.
    pub cosigned: Option<LogHead>,
}

/// How far a log's entries are mirrored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrored {
    /// How many entries, from the first on.
    pub size: u64,
    /// The hashes of the partial tiles over them, level 0 first, 32 bytes each.
    pub edge: Vec<u8>,
}

/// Evidence that a log has two histories, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvidence {
    /// The log's origin line.
    pub origin: String,
    /// The sizes of the two checkpoints, the smaller one first.
    pub sizes: (u64, u64),
    /// The evidence, which verifies itself.
    pub text: String,
    /// Who brought it: a domain, or `own`.
    pub from: String,
    /// When.
    pub found_at: Timestamp,
}

/// Evidence that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvidence {
    /// Its number; later ones have larger ones.
    pub id: u64,
    /// What it is.
    pub found: NewEvidence,
    /// When an admin decided that it stops nothing any more.
    pub cleared_at: Option<Timestamp>,
}

/// What became of evidence that was brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceKept {
    /// It is kept under this number.
    New(u64),
    /// Evidence for these two sizes was there already, under this number.
    Known(u64),
    /// There is as much of this log as is kept.
    Enough,
}

/// Reads what is witnessed.
#[async_trait]
pub trait WitnessedRead: Send {
    /// A log by its origin.
    async fn kt_witnessed(&mut self, origin: &str) -> Stored<Option<WitnessedLog>>;

    /// At most `limit` logs behind an origin, ascending by it; the empty text is before all.
    async fn kt_witnessed_after(&mut self, origin: &str, limit: usize) -> Stored<Vec<WitnessedLog>>;

    /// How far a log is mirrored; nothing of one that isn't known.
    async fn kt_mirrored(&mut self, origin: &str) -> Stored<Mirrored>;

    /// At most `limit` mirrored entries from a place on, in order.
    async fn kt_mirrored_entries(
        &mut self,
        origin: &str,
        from: u64,
        limit: usize,
    ) -> Stored<Vec<[u8; LOG_ENTRY_BYTES]>>;

    /// All evidence that is kept of a log, the oldest first.
    async fn kt_evidence(&mut self, origin: &str) -> Stored<Vec<LogEvidence>>;

    /// At most `limit` pieces of evidence behind a number, of all logs, in their order.
    async fn kt_evidence_after(&mut self, id: u64, limit: usize) -> Stored<Vec<LogEvidence>>;
}

/// Writes what is witnessed.
#[async_trait]
pub trait WitnessedWrite: Send {
    /// Keeps the key of a log that has none yet, and gives the one that it has then: the first stays.
    async fn kt_pin(&mut self, origin: &str, key: &str) -> Stored<String>;

    /// Keeps a checkpoint with our cosignature as the last one of its log; one of the same size takes the place of the other.
    ///
    /// `Conflict` if the log isn't known, or a larger one was cosigned.
    async fn kt_cosign(&mut self, origin: &str, cosigned: &LogHead) -> Stored<()>;

    /// Appends entries to a mirror, with the partial tiles over all of them then.
    ///
    /// `Conflict` unless they begin where the mirror ends, and end within what was cosigned.
    async fn kt_mirror(
        &mut self,
        origin: &str,
        from: u64,
        entries: &[[u8; LOG_ENTRY_BYTES]],
        edge: &[u8],
    ) -> Stored<()>;

    /// Keeps evidence: one for each pair of sizes, at most [`EVIDENCE_PER_LOG`] of a log.
    async fn kt_keep_evidence(&mut self, found: &NewEvidence) -> Stored<EvidenceKept>;

    /// Notes that a piece of evidence stops nothing any more; `false` if there is none of this number, or it was noted before.
    async fn kt_clear_evidence(&mut self, id: u64, at: Timestamp) -> Stored<bool>;
}
