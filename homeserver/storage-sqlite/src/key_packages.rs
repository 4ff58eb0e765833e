//! KeyPackages: each device's stock, and what was claimed from it.

use async_trait::async_trait;
use qpq_core::{DeviceId, GroupId, Timestamp};
use qpq_storage::{
    Claim, KeyPackageStock, KeyPackagesRead, KeyPackagesUploaded, KeyPackagesWrite, Stored, StoredKeyPackage,
};

use crate::{
    fields::{Fields, one},
    transaction::{Statement, Transaction, sql, time},
};

fn package(row: Fields<'_>) -> Stored<StoredKeyPackage> {
    Ok(StoredKeyPackage {
        device: DeviceId::from_bytes(row.bytes("device")?),
        reference: row.digest("reference")?,
        message: row.blob("message")?,
        not_after: row.time("not_after")?,
        last_resort: row.flag("last_resort")?,
    })
}

/// Binds what identifies a claim.
fn claim_key(statement: Statement, claim: &Claim<'_>) -> Statement {
    statement
        .bind(claim.requester.to_string())
        .bind(claim.group.to_bytes())
        .bind(claim.device.as_bytes().to_vec())
        .bind(claim.nonce.to_vec())
}

#[async_trait]
impl KeyPackagesRead for Transaction {
    async fn key_package_stock(
        &mut self,
        device: &DeviceId,
        ends_after: Timestamp,
    ) -> Stored<KeyPackageStock> {
        let query = sql("SELECT COUNT(*) FILTER (WHERE last_resort = 0) AS one_time,
                                MAX(not_after) FILTER (WHERE last_resort = 1) AS last_resort_until
                         FROM key_packages WHERE gone = 0 AND device = ? AND not_after >= ?")
        .bind(device.as_bytes().to_vec())
        .bind(time(ends_after));
        let row = self.row("key_package_stock", query).await?;
        let stock = one("key_packages", row.as_ref(), |row| {
            Ok(KeyPackageStock {
                one_time: row.number("one_time")?,
                last_resort_until: row.optional_time("last_resort_until")?,
            })
        })?;
        Ok(stock.unwrap_or_default())
    }

    async fn key_package_claim_known(&mut self, claim: &Claim<'_>) -> Stored<bool> {
        let query = sql("SELECT 1 FROM key_package_claims
                         WHERE requester = ? AND group_id = ? AND device = ? AND nonce = ?");
        Ok(self.row("key_package_claim_known", claim_key(query, claim)).await?.is_some())
    }

    async fn key_package_claimed(&mut self, group: &GroupId, device: &DeviceId) -> Stored<bool> {
        let query = sql("SELECT 1 FROM key_package_claims WHERE device = ? AND group_id = ? LIMIT 1")
            .bind(device.as_bytes().to_vec())
            .bind(group.to_bytes());
        Ok(self.row("key_package_claimed", query).await?.is_some())
    }
}

#[async_trait]
impl KeyPackagesWrite for Transaction {
    async fn key_packages_upload(
        &mut self,
        packages: &[StoredKeyPackage],
        most: usize,
    ) -> Stored<KeyPackagesUploaded> {
        let what = "key_packages_upload";
        let mut devices: Vec<DeviceId> = packages.iter().map(|package| package.device).collect();
        devices.sort_unstable();
        devices.dedup();
        for device in devices {
            if !self.is_active(what, &device).await? {
                return Err(self.conflict(what));
            }
            let new: Vec<_> = packages.iter().filter(|package| package.device == device).collect();
            if self.one_time_after(&device, &new).await? > most {
                return Ok(KeyPackagesUploaded::TooMany);
            }
        }
        for package in packages {
            self.store_package(what, package).await?;
        }
        Ok(KeyPackagesUploaded::Stored)
    }

    async fn key_package_claim(&mut self, claim: &Claim<'_>) -> Stored<Option<StoredKeyPackage>> {
        let what = "key_package_claim";
        let repeated = sql("SELECT p.device, p.reference, p.not_after, p.last_resort, p.message
                            FROM key_package_claims c
                            JOIN key_packages p ON p.device = c.device AND p.reference = c.reference
                            WHERE c.requester = ? AND c.group_id = ? AND c.device = ? AND c.nonce = ?");
        let row = self.row(what, claim_key(repeated, claim)).await?;
        if let Some(known) = one("key_packages", row.as_ref(), package)? {
            return Ok(Some(known));
        }
        let query = sql("SELECT device, reference, not_after, last_resort, message FROM key_packages
                         WHERE gone = 0 AND device = ? AND not_after >= ? AND last_resort >= ?
                         ORDER BY last_resort, not_after, reference LIMIT 1")
        .bind(claim.device.as_bytes().to_vec())
        .bind(time(claim.ends_after))
        .bind(claim.last_resort_only);
        let row = self.row(what, query).await?;
        let Some(found) = one("key_packages", row.as_ref(), package)? else { return Ok(None) };
        if !found.last_resort {
            let take = sql("UPDATE key_packages SET gone = 1 WHERE device = ? AND reference = ?")
                .bind(found.device.as_bytes().to_vec())
                .bind(found.reference.as_bytes().to_vec());
            self.run(what, take).await?;
        }
        let insert = sql("INSERT INTO key_package_claims (requester, group_id, device, nonce, reference)
                          VALUES (?, ?, ?, ?, ?)");
        let insert = claim_key(insert, claim).bind(found.reference.as_bytes().to_vec());
        self.run(what, insert).await?;
        Ok(Some(found))
    }

    async fn key_packages_expire(&mut self, now: Timestamp) -> Stored<u64> {
        let delete = sql("DELETE FROM key_packages WHERE not_after <= ?").bind(time(now));
        self.run_job("key_packages_expire", delete).await
    }
}

impl Transaction {
    async fn is_active(&mut self, what: &'static str, device: &DeviceId) -> Stored<bool> {
        let query =
            sql("SELECT 1 FROM devices WHERE id = ? AND revoked_at IS NULL").bind(device.as_bytes().to_vec());
        Ok(self.row(what, query).await?.is_some())
    }

    /// How many one-time packages a device would have with the new ones.
    async fn one_time_after(&mut self, device: &DeviceId, new: &[&StoredKeyPackage]) -> Stored<usize> {
        let what = "key_packages_upload";
        let query = sql("SELECT COUNT(*) AS held FROM key_packages
                         WHERE gone = 0 AND last_resort = 0 AND device = ?")
        .bind(device.as_bytes().to_vec());
        let row = self.row(what, query).await?;
        let mut count: usize = one("key_packages", row.as_ref(), |row| row.number("held"))?.unwrap_or(0);
        let mut references: Vec<_> = new.iter().filter(|p| !p.last_resort).map(|p| p.reference).collect();
        references.sort_unstable();
        references.dedup();
        for reference in references {
            let query = sql("SELECT 1 FROM key_packages WHERE device = ? AND reference = ?")
                .bind(device.as_bytes().to_vec())
                .bind(reference.as_bytes().to_vec());
            if self.row(what, query).await?.is_none() {
                count += 1;
            }
        }
        Ok(count)
    }

    async fn store_package(&mut self, what: &'static str, package: &StoredKeyPackage) -> Stored<()> {
        let device = || package.device.as_bytes().to_vec();
        let reference = || package.reference.as_bytes().to_vec();
        let insert =
            sql("INSERT INTO key_packages (device, reference, not_after, last_resort, gone, message)
                          VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (device, reference) DO NOTHING")
            .bind(device())
            .bind(reference())
            .bind(time(package.not_after))
            .bind(package.last_resort)
            .bind(package.message.clone());
        let new = self.run(what, insert).await? > 0;
        if new && package.last_resort {
            let replace = sql("UPDATE key_packages SET gone = 1
                               WHERE gone = 0 AND device = ? AND last_resort = 1 AND reference <> ?")
            .bind(device())
            .bind(reference());
            self.run(what, replace).await?;
        }
        Ok(())
    }
}
