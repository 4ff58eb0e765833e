//! The store in memory: for tests and simulation, and the plain statement of what each method means.
//!
//! A committed state is an immutable value of shared areas. A transaction works on its own copy, which shares
//! everything it has not touched, and `commit` swaps it in: isolation and undo need no code of their own.

mod accounts;
mod admins;
mod audit;
mod bans;
mod contacts;
mod cosigned;
mod disk;
mod feeds;
mod groups;
mod idempotency;
mod inbox;
mod jobs;
mod key_packages;
mod losses;
mod outbox;
mod peers;
pub(crate) mod planted;
mod samples;
mod tokens;
mod transparency;
mod vault;
mod witnessed;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

pub use disk::{Copied, Disk, Flushed, ParkedSeen, QueueSeen};
use planted::Planted;

use crate::{ReadTx, Storage, StorageError, Stored, Vault, WriteTx};

/// Everything; cloning shares the areas.
#[derive(Clone, Default)]
struct State {
    vault: Option<Vault>,
    accounts: Arc<accounts::Accounts>,
    tokens: Arc<tokens::Tokens>,
    key_packages: Arc<key_packages::KeyPackages>,
    groups: Arc<groups::Groups>,
    feeds: Arc<feeds::Mailboxes>,
    submits: Arc<idempotency::Submits>,
    outbox: Arc<outbox::Outbox>,
    inbox: Arc<inbox::Inbox>,
    losses: Arc<losses::Losses>,
    peers: Arc<peers::Peers>,
    audit: Arc<audit::Audit>,
    bans: Arc<bans::Bans>,
    contacts: Arc<contacts::Contacts>,
    admins: Arc<admins::Admins>,
    jobs: Arc<jobs::Jobs>,
    samples: Arc<samples::Samples>,
    log: Arc<transparency::Log>,
    cosigned: Arc<cosigned::Cosigned>,
    witnessed: Arc<witnessed::Witnessed>,
}

#[derive(Default)]
struct Shared {
    committed: Mutex<State>,
    writer: Arc<tokio::sync::Mutex<()>>,
    disk: Option<Arc<dyn Disk>>,
}

impl Shared {
    fn snapshot(&self) -> State {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, state: State) {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// A store that forgets everything when its last handle goes.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    shared: Arc<Shared>,
    planted: Planted,
}

impl MemoryStorage {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store as `init` leaves it.
    pub fn of(vault: Vault) -> Self {
        let storage = Self::new();
        storage.shared.replace(State { vault: Some(vault), ..State::default() });
        storage
    }

    /// The same, on a disk that may be slow and may fail.
    #[must_use]
    pub fn on(self, disk: Arc<dyn Disk>) -> Self {
        let shared = Shared { disk: Some(disk), ..Shared::default() };
        shared.replace(self.shared.snapshot());
        Self { shared: Arc::new(shared), ..self }
    }

    /// A store with a bug, on which the conformance suite must fail.
    #[cfg(test)]
    pub(crate) fn with_bug(bug: planted::Bug) -> Self {
        Self { planted: Planted::with(bug), ..Self::default() }
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage").finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn read(&self) -> Stored<Box<dyn ReadTx>> {
        Ok(Box::new(MemoryTx::new(self.shared.snapshot(), None, self.planted)))
    }

    async fn write(&self) -> Stored<Box<dyn WriteTx>> {
        let turn = Arc::clone(&self.shared.writer).lock_owned().await;
        let state = self.shared.snapshot();
        let lease = Some(Lease { shared: Arc::clone(&self.shared), _turn: turn });
        Ok(Box::new(MemoryTx::new(state, lease, self.planted)))
    }
}

/// The right to commit.
struct Lease {
    shared: Arc<Shared>,
    _turn: OwnedMutexGuard<()>,
}

/// A transaction; without a lease it only reads.
struct MemoryTx {
    state: State,
    lease: Option<Lease>,
    broken: bool,
    planted: Planted,
}

impl MemoryTx {
    const fn new(state: State, lease: Option<Lease>, planted: Planted) -> Self {
        Self { state, lease, broken: false, planted }
    }

    /// Says what was refused; from here on the transaction can't be committed.
    fn conflict(&mut self, what: &'static str) -> StorageError {
        self.broken = true;
        StorageError::Conflict { what }
    }
}

impl ReadTx for MemoryTx {}

#[async_trait]
impl WriteTx for MemoryTx {
    async fn commit(mut self: Box<Self>) -> Stored<()> {
        let planted = self.planted;
        match self.lease.take() {
            Some(lease) if !self.broken => {
                let flushed = match &lease.shared.disk {
                    Some(disk) => disk.flush().await,
                    None => Flushed::Kept,
                };
                if flushed != Flushed::Lost && !planted.commit_forgotten() {
                    lease.shared.replace(std::mem::take(&mut self.state));
                    lease.shared.disk.iter().for_each(|disk| disk.kept());
                }
                match flushed {
                    Flushed::Kept => Ok(()),
                    Flushed::Lost | Flushed::KeptUnsaid => {
                        Err(StorageError::Unavailable { what: "commit", source: "the disk failed".into() })
                    }
                }
            }
            _ => Err(StorageError::Conflict { what: "commit" }),
        }
    }
}

#[cfg(test)]
impl Drop for MemoryTx {
    /// The planted bug of a store that keeps what was not committed.
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take()
            && self.planted.drop_commits()
        {
            lease.shared.replace(std::mem::take(&mut self.state));
        }
    }
}
