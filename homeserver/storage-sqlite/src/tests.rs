//! The conformance suite on a database file, and what is particular to files.

mod conformance;
mod deadline;
mod differential;
mod file;
mod migration;
