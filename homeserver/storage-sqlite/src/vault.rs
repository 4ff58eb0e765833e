//! The store's identity.

use async_trait::async_trait;
use qpq_core::Incarnation;
use qpq_storage::{Stored, Vault, VaultRead, VaultWrite};

use crate::{
    fields::one,
    transaction::{Transaction, sql, time},
};

#[async_trait]
impl VaultRead for Transaction {
    async fn vault(&mut self) -> Stored<Option<Vault>> {
        let row = self.row("vault", sql("SELECT id, domain, incarnation, created_at FROM vault")).await?;
        one("vault", row.as_ref(), |row| {
            Ok(Vault {
                domain: row.parsed("domain")?,
                incarnation: row.incarnation("incarnation")?,
                created_at: row.time("created_at")?,
            })
        })
    }
}

#[async_trait]
impl VaultWrite for Transaction {
    async fn vault_create(&mut self, vault: &Vault) -> Stored<()> {
        let insert = sql("INSERT INTO vault (id, domain, incarnation, created_at) VALUES (1, ?, ?, ?)")
            .bind(vault.domain.to_string())
            .bind(vault.incarnation.to_bytes().to_vec())
            .bind(time(vault.created_at));
        self.run("vault_create", insert).await.map(drop)
    }

    async fn vault_begin(&mut self, incarnation: Incarnation) -> Stored<()> {
        let what = "vault_begin";
        // The wire form's bytes have the order of the lives.
        let update = sql("UPDATE vault SET incarnation = ?1 WHERE id = 1 AND incarnation < ?1");
        if self.run(what, update.bind(incarnation.to_bytes().to_vec())).await? == 0 {
            return Err(self.conflict(what));
        }
        Ok(())
    }
}
