//! Figures over the last day: a ring of samples for each series.

use async_trait::async_trait;
use qpq_core::Timestamp;

use crate::Stored;

/// A figure at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Which figure.
    pub series: String,
    /// When.
    pub at: Timestamp,
    /// How much.
    pub value: u64,
}

/// Reads samples.
#[async_trait]
pub trait SamplesRead: Send {
    /// All samples, series by series, the oldest first.
    async fn samples(&mut self) -> Stored<Vec<Sample>>;
}

/// Writes samples.
#[async_trait]
pub trait SamplesWrite: Send {
    /// Stores samples, in the place of those of the same series and time; lets go of what lies before `from` or after
    /// `until`, where a clock that was set back has left it.
    async fn samples_store(&mut self, samples: &[Sample], from: Timestamp, until: Timestamp) -> Stored<()>;
}
