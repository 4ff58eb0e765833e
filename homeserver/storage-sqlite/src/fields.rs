//! Reading a row: each value becomes a domain type, or the error names table, column and row.

use std::{fmt::Display, str::FromStr};

use data_encoding::HEXLOWER;
use qpq_core::{Digest, GroupId, Incarnation, Seq, Timestamp};
use qpq_storage::{StorageError, Stored};
use sqlx::{Decode, Row as _, Sqlite, Type, sqlite::SqliteRow};

/// A row of a table.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'r> {
    row: &'r SqliteRow,
    table: &'static str,
}

impl<'r> Fields<'r> {
    pub(crate) const fn of(table: &'static str, row: &'r SqliteRow) -> Self {
        Self { row, table }
    }

    fn value<T: Decode<'r, Sqlite> + Type<Sqlite>>(self, column: &'static str) -> Stored<T> {
        self.row.try_get(column).map_err(|error| self.corrupt(column, &error))
    }

    /// Says what is wrong with a column; the row is named by its first column.
    pub(crate) fn corrupt(self, column: &'static str, wrong: &dyn Display) -> StorageError {
        let key = match (self.row.try_get::<i64, _>(0), self.row.try_get::<&[u8], _>(0)) {
            (Ok(number), _) => number.to_string(),
            (_, Ok(bytes)) => HEXLOWER.encode(bytes),
            _ => self.row.try_get::<&str, _>(0).unwrap_or("?").to_owned(),
        };
        StorageError::Corrupt {
            table: self.table,
            what: format!("column `{column}` of the row with key `{key}`: {wrong}"),
        }
    }

    pub(crate) fn int(self, column: &'static str) -> Stored<i64> {
        self.value(column)
    }

    pub(crate) fn flag(self, column: &'static str) -> Stored<bool> {
        Ok(self.int(column)? != 0)
    }

    /// A number of a type that is narrower than SQLite's.
    pub(crate) fn number<T: TryFrom<i64>>(self, column: &'static str) -> Stored<T> {
        let number = self.int(column)?;
        T::try_from(number).map_err(|_| self.corrupt(column, &format_args!("{number} is out of range")))
    }

    pub(crate) fn optional_number<T: TryFrom<i64>>(self, column: &'static str) -> Stored<Option<T>> {
        match self.value::<Option<i64>>(column)? {
            Some(_) => self.number(column).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn seq(self, column: &'static str) -> Stored<Seq> {
        self.number(column).map(Seq)
    }

    pub(crate) fn optional_seq(self, column: &'static str) -> Stored<Option<Seq>> {
        Ok(self.optional_number(column)?.map(Seq))
    }

    pub(crate) fn time(self, column: &'static str) -> Stored<Timestamp> {
        self.number(column).map(Timestamp::from_millis)
    }

    pub(crate) fn optional_time(self, column: &'static str) -> Stored<Option<Timestamp>> {
        Ok(self.optional_number(column)?.map(Timestamp::from_millis))
    }

    pub(crate) fn text(self, column: &'static str) -> Stored<String> {
        self.value(column)
    }

    pub(crate) fn optional_text(self, column: &'static str) -> Stored<Option<String>> {
        self.value(column)
    }

    pub(crate) fn blob(self, column: &'static str) -> Stored<Vec<u8>> {
        self.value(column)
    }

    /// Bytes of a fixed length, as the constructor of an id or key takes them.
    pub(crate) fn bytes<const N: usize>(self, column: &'static str) -> Stored<[u8; N]> {
        let bytes = self.value::<&[u8]>(column)?;
        bytes
            .try_into()
            .map_err(|_| self.corrupt(column, &format_args!("{} bytes instead of {N}", bytes.len())))
    }

    pub(crate) fn optional_bytes<const N: usize>(self, column: &'static str) -> Stored<Option<[u8; N]>> {
        match self.value::<Option<&[u8]>>(column)? {
            Some(_) => self.bytes(column).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn digest(self, column: &'static str) -> Stored<Digest> {
        self.bytes(column).map(Digest::from_bytes)
    }

    /// Text that has one valid form.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(self, column: &'static str) -> Stored<T> {
        self.value::<&str>(column)?.parse().map_err(|error| self.corrupt(column, &error))
    }

    pub(crate) fn optional_parsed<T: FromStr<Err: Display>>(self, column: &'static str) -> Stored<Option<T>> {
        match self.value::<Option<&str>>(column)? {
            Some(_) => self.parsed(column).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn group(self, column: &'static str) -> Stored<GroupId> {
        GroupId::from_bytes(self.value(column)?).map_err(|error| self.corrupt(column, &error))
    }

    pub(crate) fn incarnation(self, column: &'static str) -> Stored<Incarnation> {
        let bytes = self.value::<&[u8]>(column)?;
        Incarnation::from_slice(bytes).ok_or_else(|| self.corrupt(column, &"not an incarnation"))
    }

    pub(crate) fn optional_incarnation(self, column: &'static str) -> Stored<Option<Incarnation>> {
        match self.value::<Option<&[u8]>>(column)? {
            Some(_) => self.incarnation(column).map(Some),
            None => Ok(None),
        }
    }
}

/// Parses every row of a result.
pub(crate) fn each<T>(
    table: &'static str,
    rows: &[SqliteRow],
    parse: impl Fn(Fields<'_>) -> Stored<T>,
) -> Stored<Vec<T>> {
    rows.iter().map(|row| parse(Fields::of(table, row))).collect()
}

/// Parses the row of a result that has at most one.
pub(crate) fn one<T>(
    table: &'static str,
    row: Option<&SqliteRow>,
    parse: impl FnOnce(Fields<'_>) -> Stored<T>,
) -> Stored<Option<T>> {
    row.map(|row| parse(Fields::of(table, row))).transpose()
}
