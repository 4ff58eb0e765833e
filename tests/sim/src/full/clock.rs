//! A domain's clock: the run's, and how far it is off.

use std::sync::atomic::{AtomicI64, Ordering};

use qpq_core::{Clock, Timestamp};
use tokio::time::Instant;

/// When every run begins, on a clock that is right.
pub(crate) const EPOCH_MS: u64 = 1_800_000_000_000;

/// A clock that may be wrong, and may jump.
#[derive(Debug)]
pub(crate) struct SimClock {
    began: Instant,
    skew: AtomicI64,
}

impl SimClock {
    pub(crate) fn new(skew: i64) -> Self {
        Self { began: Instant::now(), skew: AtomicI64::new(skew) }
    }

    pub(crate) fn jump(&self, by: i64) {
        self.skew.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let gone = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let right = EPOCH_MS.saturating_add(gone);
        Timestamp::from_millis(right.saturating_add_signed(self.skew.load(Ordering::Relaxed)))
    }
}
