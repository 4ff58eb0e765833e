//! How much goes into one relay call: as much as the line carries in good time.
//!
//! A call that is not over by its deadline is lost as a whole, and the next of the same size would be too: over a narrow line
//! nothing would ever arrive. So calls begin small, grow while they are quick, and shrink when they are slow.

use core::time::Duration;

use qpq_core::limits;

/// The first call.
const FIRST: usize = 64 * 1024;
/// No call is smaller; a single row may be larger.
const LEAST: usize = 8 * 1024;
/// A call that took less could have carried more.
const QUICK: Duration = Duration::from_secs(1);
/// A call that took more should carry less, long before its deadline.
const SLOW: Duration = Duration::from_secs(4);

/// What the next call to a peer may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    bytes: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { bytes: FIRST }
    }
}

impl Pace {
    /// Bytes of payload in the next call.
    pub const fn bytes(self) -> usize {
        self.bytes
    }

    /// A call with so many bytes of payload was answered after this time. That a small one was quick says nothing about a large
    /// one.
    pub fn handle_answered(&mut self, carried: usize, took: Duration) {
        let filled = carried >= self.bytes / 2;
        if took < QUICK && filled {
            self.bytes = self.bytes.saturating_mul(2).min(limits::BATCH_BYTES);
        } else if took > SLOW {
            self.shrink();
        }
    }

    /// A call was not answered in time.
    pub fn handle_unanswered(&mut self) {
        self.shrink();
        self.shrink();
    }

    fn shrink(&mut self) {
        self.bytes = self.bytes.checked_div(2).unwrap_or(LEAST).max(LEAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_answers_lead_to_full_calls() {
        let mut pace = Pace::default();
        for _ in 0..4 {
            pace.handle_answered(pace.bytes(), Duration::from_millis(20));
        }
        assert_eq!(pace.bytes(), limits::BATCH_BYTES);
    }

    #[test]
    fn quick_answers_to_small_calls_say_nothing_about_large_ones() {
        let mut pace = Pace::default();
        for _ in 0..40 {
            pace.handle_answered(1_000, Duration::from_millis(1));
        }
        assert_eq!(pace, Pace::default());
    }

    #[test]
    fn on_a_narrow_line_calls_shrink_until_they_are_over_in_time() {
        for bytes_per_second in [4_000, 12_500, 50_000, 1_000_000] {
            let (mut pace, mut unanswered) = (Pace { bytes: limits::BATCH_BYTES }, 0);
            for _ in 0..40 {
                let millis = pace.bytes() * 1_000 / bytes_per_second;
                let took = Duration::from_millis(u64::try_from(millis).unwrap());
                if took > Duration::from_secs(15) {
                    unanswered += 1;
                    pace.handle_unanswered();
                } else {
                    pace.handle_answered(pace.bytes(), took);
                }
            }
            assert!(
                unanswered <= 4,
                "{unanswered} calls at {bytes_per_second} bytes per second were in vain"
            );
        }
    }
}
