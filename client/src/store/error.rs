//! What the store can't do, in words for its user.

use std::path::PathBuf;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no store.
    #[error("there is no account in `{home}`: register or log in first")]
    Missing {
        /// The home directory.
        home: PathBuf,
    },
    /// The key is wrong.
    #[error("the passphrase doesn't open the store in `{home}`")]
    WrongPassphrase {
        /// The home directory.
        home: PathBuf,
    },
    /// Another process has it open.
    #[error(
        "another qpq is using `{home}` and did not finish within {seconds} s: try again when it has ended"
    )]
    Busy {
        /// The home directory.
        home: PathBuf,
        /// How long this one waited.
        seconds: u64,
    },
    /// Others may read its files.
    #[error("`{path}` can be read by other users: chmod 600 it, or find out who had it")]
    Permissions {
        /// The file.
        path: PathBuf,
    },
    /// A file of it can't be read or written.
    #[error("could not {what} `{path}`")]
    File {
        /// The operation.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It was written by a newer version.
    #[error("the store has layout {found}, this version knows up to {known}: use a newer qpq")]
    Newer {
        /// Its layout.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// The passphrase can't be stretched.
    #[error("could not derive the store's key from the passphrase")]
    Key,
    /// A value in it breaks a rule.
    #[error("the store is damaged: {table}: {what}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// The database refused.
    #[error("the store could not {what}")]
    Database {
        /// The operation.
        what: &'static str,
        /// Why.
        source: sqlx::Error,
    },
    /// A message can't be queued.
    #[error("the message can't be sent")]
    Content {
        /// Why.
        source: crate::mls::MlsError,
    },
    /// A group's state in it can't be read.
    #[error("the store holds a group that can't be read")]
    Group {
        /// Why.
        source: crate::mls::MlsError,
    },
}
