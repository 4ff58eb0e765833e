//! Jobs and their last results; samples of the last day for the charts.

/// Reads this area.
pub trait JobsRead: Send {}

/// Writes this area.
pub trait JobsWrite: Send {}
