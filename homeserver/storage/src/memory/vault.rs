//! The store's identity, in memory.

use async_trait::async_trait;
use qpq_core::Incarnation;

use super::MemoryTx;
use crate::{Stored, Vault, VaultRead, VaultWrite};

#[async_trait]
impl VaultRead for MemoryTx {
    async fn vault(&mut self) -> Stored<Option<Vault>> {
        Ok(self.state.vault.clone())
    }
}

#[async_trait]
impl VaultWrite for MemoryTx {
    async fn vault_create(&mut self, vault: &Vault) -> Stored<()> {
        if self.state.vault.is_some() {
            return Err(self.conflict("vault_create"));
        }
        self.state.vault = Some(vault.clone());
        Ok(())
    }

    async fn vault_begin(&mut self, incarnation: Incarnation) -> Stored<()> {
        match &mut self.state.vault {
            Some(vault) if vault.incarnation < incarnation => {
                vault.incarnation = incarnation;
                Ok(())
            }
            Some(_) | None => Err(self.conflict("vault_begin")),
        }
    }
}
