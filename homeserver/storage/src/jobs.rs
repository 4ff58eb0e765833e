//! What came of the jobs that run by themselves: the last run of each.

use async_trait::async_trait;
use qpq_core::{Millis, Timestamp};

use crate::Stored;

/// The last run of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRun {
    /// Which job.
    pub job: String,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub duration: Millis,
    /// Whether it did what it should.
    pub ok: bool,
    /// What it did, or why not, in words.
    pub result: String,
}

/// Reads runs of jobs.
#[async_trait]
pub trait JobsRead: Send {
    /// The last run of every job that ever ran, by name.
    async fn job_runs(&mut self) -> Stored<Vec<JobRun>>;
}

/// Writes runs of jobs.
#[async_trait]
pub trait JobsWrite: Send {
    /// Stores a run; it takes the place of the one before.
    async fn job_run_store(&mut self, run: &JobRun) -> Stored<()>;
}
