//! How often somebody may do something: token buckets, bounded in number.

use std::collections::BTreeMap;

use qpq_core::{Millis, Timestamp, limits};

/// So many at once, then one more each `refill`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many may come at once.
    pub burst: u32,
    /// How long one takes to come back; zero: no limit.
    pub refill: Millis,
}

impl Rate {
    /// Claims of one requester on one target: 6 at once, then one in ten minutes.
    pub const CLAIMS_PER_TARGET: Self = Self { burst: 6, refill: Millis::from_secs(600) };

    /// The default of submits per user.
    pub const fn submits() -> Self {
        Self::per_minute(limits::SUBMITS_PER_MINUTE)
    }

    /// `count` a minute, all of which may come at once.
    pub const fn per_minute(count: u32) -> Self {
        let refill = match 60_000_u64.checked_div(count as u64) {
            Some(refill) => refill,
            // Nothing a minute: a day apart is as good as never.
            None => 86_400_000,
        };
        Self { burst: count, refill: Millis(refill) }
    }

    /// How long the whole burst takes to come back.
    const fn full(self) -> Millis {
        Millis(self.refill.0.saturating_mul(self.burst as u64))
    }
}

/// Too many: try again after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many of these requests in a short time")]
pub struct TooMany {
    /// When the same request would pass.
    pub retry_after: Millis,
}

/// One bucket, kept as the moment at which it is full again ("generic cell rate algorithm", ITU-T I.371).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Bucket {
    full_at: Timestamp,
}

impl Bucket {
    fn take(&mut self, rate: Rate, count: u32, now: Timestamp) -> Result<(), TooMany> {
        let cost = Millis(rate.refill.0.saturating_mul(u64::from(count)));
        // A clock that was ahead and was set back leaves no more than an empty bucket.
        self.full_at = self.full_at.min(now.after(rate.full()));
        let full_at = self.full_at.max(now).after(cost);
        let debt = full_at.since(now);
        if debt > rate.full() {
            return Err(TooMany { retry_after: Millis(debt.0.saturating_sub(rate.full().0)) });
        }
        self.full_at = full_at;
        Ok(())
    }
}

/// Buckets by who asks. At most `bound` are kept; those that are full again are forgotten first.
#[derive(Clone, Debug)]
pub struct Rates<K> {
    rate: Rate,
    bound: usize,
    buckets: BTreeMap<K, Bucket>,
}

impl<K: Ord + Clone> Rates<K> {
    /// No history yet.
    pub const fn new(rate: Rate, bound: usize) -> Self {
        Self { rate, bound, buckets: BTreeMap::new() }
    }

    /// Takes `count` from the bucket of `key`, all or nothing.
    pub fn take(&mut self, key: &K, count: u32, now: Timestamp) -> Result<(), TooMany> {
        if let Some(bucket) = self.buckets.get_mut(key) {
            return bucket.take(self.rate, count, now);
        }
        if self.buckets.len() >= self.bound {
            self.buckets.retain(|_, bucket| bucket.full_at > now);
        }
        let mut bucket = Bucket::default();
        bucket.take(self.rate, count, now)?;
        if self.buckets.len() >= self.bound {
            // More askers at once than we remember: the newcomer waits, so that memory stays bounded and nobody
            // gets a fresh bucket by crowding others out.
            return Err(TooMany { retry_after: self.rate.full() });
        }
        self.buckets.insert(key.clone(), bucket);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn claims_are_six_and_then_one_in_ten_minutes() {
        let mut rates = Rates::new(Rate::CLAIMS_PER_TARGET, 10);
        for _ in 0..6 {
            assert_eq!(rates.take(&"bob", 1, at(1)), Ok(()));
        }
        assert_eq!(rates.take(&"bob", 1, at(1)), Err(TooMany { retry_after: Millis(600_000) }));
        assert_eq!(rates.take(&"carol", 1, at(1)), Ok(()));
        assert_eq!(rates.take(&"bob", 1, at(600_001)), Ok(()));
        assert!(rates.take(&"bob", 1, at(600_001)).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let mut rates = Rates::new(Rate { burst: 2, refill: Millis(10) }, 4);
        assert_eq!(rates.take(&"bob", 2, at(1_000_000)), Ok(()));
        let TooMany { retry_after } = rates.take(&"bob", 1, at(5)).unwrap_err();
        assert!(retry_after <= Millis(20), "{retry_after:?}");
        assert_eq!(rates.take(&"bob", 1, at(5 + 20)), Ok(()));
    }

    #[test]
    fn many_askers_take_bounded_memory() {
        let mut rates = Rates::new(Rate::per_minute(100), 3);
        for key in 0..3 {
            assert_eq!(rates.take(&key, 1, at(0)), Ok(()));
        }
        assert!(rates.take(&3, 1, at(0)).is_err());
        assert_eq!(rates.take(&3, 1, at(700)), Ok(()));
        assert!(rates.buckets.len() <= 3);
    }

    proptest! {
        #[test]
        fn never_more_than_burst_plus_refill(
            gaps in proptest::collection::vec(0_u64..2_000, 1..300),
            burst in 1_u32..20,
            refill in 1_u64..1_000,
        ) {
            let mut rates = Rates::new(Rate { burst, refill: Millis(refill) }, 4);
            let (mut now, mut passed) = (1_000_u64, 0_u64);
            let start = now;
            for gap in gaps {
                now += gap;
                match rates.take(&0, 1, at(now)) {
                    Ok(()) => passed += 1,
                    Err(TooMany { retry_after }) => {
                        prop_assert!(retry_after.0 > 0);
                        let mut later = rates.clone();
                        prop_assert_eq!(later.take(&0, 1, at(now).after(retry_after)), Ok(()));
                    }
                }
                prop_assert!(passed <= u64::from(burst) + (now - start) / refill);
            }
        }
    }
}
