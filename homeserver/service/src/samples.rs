//! A day of samples for the charts: a ring that survives restarts.
