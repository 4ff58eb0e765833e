//! Medians and percentiles.

use std::time::Duration;

/// Rounds of one measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    /// One more round.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// The median; the upper one of an even number.
    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The lowest.
    pub(crate) fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    /// The highest.
    pub(crate) fn most(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }
}

/// Two percentiles, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    /// The median.
    pub(crate) p50: f64,
    /// What 99 of 100 stay below.
    pub(crate) p99: f64,
}

impl Latency {
    /// Of single measurements; not a number if there are none.
    pub(crate) fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |percent: usize| {
            // Nearest rank.
            let rank = (took.len() * percent).div_ceil(100).max(1) - 1;
            took.get(rank).map_or(f64::NAN, |took| took.as_secs_f64() * 1_000.0)
        };
        Self { p50: at(50), p99: at(99) }
    }
}

/// The medians of several rounds' percentiles.
#[derive(Clone, Debug, Default)]
pub(crate) struct LatencyRounds {
    p50: Rounds,
    p99: Rounds,
}

impl LatencyRounds {
    /// One more round.
    pub(crate) fn push(&mut self, latency: Latency) {
        self.p50.push(latency.p50);
        self.p99.push(latency.p99);
    }

    /// The medians.
    pub(crate) fn medians(&self) -> Latency {
        Latency { p50: self.p50.median(), p99: self.p99.median() }
    }

    /// The worst round's 99th percentile.
    pub(crate) fn worst(&self) -> f64 {
        self.p99.most()
    }
}

/// A count as a rate.
pub(crate) fn per_second(count: u64, seconds: f64) -> f64 {
    ratio(count, 1) / seconds
}

/// A quotient of counts.
pub(crate) fn ratio(count: u64, of: u64) -> f64 {
    // Above 2^32 the last digits don't matter.
    let float = |n: u64| match u32::try_from(n) {
        Ok(n) => f64::from(n),
        Err(_) => f64::from(u32::try_from(n >> 16).unwrap_or(u32::MAX)) * 65_536.0,
    };
    float(count) / float(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let latency = Latency::of((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(format!("{} {}", latency.p50, latency.p99), "50 99");
        assert_eq!(format!("{}", Latency::of(vec![Duration::from_millis(7)]).p99), "7");
        assert!(Latency::of(Vec::new()).p99.is_nan());
    }

    #[test]
    fn large_counts_keep_their_size() {
        assert!((ratio(1 << 40, 1 << 30) - 1_024.0).abs() < 0.1);
    }
}
