//! The last run of each job.

use async_trait::async_trait;
use qpq_core::Millis;
use qpq_storage::{JobRun, JobsRead, JobsWrite, Stored};

use crate::{
    fields::each,
    transaction::{Transaction, int, sql, time},
};

#[async_trait]
impl JobsRead for Transaction {
    async fn job_runs(&mut self) -> Stored<Vec<JobRun>> {
        let query = sql("SELECT job, started, duration_ms, ok, result FROM job_runs ORDER BY job");
        each("job_runs", &self.rows("job_runs", query).await?, |row| {
            Ok(JobRun {
                job: row.text("job")?,
                started: row.time("started")?,
                duration: Millis(row.number("duration_ms")?),
                ok: row.flag("ok")?,
                result: row.text("result")?,
            })
        })
    }
}

#[async_trait]
impl JobsWrite for Transaction {
    async fn job_run_store(&mut self, run: &JobRun) -> Stored<()> {
        let replace =
            sql("REPLACE INTO job_runs (job, started, duration_ms, ok, result) VALUES (?, ?, ?, ?, ?)")
                .bind(run.job.clone())
                .bind(time(run.started))
                .bind(int(run.duration.0))
                .bind(i64::from(run.ok))
                .bind(run.result.clone());
        self.run("job_run_store", replace).await.map(drop)
    }
}
