//! Storage in SQLCipher: own SQL, own migrations, one writer.
//!
//! One connection writes and is the only one that checkpoints; a few others read (`query_only`, no automatic
//! checkpoint). They close first, the writer last. The file is encrypted as a whole under a raw 32-byte key; its
//! first 16 bytes are a random salt. Whoever opens the same file elsewhere in this process must do it through
//! SQLite: closing any other descriptor of it would drop the process's locks.
//!
//! The traits, and what each method means, are in `qpq-storage`; the areas have one file each, as there.

mod accounts;
mod admins;
mod audit;
mod bans;
mod contacts;
mod cosigned;
mod error;
mod feeds;
mod fields;
mod groups;
mod idempotency;
mod inbox;
mod insert;
mod integrity;
mod jobs;
mod key_packages;
mod lane;
mod losses;
mod migrations;
mod open;
mod options;
mod outbox;
mod peers;
mod receipts;
mod samples;
mod tokens;
mod transaction;
mod transparency;
mod vault;
mod witnessed;

#[cfg(test)]
mod tests;

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use qpq_storage::{ReadTx, Storage, Stored, WriteTx};

pub use integrity::{Inspection, Integrity};
use lane::Lane;
pub use open::OpenError;
pub use options::{DatabaseKey, Options, Synchronous};
use transaction::Transaction;

/// A domain's database.
#[derive(Clone)]
pub struct SqliteStorage {
    writer: Arc<Lane>,
    readers: Arc<Lane>,
    /// For long looks at the whole file, so that they keep no reader waiting.
    inspector: Arc<Lane>,
}

impl SqliteStorage {
    /// Makes a new database file, readable for its owner only, with the newest schema.
    pub async fn create(path: &Path, key: &DatabaseKey, options: &Options) -> Result<Self, OpenError> {
        open::create(path, key, options).await
    }

    /// Opens a database, proves that the key is right, and brings an older schema up to date.
    pub async fn open(path: &Path, key: &DatabaseKey, options: &Options) -> Result<Self, OpenError> {
        open::open(path, key, options).await
    }

    /// Reads the whole file and says what is damaged in it; takes as long as the disk does, on a connection of its own.
    /// A caller that gives up lets it end by itself.
    pub async fn integrity(&self) -> Stored<Integrity> {
        integrity::of_running(&self.inspector).await
    }

    /// Looks at a database that no server uses: whether the key opens it, whose it is, and what is damaged. Changes
    /// nothing; an older schema stays.
    pub async fn inspect(path: &Path, key: &DatabaseKey) -> Result<Inspection, OpenError> {
        integrity::of_file(path, key).await
    }

    /// Waits for the transactions in progress and closes: readers first, the writer last, which empties the WAL.
    /// Afterwards every call is refused.
    pub async fn close(&self) -> Stored<()> {
        self.readers.close().await?;
        self.inspector.close().await?;
        self.writer.close().await
    }
}

impl fmt::Debug for SqliteStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStorage").finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for SqliteStorage {
    async fn read(&self) -> Stored<Box<dyn ReadTx>> {
        Ok(Box::new(Transaction::new(Lane::begin(&self.readers, "open a read transaction").await?)))
    }

    async fn write(&self) -> Stored<Box<dyn WriteTx>> {
        Ok(Box::new(Transaction::new(Lane::begin(&self.writer, "open a write transaction").await?)))
    }
}
