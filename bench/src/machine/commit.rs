//! The bare group-commit loop: batches of 256 rows of 1 KiB, one multi-row insert and one flush each, into SQLCipher.

use std::{path::Path, time::Duration};

use sqlx::{
    Connection as _, Executor as _, QueryBuilder, Sqlite, SqliteConnection, sqlite::SqliteConnectOptions,
};

use crate::stopwatch::Stopwatch;

const ROWS: usize = 256;

/// Commits batches for about `span`; rows per second.
pub(crate) async fn rate(directory: &Path, span: Duration) -> anyhow::Result<f64> {
    let fresh = tempfile::tempdir_in(directory)?;
    let options = SqliteConnectOptions::new()
        .filename(fresh.path().join("commit.db"))
        .create_if_missing(true)
        .pragma("key", format!("\"x'{}'\"", "5a".repeat(32)))
        .pragma("journal_mode", "WAL")
        .pragma("synchronous", "FULL");
    let mut connection = SqliteConnection::connect_with(&options).await?;
    connection
        .execute("CREATE TABLE log (seq INTEGER PRIMARY KEY, id BLOB NOT NULL, payload BLOB NOT NULL) STRICT")
        .await?;
    let payload = vec![0x5a_u8; 1_024];
    let watch = Stopwatch::start();
    let mut rows = 0_u32;
    while watch.elapsed() < span {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO log (id, payload) ");
        insert.push_values(0..ROWS, |mut row, _| {
            row.push_bind([7_u8; 16].to_vec()).push_bind(payload.clone());
        });
        let mut tx = connection.begin().await?;
        insert.build().execute(&mut *tx).await?;
        tx.commit().await?;
        rows += u32::try_from(ROWS)?;
    }
    let rate = f64::from(rows) / watch.seconds();
    connection.close().await?;
    Ok(rate)
}
