//! A statement that computes for too long is interrupted, and the next transaction works.

use std::time::Duration;

use qpq_storage::{ReadTx, StorageError, VaultRead as _};

use crate::{DatabaseKey, Options, SqliteStorage, lane::Lane, transaction::Transaction, transaction::sql};

const ENDLESS: &str = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT MAX(x) FROM n";

async fn storage(directory: &tempfile::TempDir, statement_deadline: Duration) -> SqliteStorage {
    let options = Options { statement_deadline, readers: 1, ..Options::default() };
    let path = directory.path().join("homeserver.db");
    SqliteStorage::create(&path, &DatabaseKey::new([1; 32]), &options).await.unwrap()
}

async fn transaction(lane: &std::sync::Arc<Lane>) -> Transaction {
    Transaction::new(Lane::begin(lane, "test").await.unwrap())
}

fn assert_reads(_: &dyn ReadTx) {}

#[tokio::test]
async fn an_endless_statement_is_interrupted() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory, Duration::from_millis(50)).await;
    for lane in [&storage.readers, &storage.writer] {
        let mut tx = transaction(lane).await;
        let outcome = tx.row("endless", sql(ENDLESS)).await;
        assert!(matches!(outcome, Err(StorageError::Unavailable { .. })));
        assert!(tx.vault().await.is_err(), "a failed transaction goes on");
        drop(tx);
        let mut tx = transaction(lane).await;
        assert_eq!(tx.vault().await.unwrap(), None);
        assert_reads(&tx);
    }
}

#[tokio::test]
async fn a_statement_that_nobody_waits_for_is_interrupted() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory, Duration::from_hours(1)).await;
    for lane in [&storage.readers, &storage.writer] {
        let mut tx = transaction(lane).await;
        let started = tokio::time::timeout(Duration::from_millis(50), tx.row("endless", sql(ENDLESS))).await;
        assert!(started.is_err());
        drop(tx);
    }
    // Closing waits for whatever still runs.
    storage.close().await.unwrap();
}
