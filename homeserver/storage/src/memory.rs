//! The store in memory: for tests and simulation, and the plain statement of what each method means.
//!
//! A committed state is an immutable value of shared areas. A transaction works on its own copy, which shares
//! everything it has not touched, and `commit` swaps it in: isolation and undo need no code of their own.

mod accounts;
mod audit;
mod feeds;
mod groups;
mod idempotency;
mod inbox;
mod key_packages;
mod outbox;
mod peers;
mod tokens;
mod vault;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

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
    peers: Arc<peers::Peers>,
    audit: Arc<audit::Audit>,
}

#[derive(Default)]
struct Shared {
    committed: Mutex<State>,
    writer: Arc<tokio::sync::Mutex<()>>,
}

impl Shared {
    fn snapshot(&self) -> State {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A store that forgets everything when its last handle goes.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    shared: Arc<Shared>,
}

impl MemoryStorage {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
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
        Ok(Box::new(MemoryTx { state: self.shared.snapshot(), lease: None, broken: false }))
    }

    async fn write(&self) -> Stored<Box<dyn WriteTx>> {
        let turn = Arc::clone(&self.shared.writer).lock_owned().await;
        let state = self.shared.snapshot();
        let lease = Some(Lease { shared: Arc::clone(&self.shared), _turn: turn });
        Ok(Box::new(MemoryTx { state, lease, broken: false }))
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
}

impl MemoryTx {
    /// Says what was refused; from here on the transaction can't be committed.
    fn conflict(&mut self, what: &'static str) -> StorageError {
        self.broken = true;
        StorageError::Conflict { what }
    }
}

impl ReadTx for MemoryTx {}

#[async_trait]
impl WriteTx for MemoryTx {
    async fn commit(self: Box<Self>) -> Stored<()> {
        match self.lease {
            Some(lease) if !self.broken => {
                *lease.shared.committed.lock().unwrap_or_else(PoisonError::into_inner) = self.state;
                Ok(())
            }
            _ => Err(StorageError::Conflict { what: "commit" }),
        }
    }
}
