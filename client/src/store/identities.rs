//! Identity keys pinned on first use, and the device certificates seen under them.

use qpq_core::{Address, DeviceAddress, DeviceCertificate, IdentityKey, SignatureKey, Timestamp};

use super::{
    StoreError, Tx,
    row::{Columns, failed, sql_time},
};

/// What is known of an account's identity key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedIdentity {
    /// Whose.
    pub address: Address,
    /// The pinned key.
    pub key: IdentityKey,
    /// When it was pinned.
    pub since: Timestamp,
    /// Another key that was shown later and not accepted: sending stops.
    pub pending: Option<(IdentityKey, Timestamp)>,
}

/// What seeing an identity key meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentitySeen {
    /// The first time: it is pinned now.
    First,
    /// It is the pinned one.
    Same,
    /// It is another than the pinned one, and kept as pending until the user accepts it.
    Changed {
        /// The key that stays pinned.
        pinned: IdentityKey,
    },
}

impl Tx<'_> {
    /// Compares a key that a domain showed with the pinned one; pins it on first use. Seeing the pinned one again
    /// does not take a pending change back: only the user does, with [`Tx::accept_identity`], or
    /// a proof, with [`Tx::replace_identity`].
    pub async fn see_identity(
        &mut self,
        address: &Address,
        key: &IdentityKey,
        now: Timestamp,
    ) -> Result<IdentitySeen, StoreError> {
        let Some(known) = self.identity(address).await? else {
            sqlx::query("INSERT INTO identities (address, key, since) VALUES (?, ?, ?)")
                .bind(address.to_string())
                .bind(key.as_bytes().as_slice())
                .bind(sql_time(now))
                .execute(self.sql())
                .await
                .map_err(failed("pin an identity key"))?;
            return Ok(IdentitySeen::First);
        };
        if known.key == *key {
            return Ok(IdentitySeen::Same);
        }
        if known.pending.is_none_or(|(pending, _)| pending != *key) {
            sqlx::query("UPDATE identities SET pending = ?, pending_since = ? WHERE address = ?")
                .bind(key.as_bytes().as_slice())
                .bind(sql_time(now))
                .bind(address.to_string())
                .execute(self.sql())
                .await
                .map_err(failed("keep a changed identity key"))?;
        }
        Ok(IdentitySeen::Changed { pinned: known.key })
    }

    /// What is pinned for an address.
    pub async fn identity(&mut self, address: &Address) -> Result<Option<PinnedIdentity>, StoreError> {
        let row = sqlx::query("SELECT * FROM identities WHERE address = ?")
            .bind(address.to_string())
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read a pinned key"))?;
        row.map(|row| read_identity(&Columns { table: "identities", row: &row })).transpose()
    }

    /// Every pinned identity, by address.
    pub async fn identities(&mut self) -> Result<Vec<PinnedIdentity>, StoreError> {
        let rows = sqlx::query("SELECT * FROM identities ORDER BY address")
            .fetch_all(self.sql())
            .await
            .map_err(failed("read the pinned keys"))?;
        rows.iter().map(|row| read_identity(&Columns { table: "identities", row })).collect()
    }

    /// Pins the pending key, and forgets the certificates that the old key signed; `None` when nothing is pending.
    pub async fn accept_identity(
        &mut self,
        address: &Address,
        now: Timestamp,
    ) -> Result<Option<IdentityKey>, StoreError> {
        let pending = self.identity(address).await?.and_then(|known| known.pending);
        let Some((key, _)) = pending else { return Ok(None) };
        sqlx::query(
            "UPDATE identities SET key = pending, since = ?, pending = NULL, pending_since = NULL WHERE address = ?",
        )
        .bind(sql_time(now))
        .bind(address.to_string())
        .execute(self.sql())
        .await
        .map_err(failed("pin the changed key"))?;
        self.forget_certificates(address).await?;
        Ok(Some(key))
    }

    /// Pins another key without asking, because it was proven: the pinned one has signed for it. What was pending is
    /// gone, and so are the certificates that the old key signed.
    pub async fn replace_identity(
        &mut self,
        address: &Address,
        key: &IdentityKey,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("REPLACE INTO identities (address, key, since) VALUES (?, ?, ?)")
            .bind(address.to_string())
            .bind(key.as_bytes().as_slice())
            .bind(sql_time(now))
            .execute(self.sql())
            .await
            .map_err(failed("pin a proven key"))?;
        self.forget_certificates(address).await
    }

    /// Forgets the certificates of a user's devices: none of them counts until it is shown again.
    pub async fn forget_certificates(&mut self, address: &Address) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM certificates WHERE address = ?")
            .bind(address.to_string())
            .execute(self.sql())
            .await
            .map_err(failed("forget old certificates"))?;
        Ok(())
    }

    /// Keeps certificates whose signatures the caller checked.
    pub async fn save_certificates(&mut self, certificates: &[DeviceCertificate]) -> Result<(), StoreError> {
        for certificate in certificates {
            sqlx::query("INSERT OR REPLACE INTO certificates VALUES (?, ?, ?, ?, ?)")
                .bind(certificate.device.to_string())
                .bind(certificate.device.user.to_string())
                .bind(certificate.signature_key.as_bytes().as_slice())
                .bind(sql_time(certificate.certified_at))
                .bind(certificate.signature.as_slice())
                .execute(self.sql())
                .await
                .map_err(failed("keep a device's certificate"))?;
        }
        Ok(())
    }

    /// The certificate of a device.
    pub async fn certificate(
        &mut self,
        device: &DeviceAddress,
    ) -> Result<Option<DeviceCertificate>, StoreError> {
        let row = sqlx::query("SELECT * FROM certificates WHERE device = ?")
            .bind(device.to_string())
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read a device's certificate"))?;
        row.map(|row| read_certificate(&Columns { table: "certificates", row: &row })).transpose()
    }

    /// The certificates of a user's devices.
    pub async fn certificates(&mut self, address: &Address) -> Result<Vec<DeviceCertificate>, StoreError> {
        let rows = sqlx::query("SELECT * FROM certificates WHERE address = ? ORDER BY device")
            .bind(address.to_string())
            .fetch_all(self.sql())
            .await
            .map_err(failed("read a user's certificates"))?;
        rows.iter().map(|row| read_certificate(&Columns { table: "certificates", row })).collect()
    }
}

fn read_identity(columns: &Columns<'_>) -> Result<PinnedIdentity, StoreError> {
    let pending = match columns.take::<Option<&[u8]>>("pending")? {
        Some(_) => Some((IdentityKey::from_bytes(columns.bytes("pending")?), columns.time("pending_since")?)),
        None => None,
    };
    Ok(PinnedIdentity {
        address: columns.text("address")?,
        key: IdentityKey::from_bytes(columns.bytes("key")?),
        since: columns.time("since")?,
        pending,
    })
}

fn read_certificate(columns: &Columns<'_>) -> Result<DeviceCertificate, StoreError> {
    Ok(DeviceCertificate {
        device: columns.text("device")?,
        signature_key: SignatureKey::from_bytes(columns.bytes("signature_key")?),
        certified_at: columns.time("certified_at")?,
        signature: columns.bytes("signature")?,
    })
}
