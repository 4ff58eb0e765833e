//! Measures spans of real time: the one place of the bench that reads a monotonic clock.

#![expect(clippy::disallowed_methods, reason = "measuring real time is what a bench is for")]

use std::time::{Duration, Instant};

/// Runs from the moment it is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it has run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// The same, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}
