//! What is looked at when somebody asks, because it is not counted as it happens.

use std::time::Duration;

use crate::{Bans, PeerState};

/// A look at the homeserver. What could not be looked at stays as it was told the last time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Sessions that connections hold now.
    pub sessions: u64,
    /// Writes that wait for the next batch.
    pub write_queue_jobs: u64,
    /// What waits for peers.
    pub queue: Option<Queue>,
    /// Messages that peers could not take.
    pub dead_letters: Option<u64>,
    /// How many peers stand where.
    pub peers: Vec<(PeerState, u64)>,
    /// Bans in force.
    pub bans: Vec<(Bans, u64)>,
    /// Rows of the audit log.
    pub audit_rows: Option<u64>,
    /// Entries of the key-transparency log.
    pub log_entries: Option<u64>,
    /// Of those, how many are in the newest checkpoint that has the cosignatures it needs; all, if it needs none.
    pub log_cosigned_entries: Option<u64>,
    /// Size of the database file.
    pub database_bytes: Option<u64>,
    /// Size of its write-ahead log.
    pub database_wal_bytes: Option<u64>,
}

/// What waits for peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How many rows.
    pub rows: u64,
    /// How long the oldest of them has waited; zero if none does.
    pub oldest: Duration,
}
