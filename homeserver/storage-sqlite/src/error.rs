//! What SQLite's refusals mean to the caller.

use qpq_storage::StorageError;

/// SQLite's primary result codes that mean something of their own here.
const CONSTRAINT: i32 = 19;
const CORRUPT: i32 = 11;
const NOT_A_DATABASE: i32 = 26;

/// The store can't do it now.
pub(crate) fn unavailable(
    what: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StorageError {
    StorageError::Unavailable { what, source: source.into() }
}

/// Sorts an error of a statement into the three kinds that callers can act on.
pub(crate) fn storage(what: &'static str, error: sqlx::Error) -> StorageError {
    match primary_code(&error) {
        Some(CONSTRAINT) => StorageError::Conflict { what },
        Some(CORRUPT | NOT_A_DATABASE) => {
            StorageError::Corrupt { table: "the file", what: format!("`{what}` met: {error}") }
        }
        _ => unavailable(what, error),
    }
}

/// The primary code is the low byte of the extended one.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|extended| extended & 0xff)
}
