//! What federation could not deliver or has lost: dead letters, gaps, pauses, and the proof that this store was rolled back.

use async_trait::async_trait;
use qpq_core::{Domain, Incarnation, Seq, Timestamp};

use crate::{NewOutboxRow, Page, Stored, StreamName, Window};

/// A message that a peer could not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number here, never used twice.
    pub id: u64,
    /// The message as it waited.
    pub row: NewOutboxRow,
    /// Why it was given up, in words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Whose rows were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Ours: a peer asked for them after they were forgotten here.
    Ours,
    /// A peer's: it didn't have them any more when we needed them.
    Theirs,
}

/// Rows that are lost for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamGap {
    /// Whose.
    pub lost: Lost,
    /// The peer.
    pub domain: Domain,
    /// In which stream.
    pub stream: StreamName,
    /// The first.
    pub first: Seq,
    /// The last.
    pub through: Seq,
    /// When it showed.
    pub at: Timestamp,
}

/// An admin told a peer's queue to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// A peer has shown what this domain signed and this store doesn't hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// Who has shown it.
    pub shown_by: Domain,
    /// About which stream.
    pub stream: StreamName,
    /// The signed header, as it came.
    pub evidence: Vec<u8>,
    /// The later life that has spoken; `None`: this one has, further than this store knows.
    pub later: Option<Incarnation>,
    /// When it was shown.
    pub at: Timestamp,
}

/// Reads losses.
#[async_trait]
pub trait LossesRead: Send {
    /// Dead letters for one destination or for all, the oldest first.
    async fn dead_letters(
        &mut self,
        destination: Option<&Domain>,
        window: Window,
    ) -> Stored<Page<DeadLetter>>;
    /// One dead letter.
    async fn dead_letter(&mut self, id: u64) -> Stored<Option<DeadLetter>>;
    /// The gaps of a peer, the latest first.
    async fn gaps(&mut self, domain: &Domain, limit: usize) -> Stored<Vec<StreamGap>>;
    /// Whether a peer's queue waits for an admin.
    async fn pause(&mut self, domain: &Domain) -> Stored<Option<Pause>>;
    /// What proves that this store is older than what was sent, if anything does.
    async fn rollback(&mut self) -> Stored<Option<Rollback>>;
}

/// Writes losses.
#[async_trait]
pub trait LossesWrite: Send {
    /// Keeps a message that a peer could not take; returns its number.
    async fn dead_letter_add(&mut self, row: &NewOutboxRow, reason: &str, now: Timestamp) -> Stored<u64>;
    /// Takes a dead letter out.
    async fn dead_letter_take(&mut self, id: u64) -> Stored<Option<DeadLetter>>;
    /// Takes out those whose time is over, at most `limit`.
    async fn dead_letters_expire(&mut self, now: Timestamp, limit: usize) -> Stored<Vec<DeadLetter>>;
    /// Notes a gap; of one peer only the latest `most` stay.
    async fn gap_note(&mut self, gap: &StreamGap, most: usize) -> Stored<()>;
    /// Tells a peer's queue to wait.
    async fn pause_set(&mut self, domain: &Domain, pause: &Pause) -> Stored<()>;
    /// Lets it go on; `false`: it did.
    async fn pause_end(&mut self, domain: &Domain) -> Stored<bool>;
    /// Notes the proof that this store is older than what was sent; the first one stays.
    async fn rollback_note(&mut self, rollback: &Rollback) -> Stored<()>;
    /// An admin has acted on it.
    async fn rollback_clear(&mut self) -> Stored<()>;
}
