//! What runs by itself: a list of jobs, when each is due, and what came of its last run.
//!
//! A job is due when the schedule says so ([`Jobs::due`], called by the binary's scheduler) or an admin does
//! ([`Jobs::run_now`]). Each job has one task ([`Jobs::drive`]), so it never overlaps itself: what becomes due while it
//! runs makes it run once more. Results are stored; of a job that runs each second only what is new, and else once a
//! minute, so that it costs no write each second.

mod work;

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use qpq_core::{ErrorCode, Millis, Timestamp};
use qpq_metrics::JobResult;
use qpq_storage::{JobRun, Stored, WriteTx};
use serde::Serialize;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{Answered, Bans, Checks, Ground, Peering, Refusal, Sessions, UseCases, WriteJob};

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name; the audit log says `job:NAME`.
    pub id: &'static str,
    /// What it does.
    pub about: &'static str,
    /// When it is due, in UTC: second, minute, hour, day of the month, month, day of the week.
    pub schedule: &'static str,
    /// Whether it runs at every start, or only if its last run is longer ago than this.
    pub at_start: AtStart,
    /// A run that takes longer is given up.
    pub deadline: Duration,
    /// A result that did not change is stored again after this.
    pub store_again: Duration,
}

/// Whether a job runs at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStart {
    /// Always.
    Always,
    /// If it did not run for so long.
    IfOlder(Millis),
}

const fn job(id: &'static str, schedule: &'static str, about: &'static str) -> Job {
    Job {
        id,
        about,
        schedule,
        at_start: AtStart::Always,
        deadline: Duration::from_mins(5),
        store_again: Duration::ZERO,
    }
}

/// Every job.
pub const JOBS: [Job; 9] = [
    Job {
        store_again: Duration::from_mins(1),
        ..job("lift-bans", "* * * * * *", "Lifts bans whose time is over.")
    },
    job(
        "upkeep",
        "0 * * * * *",
        "Lets go of sessions, KeyPackages, records and entries of groups' logs whose time is over.",
    ),
    job("expire-messages", "20 * * * * *", "Expires messages that were not read in their time."),
    job("cut-off", "0 41 * * * *", "Cuts devices off that stayed away from a larger group for too long."),
    job(
        "expire-relay",
        "10,40 * * * * *",
        "Expires what could not be sent to other domains in its time, or to those that are no peers any more.",
    ),
    job("check", "30 * * * * *", "Looks whether anything is wrong."),
    job("sample", "0 */5 * * * *", "Takes the figures that the overview draws."),
    Job {
        at_start: AtStart::IfOlder(Millis::from_days(1)),
        deadline: Duration::from_hours(1),
        ..job("check-database", "0 17 3 * * *", "Reads the whole database and looks whether it is damaged.")
    },
    Job {
        at_start: AtStart::IfOlder(Millis::from_days(1)),
        ..job(
            "check-log",
            "0 7 3 * * *",
            "Reads the whole key-transparency log and looks whether it is what it signed.",
        )
    },
];

/// Whoever asks for a run waits this long for its end.
const WAIT: Duration = Duration::from_secs(25);

/// Knows when jobs are due next; the binary's scheduler.
#[async_trait]
pub trait Schedule: Send + Sync + fmt::Debug {
    /// When the job is due next.
    async fn next_run(&self, job: &str) -> Option<Timestamp>;
}

/// A job with its last run, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobView {
    /// Its name.
    pub id: &'static str,
    /// What it does.
    pub about: &'static str,
    /// When it is due.
    pub schedule: &'static str,
    /// When its last run began.
    pub last_started: Option<Timestamp>,
    /// How long that took.
    pub last_duration_ms: Option<u64>,
    /// What it did, or why not.
    pub last_result: Option<String>,
    /// Whether it did what it should.
    pub last_ok: Option<bool>,
    /// When it is due next.
    pub next_run: Option<Timestamp>,
}

/// All jobs of a homeserver; cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ground: Arc<Ground>,
    bans: Bans,
    sessions: Sessions,
    peering: Peering,
    checks: Checks,
    began: Instant,
    states: Vec<State>,
    schedule: OnceLock<Arc<dyn Schedule>>,
}

/// How many runs of a job have begun and ended.
#[derive(Clone, Copy, Debug, Default)]
struct Runs {
    begun: u64,
    ended: u64,
}

/// How one job is.
#[derive(Debug)]
pub(crate) struct State {
    job: &'static Job,
    due: Notify,
    runs: watch::Sender<Runs>,
    last: Mutex<Option<JobRun>>,
    stored: Mutex<Option<(Instant, bool, String)>>,
}

impl Jobs {
    /// The jobs on these use cases; nothing runs yet.
    pub fn new(cases: &UseCases, peering: Peering, checks: Checks) -> Self {
        let state = |job| State {
            job,
            due: Notify::new(),
            runs: watch::Sender::default(),
            last: Mutex::default(),
            stored: Mutex::default(),
        };
        Self(Arc::new(Inner {
            ground: Arc::clone(&cases.ground),
            bans: cases.bans.clone(),
            sessions: cases.sessions.clone(),
            peering,
            checks,
            began: Instant::now(),
            states: JOBS.iter().map(state).collect(),
            schedule: OnceLock::new(),
        }))
    }

    /// Connects the schedule, once, at start.
    pub fn connect(&self, schedule: Arc<dyn Schedule>) {
        if self.0.schedule.set(schedule).is_err() {
            warn!("the schedule was connected twice; the first one stays");
        }
    }

    /// A job is due: it runs as soon as its run under way has ended.
    pub fn due(&self, id: &str) {
        if let Some(state) = self.state(id) {
            state.due.notify_one();
        }
    }

    /// Runs a job whenever it is due, until `stopping`; a run that is under way then is given up.
    pub async fn drive(&self, job: &'static Job, stopping: CancellationToken) {
        let Some(state) = self.state(job.id) else { return };
        // What is stored is of the process before this one.
        if let Ok(mut tx) = self.0.ground.view().await
            && let Ok(runs) = tx.job_runs().await
        {
            let last = runs.into_iter().find(|run| run.job == job.id);
            *state.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
        }
        if self.wants_start(state) {
            state.due.notify_one();
        }
        while stopping.run_until_cancelled(state.due.notified()).await.is_some() {
            state.runs.send_modify(|runs| runs.begun = runs.begun.saturating_add(1));
            if stopping.run_until_cancelled(self.run(state)).await.is_none() {
                return;
            }
            state.runs.send_modify(|runs| runs.ended = runs.ended.saturating_add(1));
        }
    }

    fn wants_start(&self, state: &State) -> bool {
        let last = state.last.lock().unwrap_or_else(PoisonError::into_inner);
        match (state.job.at_start, last.as_ref()) {
            (AtStart::Always, _) | (AtStart::IfOlder(_), None) => true,
            (AtStart::IfOlder(age), Some(run)) => {
                let now = self.0.ground.now();
                run.started > now || now.since(run.started) > age
            }
        }
    }

    /// Runs a job now and waits for its end.
    pub async fn run_now(&self, id: &str) -> Answered<JobView> {
        let state = self.known(id)?;
        let mut runs = state.runs.subscribe();
        // A run that is under way began before it was asked for.
        let begun = runs.borrow().begun;
        state.due.notify_one();
        let ended =
            timeout(WAIT, runs.wait_for(|runs| runs.ended > begun)).await.is_ok_and(|seen| seen.is_ok());
        if ended {
            return Ok(self.view(state).await);
        }
        let text = format!("`{id}` runs and has not ended yet: see `job list`");
        Err(Refusal::retry(ErrorCode::Overloaded, text, Millis::from_secs(30)))
    }

    /// Every job with its last run.
    pub async fn list(&self) -> Vec<JobView> {
        let mut all = Vec::with_capacity(self.0.states.len());
        for state in &self.0.states {
            all.push(self.view(state).await);
        }
        all
    }

    /// Refuses the name of a job that there is not.
    pub(crate) fn known(&self, id: &str) -> Answered<&State> {
        let unknown = || format!("there is no job `{id}`: see `job list`");
        self.state(id).ok_or_else(|| Refusal::new(ErrorCode::NotFound, unknown()))
    }

    fn state(&self, id: &str) -> Option<&State> {
        self.0.states.iter().find(|state| state.job.id == id)
    }

    async fn view(&self, state: &State) -> JobView {
        let next_run = match self.0.schedule.get() {
            Some(schedule) => schedule.next_run(state.job.id).await,
            None => None,
        };
        let last = state.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Job { id, about, schedule, .. } = *state.job;
        JobView {
            id,
            about,
            schedule,
            last_started: last.as_ref().map(|run| run.started),
            last_duration_ms: last.as_ref().map(|run| run.duration.0),
            last_ok: last.as_ref().map(|run| run.ok),
            last_result: last.map(|run| run.result),
            next_run,
        }
    }

    async fn run(&self, state: &State) {
        let (started, watch) = (self.0.ground.now(), Instant::now());
        let done = timeout(state.job.deadline, self.perform(state.job.id))
            .await
            .unwrap_or_else(|_| Err(format!("it did not end within {} s", state.job.deadline.as_secs())));
        let duration = Millis(u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX));
        let (ok, result) = match done {
            Ok(result) => (true, result),
            Err(result) => {
                warn!(job = state.job.id, result, "a job failed");
                (false, result)
            }
        };
        let outcome = if ok { JobResult::Succeeded } else { JobResult::Failed };
        let ended = self.0.ground.now().as_seconds();
        self.0.ground.metrics().job(state.job.id, outcome, ended, watch.elapsed());
        let run = JobRun { job: state.job.id.to_owned(), started, duration, ok, result };
        self.keep(state, &run).await;
        *state.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
    }

    /// Stores a run if it says something new, or the last one that was stored is old.
    async fn keep(&self, state: &State, run: &JobRun) {
        let told = state.stored.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let same = told.is_some_and(|(at, ok, result)| {
            at.elapsed() < state.job.store_again && ok == run.ok && result == run.result
        });
        // A refusal was logged where it was met; the next run tries again.
        if !same && self.0.ground.write(Keep(run.clone())).await.is_ok() {
            let told = (Instant::now(), run.ok, run.result.clone());
            *state.stored.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        }
    }
}

struct Keep(JobRun);

#[async_trait]
impl WriteJob for Keep {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        tx.job_run_store(&self.0).await
    }
}

#[cfg(test)]
mod tests;
