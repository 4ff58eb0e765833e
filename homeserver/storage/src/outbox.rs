//! Rows on their way to peers: one ordered stream per conversation and direction.

use async_trait::async_trait;
use qpq_core::{Digest, Domain, Incarnation, MessageId, Millis, RequestId, Seq, Timestamp};

use crate::{Page, Stored, Window};

/// A stream's name: 16 bytes, derived by `federation/proto`.
pub type StreamName = [u8; 16];

/// One life's numbering of a stream: each incarnation of this store counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxLane {
    /// The life that numbered the rows.
    pub incarnation: Incarnation,
    /// The stream.
    pub stream: StreamName,
}

/// A row to append; the store numbers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOutboxRow {
    /// For whom.
    pub destination: Domain,
    /// In which stream.
    pub stream: StreamName,
    /// The message's id.
    pub id: MessageId,
    /// What it is (`federation.capnp`, `Row.kind`).
    pub kind: u16,
    /// When it expires; `None`: never (handshakes).
    pub expires_at: Option<Timestamp>,
    /// A message of `records.capnp`.
    pub payload: Vec<u8>,
    /// When it was accepted.
    pub at: Timestamp,
    /// The request that it follows from, for the logs of both domains.
    pub request: Option<RequestId>,
}

/// A stored row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its position in the stream.
    pub seq: Seq,
    /// The row.
    pub row: NewOutboxRow,
}

/// Where a lane stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxHead {
    /// Its name.
    pub lane: OutboxLane,
    /// The last row that the destination has stored.
    pub acknowledged: Seq,
    /// The chain after the last acknowledged row, as [`OutboxWrite::outbox_acknowledge`] or
    /// [`OutboxWrite::outbox_rewind`] got it last; `None` if it is not known or nothing was acknowledged yet.
    pub chain: Option<Digest>,
    /// The last row.
    pub last: Seq,
}

/// A row that waits, and in which lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRow {
    /// The lane.
    pub lane: OutboxLane,
    /// The row.
    pub row: OutboxRow,
}

/// How much waits for a destination; cheap to ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxWeight {
    /// Rows not acknowledged yet.
    pub rows: u64,
    /// Their payload bytes.
    pub bytes: u64,
}

/// What waits for a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxDepth {
    /// Rows not acknowledged yet.
    pub rows: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// When the oldest of those was accepted that are the next of their lanes.
    pub oldest_at: Option<Timestamp>,
    /// Acknowledged rows that are still kept.
    pub kept: u64,
}

impl OutboxDepth {
    /// How much that is.
    pub const fn weight(&self) -> OutboxWeight {
        OutboxWeight { rows: self.rows, bytes: self.bytes }
    }
}

/// What waits in one lane, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueLine {
    /// Which lane.
    pub lane: OutboxLane,
    /// The number of the row that goes next.
    pub next: Seq,
    /// Rows not acknowledged yet.
    pub rows: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// The kind of the row that goes next, and when it was accepted; `None`: what is next will never come.
    pub first: Option<(u16, Timestamp)>,
}

/// When to try a destination again, kept over a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// Attempts that failed in a row.
    pub failures: u32,
    /// Not before this time.
    pub retry_at: Option<Timestamp>,
}

/// Reads the outbox.
#[async_trait]
pub trait OutboxRead: Send {
    /// Destinations that rows wait for.
    async fn outbox_destinations(&mut self) -> Stored<Vec<Domain>>;
    /// The lanes to a destination that have rows waiting, those of older lives first. A lane waits as long as its last
    /// number is not acknowledged, also when its rows are gone.
    async fn outbox_heads(&mut self, destination: &Domain) -> Stored<Vec<OutboxHead>>;
    /// All lanes to a destination, those of older lives first.
    async fn outbox_lanes(&mut self, destination: &Domain) -> Stored<Vec<OutboxHead>>;
    /// Rows of a lane from a position, at most `limit` and about `bytes` of payload (at least one if there is one).
    async fn outbox_rows(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        from: Seq,
        limit: usize,
        bytes: usize,
    ) -> Stored<Vec<OutboxRow>>;
    /// How much waits for a destination, without looking at the rows.
    async fn outbox_weight(&mut self, destination: &Domain) -> Stored<OutboxWeight>;
    /// Rows without an end that wait since before this time and are no tombstones of kind `tombstone`, the oldest first,
    /// at most `limit`.
    async fn outbox_overdue(
        &mut self,
        accepted_before: Timestamp,
        tombstone: u16,
        limit: usize,
    ) -> Stored<Vec<WaitingRow>>;
    /// What waits for a destination.
    async fn outbox_depth(&mut self, destination: &Domain) -> Stored<OutboxDepth>;
    /// A page of what waits for a destination, lane by lane, those of older lives first.
    async fn outbox_queue(&mut self, destination: &Domain, window: Window) -> Stored<Page<QueueLine>>;
    /// What waits for all destinations together.
    async fn outbox_depth_of_all(&mut self) -> Stored<OutboxDepth>;
    /// The stored backoff of a destination.
    async fn outbox_backoff(&mut self, destination: &Domain) -> Stored<Backoff>;
}

/// Writes the outbox.
#[async_trait]
pub trait OutboxWrite: Send {
    /// Appends rows in the order given to the lanes of the life that this store is in; returns their positions. Without a
    /// vault there is no life: a `Conflict`.
    async fn outbox_append(&mut self, rows: &[NewOutboxRow]) -> Stored<Vec<Seq>>;
    /// The destination has stored everything up to `through`: those rows are kept, not forgotten. `chain` is the
    /// chain after `through` and is stored with the position whenever that moves forward.
    async fn outbox_acknowledge(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        through: Seq,
        chain: Option<&Digest>,
        now: Timestamp,
    ) -> Stored<()>;
    /// The destination has lost what came after `to`, where its chain is `chain`: those rows wait again, as far as they
    /// were kept. Forward it does nothing.
    async fn outbox_rewind(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        to: Seq,
        chain: &Digest,
    ) -> Stored<()>;
    /// The destination has rows up to `through` in a backup: they need not be kept. Waiting rows stay.
    async fn outbox_forget(&mut self, destination: &Domain, lane: &OutboxLane, through: Seq) -> Stored<()>;
    /// Replaces one waiting row by a tombstone of kind `tombstone` with `payload`; returns the row as it was, `None` if it
    /// is not there or is one already.
    async fn outbox_bury(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        seq: Seq,
        tombstone: u16,
        payload: &[u8],
    ) -> Stored<Option<OutboxRow>>;
    /// Numbers everything that waits in lanes of other lives anew in the lanes of the life that this store is in, before
    /// what waits there; returns how many rows moved.
    async fn outbox_renumber(&mut self) -> Stored<u64>;
    /// Replaces waiting rows that expired by tombstones of kind `tombstone` with `payload`; the position stays. Returns the rows as they
    /// were, at most `limit`.
    async fn outbox_expire(
        &mut self,
        now: Timestamp,
        tombstone: u16,
        payload: &[u8],
        limit: usize,
    ) -> Stored<Vec<OutboxRow>>;
    /// Takes waiting rows of a destination away, lane by lane, at most `limit`, and returns them. Their numbers stay taken:
    /// whoever comes back hears by a gap that they will never come.
    async fn outbox_take(&mut self, destination: &Domain, limit: usize) -> Stored<Vec<OutboxRow>>;
    /// Forgets kept rows that were acknowledged before now minus `retain`, and the oldest beyond `most_bytes` a
    /// destination; returns how many went.
    async fn outbox_purge(&mut self, now: Timestamp, retain: Millis, most_bytes: u64) -> Stored<u64>;
    /// Stores a destination's backoff.
    async fn outbox_backoff_store(&mut self, destination: &Domain, backoff: &Backoff) -> Stored<()>;
}
