//! The device's own store: one SQLCipher database in the home directory, opened by one process at a time.
//!
//! Every use case is a method of [`Tx`]; everything that belongs together goes into one [`Store::begin`] …
//! [`Tx::commit`], so a crash at any point leaves a state that works:
//!
//! * *send persists before the message leaves*: [`Tx::save_group`] and [`Tx::set_encrypted`] in one transaction,
//!   submit afterwards;
//! * *received plaintext, seen id, cursor and ratchet state commit together*: [`Tx::save_group`],
//!   [`Tx::record_received`], [`Tx::set_position`] in one transaction, acknowledge afterwards.
//!
//! One connection: a second `begin` waits until the first transaction is committed or dropped (dropped = rolled
//! back). Never hold a transaction across a network call.

mod account;
mod commits;
mod error;
mod groups;
mod identities;
mod inbox;
mod key;
mod key_packages;
mod lock;
mod logs;
mod mls_state;
mod outgoing;
mod positions;
mod proofs;
mod requested;
mod row;
mod schema;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use qpq_core::Secret;
use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::{Mutex, MutexGuard};

use lock::HomeLock;
use row::failed;

pub use account::{Account, ServerTrust, SessionState};
pub use commits::{CommitPurpose, PendingCommit};
pub use error::StoreError;
pub use groups::{GroupRecord, GroupState};
pub use identities::{IdentitySeen, PinnedIdentity};
pub use inbox::{NewMessage, Recorded, StoredMessage};
pub use key::StoreKey;
pub use key_packages::StockRow;
pub use logs::{Alarm, AlarmKind, LogRow, OwnCheck, OwnVersion};
pub use outgoing::{NewOutgoing, Outgoing, OutgoingState, Reach, Target};
pub use positions::Feed;
pub use proofs::StoredProof;
pub use requested::RequestedContact;

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub enum Unlock<'a> {
    /// By the user's passphrase: Argon2id with the salt beside the database, about 0.2 s.
    Passphrase(&'a Secret<String>),
    /// By a key that the caller holds: tests and embedders with a key store of their own.
    Key(&'a StoreKey),
}

/// The device's store.
pub struct Store {
    home: PathBuf,
    connection: Mutex<Connection>,
    /// Released last.
    _lock: HomeLock,
}

struct Connection {
    sql: SqliteConnection,
    /// A transaction was begun and not committed: roll back before the next one.
    begun: bool,
}

/// One transaction: dropped without [`Tx::commit`], nothing of it happened.
pub struct Tx<'a> {
    connection: MutexGuard<'a, Connection>,
}

impl Store {
    /// Opens the store in `home`, making it when there is none. Waits some seconds for another `qpq` on it.
    pub async fn create(home: &Path, unlock: Unlock<'_>) -> Result<Self, StoreError> {
        key::prepare(home)?;
        Self::unlock(home, unlock).await
    }

    /// Opens the store in `home`; [`StoreError::Missing`] when there is none.
    pub async fn open(home: &Path, unlock: Unlock<'_>) -> Result<Self, StoreError> {
        if !key::exists(home) {
            return Err(StoreError::Missing { home: home.to_owned() });
        }
        Self::unlock(home, unlock).await
    }

    async fn unlock(home: &Path, unlock: Unlock<'_>) -> Result<Self, StoreError> {
        let lock = HomeLock::take(home).await?;
        let key = match unlock {
            Unlock::Passphrase(passphrase) => StoreKey::from_passphrase(home, passphrase).await?,
            Unlock::Key(key) => key.clone(),
        };
        let database = key::private_file(home)?;
        let mut sql = connect(home, &database, &key).await?;
        schema::migrate(&mut sql).await?;
        Ok(Self {
            home: home.to_owned(),
            connection: Mutex::new(Connection { sql, begun: false }),
            _lock: lock,
        })
    }

    /// The directory that it lives in.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> Result<Tx<'_>, StoreError> {
        let mut connection = self.connection.lock().await;
        if connection.begun {
            // The last transaction was dropped; if SQLite rolled back by itself there is nothing left to undo.
            drop(sqlx::query("ROLLBACK").execute(&mut connection.sql).await);
        }
        connection.begun = true;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut connection.sql)
            .await
            .map_err(failed("begin a transaction"))?;
        Ok(Tx { connection })
    }

    /// Checkpoints, closes the database and releases the lock. Dropping does the same less tidily.
    pub async fn close(self) {
        let mut connection = self.connection.into_inner();
        if connection.begun {
            drop(sqlx::query("ROLLBACK").execute(&mut connection.sql).await);
        }
        // SQLite checkpoints when the last connection closes; what fails here is repeated at the next open.
        drop(connection.sql.close().await);
    }
}

impl Tx<'_> {
    /// Makes everything of this transaction durable.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        sqlx::query("COMMIT").execute(self.sql()).await.map_err(failed("commit"))?;
        self.connection.begun = false;
        Ok(())
    }

    fn sql(&mut self) -> &mut SqliteConnection {
        &mut self.connection.sql
    }
}

/// Opens the database: key first, then what makes a commit durable and deleted secrets gone.
async fn connect(home: &Path, database: &Path, key: &StoreKey) -> Result<SqliteConnection, StoreError> {
    libsqlite3_sys::leave_without_cleanup();
    let options = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(true)
        // The second statement rides along because it must come before anything reads the file, and sqlx puts its own
        // pragmas first: with a wrong key SQLCipher would write to standard error on its own account.
        .pragma("key", format!("{}; PRAGMA cipher_log_level = NONE", key.pragma()))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("secure_delete", "on")
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    let wrong = |error: sqlx::Error| {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if code.is_some_and(|code| code == "26") {
            StoreError::WrongPassphrase { home: home.to_owned() }
        } else {
            failed("open its database")(error)
        }
    };
    let mut sql = options.connect().await.map_err(wrong)?;
    // A wrong key shows only when something is read.
    sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&mut sql).await.map_err(wrong)?;
    Ok(sql)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("home", &self.home).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}
