//! Many seeds on all processors: the first broken promise ends it, and so does a fault that never occurred.

use std::{
    num::NonZeroUsize,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    bug::Bug,
    faults::{Counts, FAULTS, Fault},
    machine::Machine,
    run::Run,
};

/// What came of many seeds.
#[derive(Debug, Default)]
pub struct Campaign {
    /// How many were played.
    pub seeds: u64,
    /// How long it took.
    pub took: Duration,
    /// How often each fault occurred, over all of them.
    pub counts: Counts,
    /// Entries that became durable in logs.
    pub logged: u64,
    /// The lowest seed of those that broke a promise, and which.
    pub broken: Option<(u64, String)>,
}

impl Campaign {
    /// Plays the seeds from `base` on; with a planted bug it is meant to end early.
    pub fn play(
        machine: Machine,
        base: u64,
        seeds: u64,
        bug: Option<Bug>,
        stopwatch: fn() -> Duration,
    ) -> Self {
        let began = stopwatch();
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let sum = Mutex::new(Self::default());
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut own = Self::default();
                    while !stop.load(Ordering::Relaxed) {
                        let no = next.fetch_add(1, Ordering::Relaxed);
                        if no >= seeds {
                            break;
                        }
                        let seed = base.wrapping_add(no);
                        if own.add(seed, machine.play(seed, bug, false)) {
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                    sum.lock().unwrap_or_else(PoisonError::into_inner).merge(own);
                });
            }
        });
        let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
        sum.took = stopwatch().saturating_sub(began);
        sum
    }

    /// Counts a run; tells whether it broke a promise.
    fn add(&mut self, seed: u64, run: Run) -> bool {
        self.seeds = self.seeds.saturating_add(1);
        self.counts.merge(&run.counts);
        self.logged = self.logged.saturating_add(run.logged);
        if let Some(why) = run.broken {
            self.broken = Some((seed, why));
            return true;
        }
        false
    }

    fn merge(&mut self, other: Self) {
        self.seeds = self.seeds.saturating_add(other.seeds);
        self.counts.merge(&other.counts);
        self.logged = self.logged.saturating_add(other.logged);
        let both = self.broken.take().into_iter().chain(other.broken);
        self.broken = both.min_by_key(|(seed, _)| *seed);
    }

    /// The faults that this machine knows and that never occurred.
    pub fn missing(&self, machine: Machine) -> Vec<Fault> {
        FAULTS.into_iter().filter(|fault| machine.knows(*fault) && self.counts.of(*fault) == 0).collect()
    }
}
