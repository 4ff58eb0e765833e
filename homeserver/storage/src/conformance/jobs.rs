//! Runs of jobs, and the ring of samples.

use qpq_core::Millis;

use super::{Outcome, Subject, fixtures::at, read, same, write};
use crate::{JobRun, Sample};

fn run(job: &str, started: u64, ok: bool) -> JobRun {
    JobRun {
        job: job.to_owned(),
        started: at(started),
        duration: Millis(12),
        ok,
        result: "lifted 3 bans; <b>\"done\"</b>".to_owned(),
    }
}

/// The last run of each job is kept, across a restart, by name.
pub async fn the_last_run_of_a_job_is_kept(subject: &mut dyn Subject) -> Outcome {
    let (first, second, other) = (run("upkeep", 1, true), run("upkeep", 2, false), run("check", 3, true));
    let mut tx = write(subject).await?;
    for run in [&first, &second, &other] {
        tx.job_run_store(run).await?;
    }
    tx.commit().await?;
    subject.reopen().await?;
    same("runs", read(subject).await?.job_runs().await?, vec![other, second])
}

fn sample(series: &str, second: u64, value: u64) -> Sample {
    Sample { series: series.to_owned(), at: at(second), value }
}

/// Samples come back by series and time; a second one of the same time takes the place of the first; what lies outside
/// of the ring goes, the future included.
pub async fn samples_are_a_ring(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    let early = [sample("rows", 1, 5), sample("rows", 2, 6), sample("bytes", 2, u64::from(u32::MAX) * 4)];
    tx.samples_store(&early, at(0), at(2)).await?;
    tx.samples_store(&[sample("rows", 2, 7), sample("rows", 9, 8)], at(1), at(9)).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let all = vec![
        sample("bytes", 2, u64::from(u32::MAX) * 4),
        sample("rows", 1, 5),
        sample("rows", 2, 7),
        sample("rows", 9, 8),
    ];
    same("all", read(subject).await?.samples().await?, all)?;
    // The clock went back from 9 to 3: what lies ahead is of a time that has not come.
    let mut tx = write(subject).await?;
    tx.samples_store(&[sample("rows", 3, 1)], at(2), at(3)).await?;
    let left = vec![sample("bytes", 2, u64::from(u32::MAX) * 4), sample("rows", 2, 7), sample("rows", 3, 1)];
    same("left", tx.samples().await?, left)
}
