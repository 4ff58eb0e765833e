//! Jobs and their last results; samples of the last day for the charts.
