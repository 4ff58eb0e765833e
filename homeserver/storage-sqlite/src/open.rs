//! Making and opening a database file, and saying in words why that failed.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions,
};

use crate::{
    DatabaseKey, Options, SqliteStorage,
    lane::{Lane, Settings},
    migrations,
};

/// SQLite's code for "file is not a database", which is also what a wrong key looks like.
const NOT_A_DATABASE: &str = "26";

/// The size of a page, and so what a database's size is a multiple of.
const PAGE_BYTES: u64 = 4096;

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no database at `{path}`; `init` makes one")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file to be made exists.
    #[error("there is already a file at `{path}`; nothing was changed")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The key is another database's.
    #[error(
        "the database key does not open `{path}`: it belongs to another database, or the file is damaged"
    )]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// The file can't be one of ours, whatever the key.
    #[error("`{path}` is not an encrypted database of this program")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A newer program has written it.
    #[error("`{path}` has schema version {found}, this program knows up to {known}: use the newer program")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: i64,
        /// The newest version that is known here.
        known: usize,
    },
    /// The operating system refused.
    #[error("could not reach `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// SQLite refused, for another reason than those above.
    #[error("could not open the database `{path}`")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// See [`SqliteStorage::create`].
pub(crate) async fn create(
    path: &Path,
    key: &DatabaseKey,
    options: &Options,
) -> Result<SqliteStorage, OpenError> {
    // SQLite would make the file with the process's umask; the WAL takes over the mode of the file.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => open(path, key, options).await,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(OpenError::Exists { path: path.to_owned() })
        }
        Err(source) => Err(OpenError::Io { path: path.to_owned(), source }),
    }
}

/// See [`SqliteStorage::open`].
pub(crate) async fn open(
    path: &Path,
    key: &DatabaseKey,
    options: &Options,
) -> Result<SqliteStorage, OpenError> {
    plausible(path)?;
    let unusable = |source: sqlx::Error| OpenError::Unusable { path: path.to_owned(), source: source.into() };
    let connect = encrypted(path, key);
    let (mut probe, from) = unlocked(path, &connect).await?;
    prepare(&mut probe, options, from).await.map_err(unusable)?;
    probe.close().await.map_err(unusable)?;
    Ok(SqliteStorage {
        writer: Lane::new(connect.clone(), Settings::writer(options)),
        readers: Lane::new(connect.clone(), Settings::reader(options)),
        inspector: Lane::new(connect, Settings::inspector(options)),
    })
}

/// Looks at the file from outside.
pub(crate) fn plausible(path: &Path) -> Result<(), OpenError> {
    let bytes = match std::fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        Err(source) => return Err(OpenError::Io { path: path.to_owned(), source }),
    };
    if bytes.is_multiple_of(PAGE_BYTES) {
        Ok(())
    } else {
        Err(OpenError::NotADatabase { path: path.to_owned() })
    }
}

/// How every connection is made.
pub(crate) fn encrypted(path: &Path, key: &DatabaseKey) -> SqliteConnectOptions {
    libsqlite3_sys::leave_without_cleanup();
    SqliteConnectOptions::new()
        .filename(path)
        .disable_statement_logging()
        .pragma("key", key.pragma())
        // It would write to standard error on its own account.
        .pragma("cipher_log_level", "NONE")
}

/// A connection on which the key was proved, and the version of the schema.
pub(crate) async fn unlocked(
    path: &Path,
    connect: &SqliteConnectOptions,
) -> Result<(SqliteConnection, usize), OpenError> {
    let unusable = |source: sqlx::Error| OpenError::Unusable { path: path.to_owned(), source: source.into() };
    let mut probe = connect.connect().await.map_err(unusable)?;
    if let Err(error) = sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&mut probe).await {
        return Err(if code(&error).as_deref() == Some(NOT_A_DATABASE) {
            refused(path).await
        } else {
            unusable(error)
        });
    }
    let found = migrations::version(&mut probe).await.map_err(unusable)?;
    let from = usize::try_from(found).ok().filter(|version| *version <= migrations::NEWEST);
    let newer = OpenError::Newer { path: path.to_owned(), found, known: migrations::NEWEST };
    Ok((probe, from.ok_or(newer)?))
}

/// Sets what stays in the file, and brings the schema up to date.
async fn prepare(connection: &mut SqliteConnection, options: &Options, from: usize) -> sqlx::Result<()> {
    sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut *connection).await?;
    sqlx::raw_sql(AssertSqlSafe(Settings::writer(options).statements)).execute(&mut *connection).await?;
    migrations::migrate(connection, from).await
}

/// Why no key was accepted: a file that opens without one is not encrypted.
async fn refused(path: &Path) -> OpenError {
    let plain = SqliteConnectOptions::new().filename(path).read_only(true).disable_statement_logging();
    let readable = async {
        let mut connection = plain.connect().await?;
        sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&mut connection).await?;
        connection.close().await
    };
    match readable.await {
        Ok(()) => OpenError::NotADatabase { path: path.to_owned() },
        Err(_) => OpenError::WrongKey { path: path.to_owned() },
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(std::borrow::Cow::into_owned)
}
