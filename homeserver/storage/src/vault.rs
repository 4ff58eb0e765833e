//! The store's own identity: whose data it is, and in which life.

use async_trait::async_trait;
use qpq_core::{Domain, Incarnation, Timestamp};

use crate::Stored;

/// What `init` writes and every start checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vault {
    /// The domain, chosen at `init`, never changed by a config edit.
    pub domain: Domain,
    /// This life of the database.
    pub incarnation: Incarnation,
    /// When `init` ran.
    pub created_at: Timestamp,
}

/// Reads the store's identity.
#[async_trait]
pub trait VaultRead: Send {
    /// The identity; `None` before `init`.
    async fn vault(&mut self) -> Stored<Option<Vault>>;
}

/// Writes the store's identity.
#[async_trait]
pub trait VaultWrite: Send {
    /// Writes it once; `Conflict` if there is one.
    async fn vault_create(&mut self, vault: &Vault) -> Stored<()>;
    /// Begins a new life; `Conflict` if there is no vault, or if its life is as late.
    async fn vault_begin(&mut self, incarnation: Incarnation) -> Stored<()>;
}
