//! How far each peer's streams were applied here.

use async_trait::async_trait;
use qpq_core::{Digest, Domain, Incarnation, Seq};

use crate::{Stored, StreamName};

/// The high-water mark of one stream of one origin, written in the transaction that stores its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxHead {
    /// The origin's incarnation that numbered the rows.
    pub incarnation: Incarnation,
    /// The last applied row.
    pub last_applied: Seq,
    /// The SHA-256 chain over the applied rows.
    pub chain: Digest,
    /// The last signed batch header of this stream, as it came.
    pub header: Vec<u8>,
    /// Rows up to here are inside a completed backup; [`Seq::ZERO`]: none. [`InboxWrite::inbox_advance`] leaves it as it
    /// is within an incarnation and clears it with a new one, whatever it is given.
    pub backed_up: Seq,
}

/// A row of a kind that this version does not know; kept until a version does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedRow {
    /// Its position in the stream.
    pub seq: Seq,
    /// Its kind.
    pub kind: u16,
    /// Its id, 16 bytes.
    pub id: [u8; 16],
    /// Its payload.
    pub payload: Vec<u8>,
}

/// What is parked of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedKind {
    /// The kind.
    pub kind: u16,
    /// How many rows.
    pub rows: u64,
    /// Their payload bytes.
    pub bytes: u64,
}

/// Reads the inbox.
#[async_trait]
pub trait InboxRead: Send {
    /// Where a stream stands; `None` if nothing came yet.
    async fn inbox_head(&mut self, origin: &Domain, stream: &StreamName) -> Stored<Option<InboxHead>>;
    /// All streams of an origin, ordered by name.
    async fn inbox_heads(&mut self, origin: &Domain) -> Stored<Vec<(StreamName, InboxHead)>>;
    /// A page of them, after a stream.
    async fn inbox_heads_after(
        &mut self,
        origin: &Domain,
        after: Option<&StreamName>,
        limit: usize,
    ) -> Stored<Vec<(StreamName, InboxHead)>>;
    /// How many streams of an origin are followed.
    async fn inbox_streams(&mut self, origin: &Domain) -> Stored<u64>;
    /// How many bytes of payload are parked for an origin.
    async fn inbox_parked_bytes(&mut self, origin: &Domain) -> Stored<u64>;
    /// What is parked for an origin, by kind.
    async fn inbox_parked(&mut self, origin: &Domain) -> Stored<Vec<ParkedKind>>;
}

/// Writes the inbox.
#[async_trait]
pub trait InboxWrite: Send {
    /// Moves a stream's mark forward, or to a later incarnation; backwards is a `Conflict`.
    async fn inbox_advance(&mut self, origin: &Domain, stream: &StreamName, head: &InboxHead) -> Stored<()>;
    /// Parks rows of unknown kinds.
    async fn inbox_park(&mut self, origin: &Domain, stream: &StreamName, rows: &[ParkedRow]) -> Stored<()>;
    /// Takes parked rows of an origin that are of these kinds out, with their streams and in the order in which they were
    /// parked, at most `limit`.
    async fn inbox_unpark(
        &mut self,
        origin: &Domain,
        kinds: &[u16],
        limit: usize,
    ) -> Stored<Vec<(StreamName, ParkedRow)>>;
}
