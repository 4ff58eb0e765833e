//! Re-exports libsqlite3-sys 0.40 under the version range that sqlx 0.9 accepts.
//!
//! The newest libsqlite3-sys in sqlx' own range bundles an SQLite that can corrupt a WAL written by two
//! connections (fixed in SQLite 3.51.3); 0.40 bundles SQLCipher 4.20 on SQLite 3.54.1.
pub use real::*;
