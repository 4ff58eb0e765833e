//! Rules for KeyPackages: how long they live, which one a claim takes, when a device must bring more.
//!
//! OpenMLS checks that a KeyPackage is valid *now*, not how far its lifetime reaches; and a commit that is processed
//! after an added KeyPackage expired fails for ever, at members and in replay. So the hub wants 35 days of rest.

use qpq_core::{Millis, Timestamp, limits};

/// Clocks of two devices may differ by this much.
const SKEW: Millis = Millis::from_secs(3_600);

/// From when to when a KeyPackage is valid (RFC 9420, section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// First moment.
    pub not_before: Timestamp,
    /// Last moment.
    pub not_after: Timestamp,
}

/// Why a KeyPackage's lifetime is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LifetimeError {
    /// It ends before it begins, or reaches further than allowed.
    #[error("a KeyPackage lives at most 84 days")]
    Range,
    /// It begins in the future, beyond what clocks may differ.
    #[error("the KeyPackage is not valid yet")]
    Future,
    /// Too little is left.
    #[error("the KeyPackage has less than 35 days left")]
    Remaining,
}

impl Lifetime {
    /// Whether a package may be uploaded, claimed or added now.
    pub fn check(&self, now: Timestamp) -> Result<(), LifetimeError> {
        // Makers date packages back a little, against slow clocks; that hour is not counted.
        let longest = Millis(limits::KEY_PACKAGE_LIFETIME.0.saturating_add(SKEW.0));
        if self.not_after < self.not_before || self.not_after.since(self.not_before) > longest {
            return Err(LifetimeError::Range);
        }
        if self.not_before.since(now) > SKEW {
            return Err(LifetimeError::Future);
        }
        if self.not_after.since(now) < limits::KEY_PACKAGE_REMAINING {
            return Err(LifetimeError::Remaining);
        }
        Ok(())
    }

    /// When a claim stops taking the package.
    pub fn usable_until(&self) -> Timestamp {
        self.not_after.before(limits::KEY_PACKAGE_REMAINING)
    }
}

/// Whether a package is used up by a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Claimed once, then gone.
    OneTime,
    /// Stays when the others are gone.
    LastResort,
}

/// A stored package, as far as choosing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<R> {
    /// What the store calls it.
    pub reference: R,
    /// Whether a claim uses it up.
    pub reuse: Reuse,
    /// How long it is valid.
    pub lifetime: Lifetime,
}

/// Picks the package that a claim takes: the one-time package that ends first, else the last resort, else none.
pub fn choose<R: Copy>(stock: &[Candidate<R>], now: Timestamp) -> Option<Candidate<R>> {
    let usable =
        |reuse: Reuse| stock.iter().filter(move |c| c.reuse == reuse && c.lifetime.check(now).is_ok());
    usable(Reuse::OneTime)
        .min_by_key(|c| c.lifetime.not_after)
        .or_else(|| usable(Reuse::LastResort).max_by_key(|c| c.lifetime.not_after))
        .copied()
}

/// Whether a device should be asked for more packages.
pub const fn is_low(one_time: u64) -> bool {
    one_time < limits::KEY_PACKAGES_LOW
}

/// Whether the last-resort package is old enough to be replaced.
pub fn last_resort_is_due(lifetime: &Lifetime, now: Timestamp) -> bool {
    now.since(lifetime.not_before) >= limits::LAST_RESORT_RENEWAL
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn days(from: u64, to: u64) -> Lifetime {
        Lifetime {
            not_before: Timestamp::from_millis(Millis::from_days(from).0),
            not_after: Timestamp::from_millis(Millis::from_days(to).0),
        }
    }

    fn day(n: u64) -> Timestamp {
        Timestamp::from_millis(Millis::from_days(n).0)
    }

    #[test]
    fn lifetimes_beyond_the_rules_are_refused() {
        assert_eq!(days(100, 184).check(day(100)), Ok(()));
        assert_eq!(days(100, 186).check(day(100)), Err(LifetimeError::Range));
        assert_eq!(days(184, 100).check(day(100)), Err(LifetimeError::Range));
        assert_eq!(days(102, 184).check(day(100)), Err(LifetimeError::Future));
        assert_eq!(days(100, 184).check(day(149)), Ok(()));
        assert_eq!(days(100, 184).check(day(150)), Err(LifetimeError::Remaining));
    }

    #[test]
    fn the_last_resort_is_renewed_at_49_days() {
        assert!(!last_resort_is_due(&days(100, 184), day(148)));
        assert!(last_resort_is_due(&days(100, 184), day(149)));
    }

    proptest! {
        #[test]
        fn the_last_resort_goes_only_when_the_rest_is_gone(
            stock in proptest::collection::vec((any::<bool>(), 60_u64..240), 0..12),
            now in 100_u64..200,
        ) {
            let stock: Vec<_> = stock
                .iter()
                .enumerate()
                .map(|(reference, (one_time, end))| Candidate {
                    reference,
                    reuse: if *one_time { Reuse::OneTime } else { Reuse::LastResort },
                    lifetime: days(end - 60, *end),
                })
                .collect();
            let usable = |c: &&Candidate<usize>| c.lifetime.check(day(now)).is_ok();
            let one_time = stock.iter().filter(usable).any(|c| c.reuse == Reuse::OneTime);
            match choose(&stock, day(now)) {
                Some(chosen) => {
                    prop_assert!(chosen.lifetime.check(day(now)).is_ok());
                    prop_assert_eq!(chosen.reuse == Reuse::OneTime, one_time);
                }
                None => prop_assert!(!stock.iter().any(|c| usable(&c))),
            }
        }
    }
}
