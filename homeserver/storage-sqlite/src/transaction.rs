//! A transaction, and the few ways in which the areas run their statements on it.

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use qpq_core::{Seq, Timestamp};
use qpq_storage::{ReadTx, StorageError, Stored, WriteTx};
use sqlx::{
    AssertSqlSafe, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use crate::{
    error::{storage, unavailable},
    lane::Lease,
};

/// A statement with its arguments.
pub(crate) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// A statement as it stands in the source.
pub(crate) fn sql(text: &'static str) -> Statement {
    sqlx::query(text)
}

/// A statement whose list of placeholders was generated; nothing else in it may be.
pub(crate) fn generated_sql(text: String) -> Statement {
    sqlx::query(AssertSqlSafe(text))
}

/// A statement put together from parts that stand in the source.
pub(crate) fn composed_sql(parts: &[&'static str]) -> Statement {
    sqlx::query(AssertSqlSafe(parts.concat()))
}

/// A count or position as SQLite stores it; what exceeds 63 bits stops there.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A length or limit as SQLite takes it.
pub(crate) fn size(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A time as SQLite stores it.
pub(crate) fn time(at: Timestamp) -> i64 {
    int(at.as_millis())
}

/// A position as SQLite stores it.
pub(crate) fn position(seq: Seq) -> i64 {
    int(seq.0)
}

/// Ids as a JSON list of hexadecimal texts: one argument, whatever their number (`unhex(value)`).
pub(crate) fn json_list(ids: impl IntoIterator<Item = [u8; 16]>) -> String {
    let quoted: Vec<String> = ids.into_iter().map(|id| format!("\"{}\"", HEXLOWER.encode(&id))).collect();
    format!("[{}]", quoted.join(","))
}

/// A read or write transaction; which of them, the lane decides.
pub(crate) struct Transaction {
    lease: Lease,
    broken: bool,
}

impl Transaction {
    pub(crate) const fn new(lease: Lease) -> Self {
        Self { lease, broken: false }
    }

    /// Runs a statement; returns how many rows it changed.
    pub(crate) async fn run(&mut self, what: &'static str, statement: Statement) -> Stored<u64> {
        let done = statement.execute(self.connection(what, false)?).await;
        self.checked(what, done.map(|done| done.rows_affected()))
    }

    /// Runs a statement of a job, which may take longer; returns how many rows it changed.
    pub(crate) async fn run_job(&mut self, what: &'static str, statement: Statement) -> Stored<u64> {
        let done = statement.execute(self.connection(what, true)?).await;
        self.checked(what, done.map(|done| done.rows_affected()))
    }

    /// The first row, if there is one.
    pub(crate) async fn row(
        &mut self,
        what: &'static str,
        statement: Statement,
    ) -> Stored<Option<SqliteRow>> {
        let row = statement.fetch_optional(self.connection(what, false)?).await;
        self.checked(what, row)
    }

    /// All rows.
    pub(crate) async fn rows(&mut self, what: &'static str, statement: Statement) -> Stored<Vec<SqliteRow>> {
        let rows = statement.fetch_all(self.connection(what, false)?).await;
        self.checked(what, rows)
    }

    /// All rows of a job's query, which may take longer.
    pub(crate) async fn rows_job(
        &mut self,
        what: &'static str,
        statement: Statement,
    ) -> Stored<Vec<SqliteRow>> {
        let rows = statement.fetch_all(self.connection(what, true)?).await;
        self.checked(what, rows)
    }

    /// The connection, unless something failed before: SQLite may have ended the transaction then, and a statement
    /// after it would be committed on its own.
    pub(crate) fn connection(&mut self, what: &'static str, job: bool) -> Stored<&mut SqliteConnection> {
        if self.broken {
            return Err(unavailable(what, "the transaction failed before"));
        }
        self.lease.connection(what, job)
    }

    pub(crate) fn checked<T>(&mut self, what: &'static str, outcome: sqlx::Result<T>) -> Stored<T> {
        outcome.map_err(|error| {
            self.broken = true;
            storage(what, error)
        })
    }

    /// Says what was refused; from here on the transaction can't be committed.
    pub(crate) const fn conflict(&mut self, what: &'static str) -> StorageError {
        self.broken = true;
        StorageError::Conflict { what }
    }
}

impl ReadTx for Transaction {}

#[async_trait]
impl WriteTx for Transaction {
    async fn commit(self: Box<Self>) -> Stored<()> {
        if self.broken {
            return Err(StorageError::Conflict { what: "commit" });
        }
        self.lease.commit().await
    }
}
