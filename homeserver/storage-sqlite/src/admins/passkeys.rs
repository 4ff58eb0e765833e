//! Passkeys of admins.

use qpq_core::{AdminId, PasskeyId, Timestamp};
use qpq_storage::{AdminPasskey, Stored};

use super::bytes;
use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, sql, time},
};

fn passkey(row: Fields<'_>) -> Stored<AdminPasskey> {
    Ok(AdminPasskey {
        id: PasskeyId::from_bytes(row.bytes("id")?),
        admin: AdminId::from_bytes(row.bytes("admin")?),
        credential_id: row.blob("credential_id")?,
        label: row.text("label")?,
        rp_id: row.text("rp_id")?,
        credential: row.text("credential")?,
        created_at: row.time("created_at")?,
        last_used_at: row.optional_time("last_used_at")?,
    })
}

impl Transaction {
    pub(super) async fn passkeys_of(&mut self, admin: &AdminId) -> Stored<Vec<AdminPasskey>> {
        let query = sql("SELECT id, admin, credential_id, label, rp_id, credential, created_at, last_used_at
                         FROM admin_passkeys WHERE admin = ? ORDER BY created_at, id")
        .bind(bytes(admin));
        each("admin_passkeys", &self.rows("admin_passkeys", query).await?, passkey)
    }

    pub(super) async fn passkey_with(&mut self, credential_id: &[u8]) -> Stored<Option<AdminPasskey>> {
        let query = sql("SELECT id, admin, credential_id, label, rp_id, credential, created_at, last_used_at
                         FROM admin_passkeys WHERE credential_id = ?")
        .bind(credential_id.to_vec());
        let row = self.row("admin_passkey", query).await?;
        one("admin_passkeys", row.as_ref(), passkey)
    }

    pub(super) async fn add_passkey(&mut self, passkey: &AdminPasskey) -> Stored<bool> {
        let insert = sql("INSERT INTO admin_passkeys
                          (id, admin, credential_id, label, rp_id, credential, created_at, last_used_at)
                          VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (credential_id) DO NOTHING")
        .bind(passkey.id.as_bytes().to_vec())
        .bind(bytes(&passkey.admin))
        .bind(passkey.credential_id.clone())
        .bind(passkey.label.clone())
        .bind(passkey.rp_id.clone())
        .bind(passkey.credential.clone())
        .bind(time(passkey.created_at))
        .bind(passkey.last_used_at.map(time));
        Ok(self.run("admin_passkey_add", insert).await? > 0)
    }

    pub(super) async fn passkey_used(
        &mut self,
        id: &PasskeyId,
        credential: &str,
        at: Timestamp,
    ) -> Stored<()> {
        let update = sql("UPDATE admin_passkeys SET credential = ?, last_used_at = ? WHERE id = ?")
            .bind(credential.to_owned())
            .bind(time(at))
            .bind(id.as_bytes().to_vec());
        self.run("admin_passkey_used", update).await.map(drop)
    }

    pub(super) async fn remove_passkey(&mut self, admin: &AdminId, id: &PasskeyId) -> Stored<bool> {
        let delete = sql("DELETE FROM admin_passkeys WHERE admin = ? AND id = ?")
            .bind(bytes(admin))
            .bind(id.as_bytes().to_vec());
        Ok(self.run("admin_passkey_remove", delete).await? > 0)
    }
}
