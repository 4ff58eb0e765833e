//! Positions in ordered streams, and the incarnation that makes them comparable across a restore.

use std::fmt;

use data_encoding::HEXLOWER;

use crate::{Entropy, Timestamp};

/// A position in one stream, log or mailbox: the first row has 1, "nothing yet" is 0.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first row.
    pub const ZERO: Self = Self(0);

    /// The next position.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// This position moved on by `count` rows.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// One life of a database: (milliseconds, 8 random bytes), new at `init` and at every restore.
///
/// Compared by its time first, so a later life is the greater one. Wire form: 16 bytes, big-endian time first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    time_ms: u64,
    random: [u8; 8],
}

impl Incarnation {
    /// Opens a new life.
    pub fn begin(now: Timestamp, entropy: &mut dyn Entropy) -> Self {
        let mut random = [0; 8];
        entropy.fill(&mut random);
        Self { time_ms: now.as_millis(), random }
    }

    /// The wire form.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (time, random) = bytes.split_at_mut(8);
        time.copy_from_slice(&self.time_ms.to_be_bytes());
        random.copy_from_slice(&self.random);
        bytes
    }

    /// Reads the wire form; `None` unless it has exactly 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let (time, random) = bytes.split_first_chunk::<8>()?;
        Some(Self { time_ms: u64::from_be_bytes(*time), random: random.try_into().ok()? })
    }

    /// When this life began.
    pub const fn time(self) -> Timestamp {
        Timestamp::from_millis(self.time_ms)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.time(), HEXLOWER.encode(&self.random))
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a device stands in one of its feeds (its mailbox, or the log of one group).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The life of the database that numbered the rows.
    pub incarnation: Incarnation,
    /// The last row that the device has.
    pub seq: Seq,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededEntropy;

    #[test]
    fn a_later_life_is_the_greater_one() {
        let mut entropy = SeededEntropy::new(1);
        let first = Incarnation::begin(Timestamp::from_millis(1), &mut entropy);
        let second = Incarnation::begin(Timestamp::from_millis(2), &mut entropy);
        assert!(first < second);
        assert_eq!(Incarnation::from_slice(&second.to_bytes()), Some(second));
        assert_eq!(Incarnation::from_slice(&[0; 15]), None);
    }
}
