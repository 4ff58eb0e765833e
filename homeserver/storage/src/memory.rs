//! The in-memory implementation: for tests and simulation.
