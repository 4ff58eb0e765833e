//! The suite that every store passes, on a database file.

use std::path::PathBuf;

use crate::{DatabaseKey, Options, SqliteStorage};
use async_trait::async_trait;
use qpq_storage::{Storage, conformance::Subject};

/// A database in a directory of its own. Opening it again does not close it first: a crash doesn't either.
#[derive(Debug)]
struct OnDisk {
    storage: SqliteStorage,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl OnDisk {
    async fn fresh() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("homeserver.db");
        let storage = SqliteStorage::create(&path, &key(), &options()).await.unwrap();
        Self { storage, path, _directory: directory }
    }
}

fn key() -> DatabaseKey {
    DatabaseKey::new([7; 32])
}

fn options() -> Options {
    Options { readers: 2, ..Options::default() }
}

#[async_trait]
impl Subject for OnDisk {
    fn storage(&self) -> &dyn Storage {
        &self.storage
    }

    async fn reopen(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.storage = SqliteStorage::open(&self.path, &key(), &options()).await?;
        Ok(())
    }
}

qpq_storage::conformance::suite!(OnDisk::fresh().await);
