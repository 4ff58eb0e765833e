//! What a seed decides: every draw of a run comes from here, in one order, so that the same seed is the same run.

use qpq_core::{Entropy, SeededEntropy};

/// The dice of one run.
#[derive(Debug)]
pub(crate) struct Dice(SeededEntropy);

impl Dice {
    /// Dice that fall as `seed` says.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// A number from 0 up to, not including, `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// An index below `bound`.
    pub(crate) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.below(u64::try_from(bound).unwrap_or(u64::MAX))).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// True in so many of a thousand throws.
    pub(crate) fn per_mille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    /// Dice of their own for a part of the run, so that how often it throws moves nobody else's.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.below(u64::MAX))
    }

    /// For the code under test, which takes randomness as an argument.
    pub(crate) const fn entropy(&mut self) -> &mut dyn Entropy {
        &mut self.0
    }

    /// 16 random bytes.
    pub(crate) fn bytes16(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.0.fill(&mut bytes);
        bytes
    }
}
