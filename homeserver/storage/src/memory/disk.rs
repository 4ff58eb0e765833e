//! The disk under a store in memory: what becomes of a commit, and what an observer sees afterwards.

use std::fmt;

use async_trait::async_trait;
use qpq_core::{Domain, Incarnation, MessageId, Seq};

use super::{MemoryStorage, State};
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
pub trait Disk: Send + Sync + fmt::Debug {
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
    /// The peer's life in which the last of them was numbered.
    pub life: Incarnation,
    /// Its parked rows, in the order in which they were applied.
    pub rows: Vec<ParkedRow>,
}

/// What was committed at some moment, to be put back.
#[derive(Clone)]
pub struct Copied(State);

impl fmt::Debug for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copied").finish_non_exhaustive()
    }
}

impl MemoryStorage {
    /// Copies what is committed now.
    pub fn copied(&self) -> Copied {
        Copied(self.shared.snapshot())
    }

    /// Puts the store back to a copy, while nobody writes.
    pub fn put_back(&self, copied: &Copied) {
        self.shared.replace(copied.0.clone());
    }

    /// Every stream to peers, as it was committed last.
    pub fn queues_seen(&self) -> Vec<QueueSeen> {
        self.shared.snapshot().outbox.seen()
    }

    /// Every stream from peers that has parked rows, as it was committed last.
    pub fn parked_seen(&self) -> Vec<ParkedSeen> {
        self.shared.snapshot().inbox.seen()
    }
}
