//! The disk under a store in memory: what becomes of a commit, and what an observer sees afterwards.

use async_trait::async_trait;
use qpq_core::{Domain, MessageId, Seq};

use super::MemoryStorage;
use crate::{OutboxLane, ParkedRow, StreamName};

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// It is durable.
    Kept,
    /// It failed and left nothing.
    Lost,
    /// It is durable, but was reported as failed.
    KeptUnsaid,
}

/// A disk for a store in memory, slow or bad as its owner wants it.
#[async_trait]
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Takes as long as the disk takes for a commit; nothing of it counts before this returns.
    async fn flush(&self) -> Flushed;

    /// A commit has just taken effect.
    fn kept(&self);
}

/// The rows of one stream to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSeen {
    /// The peer.
    pub destination: Domain,
    /// Which lane.
    pub lane: OutboxLane,
    /// How far it was acknowledged.
    pub acknowledged: Seq,
    /// The rows that are there, waiting and kept.
    pub rows: Vec<(Seq, MessageId)>,
}

/// The parked rows of one stream from a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedSeen {
    /// The peer.
    pub origin: Domain,
    /// The stream.
    pub stream: StreamName,
    /// Its parked rows, in the order in which they were applied.
    pub rows: Vec<ParkedRow>,
}

impl MemoryStorage {
    /// Every stream to peers, as it was committed last.
    pub fn queues_seen(&self) -> Vec<QueueSeen> {
        self.shared.snapshot().outbox.seen()
    }

    /// Every stream from peers that has parked rows, as it was committed last.
    pub fn parked_seen(&self) -> Vec<ParkedSeen> {
        self.shared.snapshot().inbox.seen()
    }
}
