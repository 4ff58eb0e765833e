//! What `/readyz` and `/metrics` say of the running process, and the file that says where they are.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use async_trait::async_trait;
use qpq_metrics::{CONTENT_TYPE, PeerState, Snapshot};
use qpq_service::{Ground, PeerStanding, Peering, Sessions};
use qpq_web::{Readiness, State};
use tokio_util::sync::CancellationToken;

use crate::data_dir::{DataDir, DataDirError};

/// How the process is.
#[derive(Debug)]
pub(super) struct Probe {
    stopping: CancellationToken,
    ground: Arc<Ground>,
    sessions: Sessions,
    peering: Peering,
}

impl Probe {
    /// Ready until `stopping`.
    pub(super) const fn new(
        stopping: CancellationToken,
        ground: Arc<Ground>,
        sessions: Sessions,
        peering: Peering,
    ) -> Self {
        Self { stopping, ground, sessions, peering }
    }

    /// What is looked at when somebody asks; what the store can't tell now is left at nothing.
    async fn snapshot(&self) -> Snapshot {
        let sessions = u64::try_from(self.sessions.live().count()).unwrap_or(u64::MAX);
        let mut snapshot = Snapshot { sessions, ..Snapshot::default() };
        if let Ok(counts) = self.peering.counts().await {
            snapshot.peers = counts.into_iter().map(|(standing, count)| (state(standing), count)).collect();
        }
        if let Ok(waiting) = self.peering.waiting().await {
            snapshot.queue_rows = waiting.rows;
            let waited = waiting.oldest_at.map(|oldest| self.ground.now().since(oldest).to_duration());
            snapshot.queue_oldest = waited.unwrap_or_default();
        }
        snapshot
    }
}

const fn state(standing: PeerStanding) -> PeerState {
    match standing {
        PeerStanding::Healthy => PeerState::Healthy,
        PeerStanding::Degraded => PeerState::Degraded,
        PeerStanding::BackingOff => PeerState::BackingOff,
        PeerStanding::Blocked => PeerState::Blocked,
        PeerStanding::Refused => PeerState::Refused,
        PeerStanding::AwaitingConfirmation => PeerState::AwaitingConfirmation,
    }
}

#[async_trait]
impl Readiness for Probe {
    fn state(&self) -> State {
        if self.stopping.is_cancelled() { State::Draining } else { State::Ready }
    }

    async fn metrics(&self) -> (&'static str, String) {
        (CONTENT_TYPE, self.ground.metrics().render(&self.snapshot().await))
    }
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
