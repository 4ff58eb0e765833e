//! Columns into domain types, and SQL's errors into ours.

use std::str::FromStr;

use qpq_core::{GroupId, MessageId, Secret, Timestamp};
use sqlx::{ColumnIndex, Decode, Row as _, Sqlite, Type, sqlite::SqliteRow};

use super::StoreError;

/// Wraps an error of the database.
pub(super) fn failed(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { what, source }
}

/// A row of one table, read column by column.
pub(super) struct Columns<'a> {
    pub(super) table: &'static str,
    pub(super) row: &'a SqliteRow,
}

impl Columns<'_> {
    pub(super) fn damaged(&self, what: &'static str) -> StoreError {
        StoreError::Damaged { table: self.table, what }
    }

    pub(super) fn take<'r, T>(&'r self, name: &'static str) -> Result<T, StoreError>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite>,
        &'static str: ColumnIndex<SqliteRow>,
    {
        self.row.try_get(name).map_err(|source| StoreError::Database { what: "read a column", source })
    }

    pub(super) fn number(&self, name: &'static str) -> Result<u64, StoreError> {
        u64::try_from(self.take::<i64>(name)?).map_err(|_| self.damaged(name))
    }

    pub(super) fn small(&self, name: &'static str) -> Result<u32, StoreError> {
        u32::try_from(self.take::<i64>(name)?).map_err(|_| self.damaged(name))
    }

    pub(super) fn time(&self, name: &'static str) -> Result<Timestamp, StoreError> {
        self.number(name).map(Timestamp::from_millis)
    }

    pub(super) fn bytes<const N: usize>(&self, name: &'static str) -> Result<[u8; N], StoreError> {
        self.take::<&[u8]>(name)?.try_into().map_err(|_| self.damaged(name))
    }

    pub(super) fn secret(&self, name: &'static str) -> Result<Secret<[u8; 32]>, StoreError> {
        self.bytes(name).map(Secret::new)
    }

    pub(super) fn text<T: FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        self.take::<&str>(name)?.parse().map_err(|_| self.damaged(name))
    }

    pub(super) fn optional_text<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, StoreError> {
        self.take::<Option<&str>>(name)?.map(|text| text.parse().map_err(|_| self.damaged(name))).transpose()
    }

    pub(super) fn group(&self, name: &'static str) -> Result<GroupId, StoreError> {
        GroupId::from_bytes(self.take::<&[u8]>(name)?).map_err(|_| self.damaged(name))
    }

    pub(super) fn message(&self, name: &'static str) -> Result<MessageId, StoreError> {
        self.bytes(name).map(MessageId::from_bytes)
    }
}

/// A number as SQL has it; nothing of ours comes near the limit.
pub(super) fn sql_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A time as SQL has it.
pub(super) fn sql_time(time: Timestamp) -> i64 {
    sql_number(time.as_millis())
}
