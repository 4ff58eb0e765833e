//! The scheduler that says when jobs are due: tokio-cron-scheduler, watched for a clock that is set back.
//!
//! It only says so: each job has a task of its own that runs it (`homeserver/service/src/jobs.rs`). The scheduler counts
//! by the machine's clock, and after a step back it would wait until the old time has come again; so it is made anew
//! when that is noticed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use futures::future::BoxFuture;
use qpq_core::{Clock, Timestamp};
use qpq_service::{JOBS, Jobs, Schedule};
use tokio::sync::Mutex;
use tokio_cron_scheduler::{Job, JobScheduler};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, warn};

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Called with the name of a job that is due.
type Due = Arc<dyn Fn(&'static str) + Send + Sync>;

/// The schedule that runs.
#[derive(Debug)]
struct Clockwork(Mutex<Option<Armed>>);

/// Asks the scheduler for the next run of one job.
type Next = Box<dyn Fn() -> BoxFuture<'static, Option<Timestamp>> + Send + Sync>;

struct Armed {
    scheduler: JobScheduler,
    next: BTreeMap<&'static str, Next>,
}

impl std::fmt::Debug for Armed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Armed").field("jobs", &self.next.keys()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Schedule for Clockwork {
    async fn next_run(&self, job: &str) -> Option<Timestamp> {
        let asked = self.0.lock().await.as_ref()?.next.get(job)?();
        asked.await
    }
}

/// Starts every job; they end with `stopping`.
pub(super) async fn start(
    jobs: &Jobs,
    clock: Arc<dyn Clock>,
    tasks: &TaskTracker,
    stopping: &CancellationToken,
) -> anyhow::Result<()> {
    let due: Due = {
        let jobs = jobs.clone();
        Arc::new(move |job| jobs.due(job))
    };
    let armed = arm(&due).await.context("the job scheduler could not start")?;
    let clockwork = Arc::new(Clockwork(Mutex::new(Some(armed))));
    jobs.connect(Arc::<Clockwork>::clone(&clockwork));
    for job in &JOBS {
        let (jobs, stopping) = (jobs.clone(), stopping.clone());
        drop(tasks.spawn(async move { jobs.drive(job, stopping).await }));
    }
    let (stopping, began) = (stopping.clone(), clock.now());
    drop(tasks.spawn(async move { watch(&clockwork, &due, clock.as_ref(), began, &stopping).await }));
    Ok(())
}

async fn arm(due: &Due) -> Result<Armed, tokio_cron_scheduler::JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let mut next: BTreeMap<&'static str, Next> = BTreeMap::new();
    for job in &JOBS {
        let due = Arc::clone(due);
        let id = scheduler.add(Job::new(job.schedule, move |_, _| due(job.id))?).await?;
        let asked = scheduler.clone();
        let ask = move || -> BoxFuture<'static, Option<Timestamp>> {
            let mut scheduler = asked.clone();
            Box::pin(async move {
                let at = scheduler.next_tick_for_job(id).await.ok()??;
                u64::try_from(at.timestamp_millis()).ok().map(Timestamp::from_millis)
            })
        };
        next.insert(job.id, Box::new(ask));
    }
    scheduler.start().await?;
    Ok(Armed { scheduler, next })
}

/// Until the end: a clock that went back since the schedule was made, at `last`, makes it anew. Then the schedule ends.
async fn watch(
    clockwork: &Clockwork,
    due: &Due,
    clock: &dyn Clock,
    mut last: Timestamp,
    stopping: &CancellationToken,
) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = clock.now();
        // The scheduler can't count before 1970: none runs until the clock is right again.
        if now.as_millis() == 0 {
            end(clockwork).await;
            last = now;
            continue;
        }
        if now < last || clockwork.0.lock().await.is_none() {
            if now < last {
                warn!(%now, before = %last, "the clock was set back: the jobs' schedule is made anew");
            }
            end(clockwork).await;
            match arm(due).await {
                Ok(armed) => *clockwork.0.lock().await = Some(armed),
                Err(cause) => {
                    error!(
                        error = &cause as &dyn std::error::Error,
                        "the job scheduler could not start, will retry"
                    );
                }
            }
        }
        last = now;
    }
    end(clockwork).await;
}

async fn end(clockwork: &Clockwork) {
    if let Some(Armed { mut scheduler, next: _ }) = clockwork.0.lock().await.take()
        && let Err(cause) = scheduler.shutdown().await
    {
        warn!(error = &cause as &dyn std::error::Error, "the former schedule did not end");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex as StdMutex,
        atomic::{AtomicU64, Ordering},
    };

    use qpq_core::{Millis, SystemClock};

    use super::*;

    /// A clock that goes where it is set.
    #[derive(Debug)]
    struct Set(AtomicU64);

    impl Set {
        fn now() -> Arc<Self> {
            Arc::new(Self(AtomicU64::new(SystemClock.now().as_millis())))
        }
    }

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    /// A schedule whose jobs say that they are due, and what watches it.
    async fn watched(
        clock: &Arc<Set>,
    ) -> (Arc<Clockwork>, Arc<StdMutex<Vec<&'static str>>>, CancellationToken) {
        let heard: Arc<StdMutex<Vec<&'static str>>> = Arc::default();
        let (told, stopping) = (Arc::clone(&heard), CancellationToken::new());
        let due: Due = Arc::new(move |job| told.lock().unwrap().push(job));
        let clockwork = Arc::new(Clockwork(Mutex::new(Some(arm(&due).await.unwrap()))));
        let (watching, clock, stop) = (Arc::clone(&clockwork), Arc::clone(clock), stopping.clone());
        let began = clock.now();
        drop(
            TaskTracker::new()
                .spawn(async move { watch(&watching, &due, clock.as_ref(), began, &stop).await }),
        );
        (clockwork, heard, stopping)
    }

    async fn until(what: impl AsyncFn() -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while !what().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        waited.await.unwrap();
    }

    #[tokio::test]
    async fn a_job_of_each_second_is_due_each_second_and_the_next_run_is_known() {
        let clock = Set::now();
        let (clockwork, heard, stopping) = watched(&clock).await;
        for job in &JOBS {
            let next = clockwork.next_run(job.id).await.unwrap();
            assert!(next.since(SystemClock.now()) <= Millis::from_days(1), "{}", job.id);
        }
        until(async || heard.lock().unwrap().iter().filter(|job| **job == "lift-bans").count() >= 2).await;
        stopping.cancel();
        until(async || clockwork.0.lock().await.is_none()).await;
        assert_eq!(clockwork.next_run("sample").await, None);
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_makes_the_schedule_anew() {
        let clock = Set::now();
        let (clockwork, heard, stopping) = watched(&clock).await;
        let context =
            async || clockwork.0.lock().await.as_ref().map(|armed| Arc::as_ptr(&armed.scheduler.context));
        let before = clockwork.0.lock().await.as_ref().map(|armed| armed.scheduler.context()).unwrap();
        clock.0.fetch_sub(Millis::from_days(30).0, Ordering::SeqCst);
        until(async || context().await.is_some_and(|now| !std::ptr::eq(now, Arc::as_ptr(&before)))).await;
        heard.lock().unwrap().clear();
        until(async || heard.lock().unwrap().contains(&"lift-bans")).await;
        stopping.cancel();
    }
}
