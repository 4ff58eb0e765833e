//! The private halves of this device's KeyPackages, and the public halves that are not uploaded yet.

use qpq_core::{Secret, Timestamp};

use super::{
    StoreError, Tx,
    row::{Columns, failed, sql_time},
};
use crate::mls::{KeyPackageRef, KeyPackageSecret, NewKeyPackage, StockKind};

/// A KeyPackage that waits for its upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockRow {
    /// Its reference.
    pub reference: KeyPackageRef,
    /// Which place it takes.
    pub kind: StockKind,
    /// A serialised `MLSMessage` of wire format `mls_key_package`.
    pub key_package: Vec<u8>,
}

impl Tx<'_> {
    /// Keeps KeyPackages that were just made, before they are uploaded.
    pub async fn add_key_packages(&mut self, packages: &[NewKeyPackage]) -> Result<(), StoreError> {
        for package in packages {
            let secret = &package.secret;
            sqlx::query("INSERT INTO key_packages VALUES (?, ?, ?, ?, ?, 0)")
                .bind(secret.reference.0.as_slice())
                .bind(secret.kind == StockKind::LastResort)
                .bind(sql_time(secret.expires_at))
                .bind(secret.private.expose().as_slice())
                .bind(package.key_package.as_slice())
                .execute(self.sql())
                .await
                .map_err(failed("keep a KeyPackage"))?;
        }
        Ok(())
    }

    /// KeyPackages that no upload is known to have brought to the homeserver (an exact repeat counts once there).
    pub async fn key_packages_to_upload(&mut self) -> Result<Vec<StockRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT reference, last_resort, key_package FROM key_packages WHERE uploaded = 0 ORDER BY expires_at",
        )
        .fetch_all(self.sql())
        .await
        .map_err(failed("read KeyPackages"))?;
        rows.iter()
            .map(|row| {
                let columns = Columns { table: "key_packages", row };
                Ok(StockRow {
                    reference: KeyPackageRef(columns.take("reference")?),
                    kind: read_kind(&columns)?,
                    key_package: columns.take("key_package")?,
                })
            })
            .collect()
    }

    /// The homeserver has these.
    pub async fn mark_key_packages_uploaded(
        &mut self,
        references: &[KeyPackageRef],
    ) -> Result<(), StoreError> {
        for reference in references {
            sqlx::query("UPDATE key_packages SET uploaded = 1 WHERE reference = ?")
                .bind(reference.0.as_slice())
                .execute(self.sql())
                .await
                .map_err(failed("note an upload"))?;
        }
        Ok(())
    }

    /// After a new incarnation of the homeserver: whether it still has them is unknown, so all count as not
    /// uploaded.
    pub async fn forget_uploads(&mut self) -> Result<(), StoreError> {
        sqlx::query("UPDATE key_packages SET uploaded = 0")
            .execute(self.sql())
            .await
            .map_err(failed("forget uploads"))?;
        Ok(())
    }

    /// Those of `references` that this device has.
    pub async fn key_package_secrets(
        &mut self,
        references: &[KeyPackageRef],
    ) -> Result<Vec<KeyPackageSecret>, StoreError> {
        let mut found = Vec::new();
        for reference in references {
            let row = sqlx::query("SELECT * FROM key_packages WHERE reference = ?")
                .bind(reference.0.as_slice())
                .fetch_optional(self.sql())
                .await
                .map_err(failed("read a KeyPackage"))?;
            if let Some(row) = row {
                let columns = Columns { table: "key_packages", row: &row };
                found.push(KeyPackageSecret {
                    reference: reference.clone(),
                    kind: read_kind(&columns)?,
                    expires_at: columns.time("expires_at")?,
                    private: Secret::new(columns.take("private")?),
                });
            }
        }
        Ok(found)
    }

    /// Until when the newest last-resort KeyPackage is accepted; `None` when there is none.
    pub async fn last_resort_until(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let until: Option<i64> =
            sqlx::query_scalar("SELECT max(expires_at) FROM key_packages WHERE last_resort = 1")
                .fetch_one(self.sql())
                .await
                .map_err(failed("read KeyPackages"))?;
        Ok(until.and_then(|until| u64::try_from(until).ok()).map(Timestamp::from_millis))
    }

    /// Forgets a one-time KeyPackage that was joined with.
    pub async fn delete_key_package(&mut self, reference: &KeyPackageRef) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM key_packages WHERE reference = ?")
            .bind(reference.0.as_slice())
            .execute(self.sql())
            .await
            .map_err(failed("forget a KeyPackage"))?;
        Ok(())
    }

    /// Forgets those that expired before `before`; returns how many.
    pub async fn purge_key_packages(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let gone = sqlx::query("DELETE FROM key_packages WHERE expires_at < ?")
            .bind(sql_time(before))
            .execute(self.sql())
            .await
            .map_err(failed("forget old KeyPackages"))?;
        Ok(gone.rows_affected())
    }
}

fn read_kind(columns: &Columns<'_>) -> Result<StockKind, StoreError> {
    Ok(if columns.take::<bool>("last_resort")? { StockKind::LastResort } else { StockKind::OneTime })
}
