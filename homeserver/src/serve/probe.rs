//! What `/readyz` and `/metrics` say of the running process, and the file that says where they are.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use qpq_metrics::{Bans, CONTENT_TYPE, PeerState, Queue, Snapshot};
use qpq_service::{Answered, Checks, Ground, PeerStanding, Peering, Sessions, Transparency};
use qpq_storage::{AuditFilter, BanKind, BansQuery, Window};
use qpq_web::{Readiness, State};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::data_dir::{DataDir, DataDirError};

/// How the process is.
#[derive(Debug)]
pub(super) struct Probe {
    stopping: CancellationToken,
    ground: Arc<Ground>,
    sessions: Sessions,
    peering: Peering,
    database: PathBuf,
    checks: Checks,
}

impl Probe {
    /// Ready until `stopping`, unless the last look at everything found what prevents work.
    pub(super) const fn new(
        stopping: CancellationToken,
        ground: Arc<Ground>,
        sessions: Sessions,
        peering: Peering,
        database: PathBuf,
        checks: Checks,
    ) -> Self {
        Self { stopping, ground, sessions, peering, database, checks }
    }

    /// What is looked at when somebody asks; what the store can't tell now is left out.
    async fn snapshot(&self) -> Snapshot {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let mut snapshot = Snapshot {
            sessions: count(self.sessions.live().count()),
            write_queue_jobs: count(self.ground.writes_waiting()),
            database_bytes: size(&self.database),
            database_wal_bytes: size(&wal(&self.database)),
            ..Snapshot::default()
        };
        if let Ok((bans, audit_rows)) = self.rows().await {
            snapshot.bans = bans;
            snapshot.audit_rows = Some(audit_rows);
        }
        if let Ok(counts) = self.peering.counts().await {
            snapshot.peers = counts.into_iter().map(|(standing, count)| (state(standing), count)).collect();
        }
        if let Ok(waiting) = self.peering.waiting().await {
            let waited = waiting.oldest_at.map(|oldest| self.ground.now().since(oldest).to_duration());
            snapshot.queue = Some(Queue { rows: waiting.rows, oldest: waited.unwrap_or_default() });
        }
        snapshot.dead_letters = self.dead_letters().await.ok();
        if let Ok(length) = Transparency::new(Arc::clone(&self.ground)).length().await {
            snapshot.log_entries = Some(length.entries);
            snapshot.log_cosigned_entries = Some(length.cosigned);
        }
        snapshot
    }

    /// Messages that peers could not take.
    async fn dead_letters(&self) -> Answered<u64> {
        let window = Window { offset: 0, limit: 0 };
        Ok(self.ground.read().await?.dead_letters(None, window).await?.total)
    }

    /// How many bans are in force, and how long the audit log is.
    async fn rows(&self) -> Answered<(Vec<(Bans, u64)>, u64)> {
        let mut view = self.ground.read().await?;
        let mut bans = Vec::new();
        for (told, kind) in [(Bans::Users, BanKind::User), (Bans::Domains, BanKind::Domain)] {
            let window = Window { offset: 0, limit: 0 };
            let page = view.bans(&BansQuery { search: "", kind: Some(kind), window }).await?;
            bans.push((told, page.total));
        }
        // No position is left out, so the newest one is how many there are.
        let newest = view.audit_before(&AuditFilter::default(), None, 1).await?;
        Ok((bans, newest.first().map_or(0, |record| record.seq.0)))
    }
}

const fn state(standing: PeerStanding) -> PeerState {
    match standing {
        PeerStanding::Healthy => PeerState::Healthy,
        PeerStanding::Degraded => PeerState::Degraded,
        PeerStanding::BackingOff => PeerState::BackingOff,
        PeerStanding::Paused => PeerState::Paused,
        PeerStanding::Blocked => PeerState::Blocked,
        PeerStanding::Refused => PeerState::Refused,
        PeerStanding::AwaitingConfirmation => PeerState::AwaitingConfirmation,
    }
}

#[async_trait]
impl Readiness for Probe {
    fn state(&self) -> State {
        if self.stopping.is_cancelled() {
            return State::Draining;
        }
        match self.checks.preventing_work() {
            none if none.is_empty() => State::Ready,
            causes => State::Failing(causes),
        }
    }

    fn report(&self) -> Value {
        self.checks.last().and_then(|report| serde_json::to_value(report).ok()).unwrap_or_default()
    }

    async fn metrics(&self) -> (&'static str, String) {
        (CONTENT_TYPE, self.ground.metrics().render(&self.snapshot().await))
    }
}

/// Where SQLite keeps what is not yet in the database itself.
fn wal(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Asked of the directory: a database that is in use must not be opened past SQLite.
fn size(file: &Path) -> Option<u64> {
    std::fs::metadata(file).ok().map(|found| found.len())
}

/// `run/admin-address`; goes with the process.
#[derive(Debug)]
pub(super) struct AddressFile(PathBuf);

impl AddressFile {
    /// Says where the admin listener is.
    pub(super) fn write(directory: &DataDir, address: SocketAddr) -> Result<Self, DataDirError> {
        // A listener on every address is asked on loopback.
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let path = directory.admin_address();
        DataDir::replace(&path, format!("{}\n", SocketAddr::new(ip, address.port())).as_bytes())?;
        Ok(Self(path))
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        // A leftover is harmless: whoever reads it finds nobody there.
        std::fs::remove_file(&self.0).ok();
    }
}
