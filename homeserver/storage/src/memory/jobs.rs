//! The last run of each job. In memory.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;

use super::MemoryTx;
use crate::{JobRun, JobsRead, JobsWrite, Stored};

/// The runs by their jobs.
#[derive(Clone, Default)]
pub(super) struct Jobs(BTreeMap<String, JobRun>);

#[async_trait]
impl JobsRead for MemoryTx {
    async fn job_runs(&mut self) -> Stored<Vec<JobRun>> {
        Ok(self.state.jobs.0.values().cloned().collect())
    }
}

#[async_trait]
impl JobsWrite for MemoryTx {
    async fn job_run_store(&mut self, run: &JobRun) -> Stored<()> {
        Arc::make_mut(&mut self.state.jobs).0.insert(run.job.clone(), run.clone());
        Ok(())
    }
}
