//! Connections that wait for work: one lane writes, the other reads.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use qpq_storage::Stored;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteTransactionManager},
};
use sqlx_core::transaction::TransactionManager as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Options, error::unavailable};

/// After how many steps of SQLite's machine the deadline is looked at; some milliseconds.
const STEPS_BETWEEN_LOOKS: i32 = 20_000;
/// A look at the whole file may take this long.
const INSPECTION: Duration = Duration::from_hours(1);

/// What a lane's connections are.
pub(crate) struct Settings {
    /// Run on every new connection.
    pub(crate) statements: String,
    begin: &'static str,
    size: usize,
    turn: Duration,
    statement: Duration,
}

impl Settings {
    /// The one that writes and checkpoints.
    pub(crate) fn writer(options: &Options) -> Self {
        let synchronous = options.synchronous.pragma();
        let most_pages = options.most_pages.unwrap_or(u32::MAX - 1);
        Self {
            statements: format!(
                "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; \
                 PRAGMA cell_size_check = ON; PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 4000; \
                 PRAGMA journal_size_limit = 67108864; PRAGMA max_page_count = {most_pages}; {synchronous}"
            ),
            begin: "BEGIN IMMEDIATE",
            size: 1,
            turn: options.turn_deadline,
            statement: options.statement_deadline,
        }
    }

    /// Those that only read.
    pub(crate) fn reader(options: &Options) -> Self {
        Self {
            statements:
                "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; \
                         PRAGMA cache_size = -8192; PRAGMA wal_autocheckpoint = 0; PRAGMA query_only = ON"
                    .to_owned(),
            // A deferred transaction has no snapshot before its first read.
            begin: "BEGIN DEFERRED; SELECT 1 FROM sqlite_schema LIMIT 1",
            size: options.readers.max(1),
            turn: options.turn_deadline,
            statement: options.statement_deadline,
        }
    }
}

impl Settings {
    /// The one that looks at the whole file: a reader with much time.
    pub(crate) fn inspector(options: &Options) -> Self {
        Self { size: 1, statement: INSPECTION, ..Self::reader(options) }
    }
}

/// Connections with the same settings.
pub(crate) struct Lane {
    connect: SqliteConnectOptions,
    settings: Settings,
    slots: Mutex<Vec<Slot>>,
    turns: Arc<Semaphore>,
}

/// A place for a connection; empty before its first use and after a failure.
struct Slot {
    connection: Option<SqliteConnection>,
    watchdog: Watchdog,
}

impl Lane {
    /// Opens nothing yet.
    pub(crate) fn new(connect: SqliteConnectOptions, settings: Settings) -> Arc<Self> {
        let slots = (0..settings.size).map(|_| Slot { connection: None, watchdog: Watchdog::default() });
        let turns = Arc::new(Semaphore::new(settings.size));
        Arc::new(Self { connect, slots: Mutex::new(slots.collect()), turns, settings })
    }

    /// Waits for a turn and begins a transaction.
    pub(crate) async fn begin(lane: &Arc<Self>, what: &'static str) -> Stored<Lease> {
        let wait = tokio::time::timeout(lane.settings.turn, Arc::clone(&lane.turns).acquire_owned());
        let turn = wait.await.map_err(|late| unavailable(what, late))?;
        let turn = turn.map_err(|closed| unavailable(what, closed))?;
        let slot = lane.take().ok_or_else(|| unavailable(what, "no connection is free"))?;
        let mut lease = Lease { lane: Arc::clone(lane), slot: Some(slot), end: End::Open, _turn: turn };
        let Err(first) = lease.try_begin().await else { return Ok(lease) };
        // A connection on which SQLite itself ended the last transaction (disk full, I/O error) is replaced.
        tracing::warn!(error = &first as &dyn std::error::Error, "opening a database connection anew");
        lease.discard().await;
        lease.try_begin().await.map_err(|error| unavailable(what, error))?;
        Ok(lease)
    }

    /// Waits for the transactions in progress, closes all connections and refuses new transactions.
    pub(crate) async fn close(&self) -> Stored<()> {
        let what = "close the database";
        let all = u32::try_from(self.settings.size).unwrap_or(u32::MAX);
        let wait = tokio::time::timeout(self.settings.turn, self.turns.acquire_many(all));
        let turns = match wait.await.map_err(|late| unavailable(what, late))? {
            Ok(turns) => turns,
            Err(_closed_before) => return Ok(()),
        };
        while let Some(slot) = self.take() {
            if let Some(connection) = slot.connection {
                connection.close().await.map_err(|error| unavailable(what, error))?;
            }
        }
        self.turns.close();
        drop(turns);
        Ok(())
    }

    fn take(&self) -> Option<Slot> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// How far a transaction has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Committing,
    Committed,
}

/// A connection with a transaction on it, until it is dropped.
pub(crate) struct Lease {
    lane: Arc<Lane>,
    slot: Option<Slot>,
    end: End,
    _turn: OwnedSemaphorePermit,
}

impl Lease {
    /// The connection, with the deadline of one statement running; a job has ten times as long.
    pub(crate) fn connection(&mut self, what: &'static str, job: bool) -> Stored<&mut SqliteConnection> {
        let deadline = self.lane.settings.statement * if job { 10 } else { 1 };
        let slot = self.slot.as_mut();
        let slot = slot.ok_or_else(|| unavailable(what, "the connection is gone"))?;
        slot.watchdog.arm(deadline);
        slot.connection.as_mut().ok_or_else(|| unavailable(what, "the connection is gone"))
    }

    /// Commits; without deadline, because an answer before the outcome is known would be a guess.
    pub(crate) async fn commit(mut self) -> Stored<()> {
        let slot = self.slot.as_mut();
        let slot = slot.ok_or_else(|| unavailable("commit", "the connection is gone"))?;
        slot.watchdog.disarm();
        self.end = End::Committing;
        let connection = slot.connection.as_mut();
        let connection = connection.ok_or_else(|| unavailable("commit", "the connection is gone"))?;
        SqliteTransactionManager::commit(connection)
            .await
            .map_err(|error| crate::error::storage("commit", error))?;
        self.end = End::Committed;
        Ok(())
    }

    async fn try_begin(&mut self) -> sqlx::Result<()> {
        let Some(slot) = self.slot.as_mut() else { return Err(sqlx::Error::PoolClosed) };
        let connection = match slot.connection.take() {
            Some(connection) => connection,
            None => open(&self.lane, &slot.watchdog).await?,
        };
        slot.watchdog.arm(self.lane.settings.statement);
        let connection = slot.connection.insert(connection);
        SqliteTransactionManager::begin(
            connection,
            Some(sqlx::SqlSafeStr::into_sql_str(self.lane.settings.begin)),
        )
        .await
    }

    async fn discard(&mut self) {
        let connection = self.slot.as_mut().and_then(|slot| slot.connection.take());
        if let Some(connection) = connection
            && let Err(error) = connection.close().await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "a failed connection did not close");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(mut slot) = self.slot.take() {
            if self.end == End::Open {
                // Nobody waits for the statement that may still be running.
                slot.watchdog.bite();
            }
            if let Some(connection) = slot.connection.as_mut().filter(|_| self.end != End::Committed) {
                SqliteTransactionManager::start_rollback(connection);
            }
            self.lane.slots.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
        }
    }
}

async fn open(lane: &Lane, watchdog: &Watchdog) -> sqlx::Result<SqliteConnection> {
    let mut connection = lane.connect.connect().await?;
    sqlx::raw_sql(AssertSqlSafe(lane.settings.statements.as_str())).execute(&mut connection).await?;
    let watched = watchdog.clone();
    connection.lock_handle().await?.set_progress_handler(STEPS_BETWEEN_LOOKS, move || watched.in_time());
    Ok(connection)
}

/// Interrupts a statement that computes for too long.
#[derive(Clone, Default)]
struct Watchdog {
    /// Milliseconds after the process's first look at the watch; 0: no deadline.
    until: Arc<AtomicU64>,
}

impl Watchdog {
    fn arm(&self, span: Duration) {
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.until.store(elapsed_ms().saturating_add(span).max(1), Ordering::Relaxed);
    }

    fn bite(&self) {
        self.until.store(1, Ordering::Relaxed);
    }

    fn disarm(&self) {
        self.until.store(0, Ordering::Relaxed);
    }

    fn in_time(&self) -> bool {
        match self.until.load(Ordering::Relaxed) {
            0 => true,
            until => elapsed_ms() < until,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "asked inside SQLite on its own thread, where no Clock reaches; decides nothing but when to give up"
)]
fn elapsed_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
