//! Devices of accounts.

use qpq_core::{AccountId, DeviceCertificate, DeviceId, SignatureKey, Timestamp};
use qpq_storage::{Device, DeviceEnrolled, Stored};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, size, sql, time},
};

fn device(row: Fields<'_>) -> Stored<Device> {
    Ok(Device {
        account: AccountId::from_bytes(row.bytes("account")?),
        certificate: DeviceCertificate {
            device: row.parsed("address")?,
            signature_key: SignatureKey::from_bytes(row.bytes("signature_key")?),
            certified_at: row.time("certified_at")?,
            signature: row.bytes("signature")?,
        },
        enrolled_at: row.time("enrolled_at")?,
        last_seen_at: row.time("last_seen_at")?,
        revoked_at: row.optional_time("revoked_at")?,
    })
}

impl Transaction {
    pub(super) async fn devices_of(&mut self, account: &AccountId) -> Stored<Vec<Device>> {
        let query = sql("SELECT id, account, address, signature_key, certified_at, signature, enrolled_at,
                                last_seen_at, revoked_at
                         FROM devices WHERE account = ? ORDER BY enrolled_at, id")
        .bind(account.as_bytes().to_vec());
        each("devices", &self.rows("devices", query).await?, device)
    }

    pub(super) async fn device_of_id(&mut self, id: &DeviceId) -> Stored<Option<Device>> {
        let query = sql("SELECT id, account, address, signature_key, certified_at, signature, enrolled_at,
                                last_seen_at, revoked_at
                         FROM devices WHERE id = ?")
        .bind(id.as_bytes().to_vec());
        let row = self.row("device", query).await?;
        one("devices", row.as_ref(), device)
    }

    pub(super) async fn devices_after(
        &mut self,
        after: Option<&DeviceId>,
        limit: usize,
    ) -> Stored<Vec<Device>> {
        let query = match after {
            None => sql("SELECT id, account, address, signature_key, certified_at, signature, enrolled_at,
                                last_seen_at, revoked_at
                         FROM devices ORDER BY enrolled_at, id LIMIT ?"),
            Some(id) => {
                sql("SELECT id, account, address, signature_key, certified_at, signature, enrolled_at,
                                    last_seen_at, revoked_at
                             FROM devices
                             WHERE (enrolled_at, id) > (SELECT enrolled_at, id FROM devices WHERE id = ?)
                             ORDER BY enrolled_at, id LIMIT ?")
                .bind(id.as_bytes().to_vec())
            }
        };
        each("devices", &self.rows("all_devices", query.bind(size(limit))).await?, device)
    }

    pub(super) async fn device_insert(&mut self, what: &'static str, device: &Device) -> Stored<()> {
        let certificate = &device.certificate;
        let insert = sql("INSERT INTO devices (id, account, address, signature_key, certified_at, signature,
                                               enrolled_at, last_seen_at, revoked_at)
                          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(certificate.device.device.as_bytes().to_vec())
        .bind(device.account.as_bytes().to_vec())
        .bind(certificate.device.to_string())
        .bind(certificate.signature_key.as_bytes().to_vec())
        .bind(time(certificate.certified_at))
        .bind(certificate.signature.to_vec())
        .bind(time(device.enrolled_at))
        .bind(time(device.last_seen_at))
        .bind(device.revoked_at.map(time));
        self.run(what, insert).await?;
        let seen = sql("UPDATE accounts SET last_seen_at = MAX(last_seen_at, ?) WHERE id = ?")
            .bind(time(device.last_seen_at))
            .bind(device.account.as_bytes().to_vec());
        self.run(what, seen).await.map(drop)
    }

    pub(super) async fn enrol(&mut self, device: &Device, most: usize) -> Stored<DeviceEnrolled> {
        let what = "device_enrol";
        if let Some(known) = self.device_of_id(&device.certificate.device.device).await? {
            let same = known.fits(&device.account, &device.certificate);
            return Ok(match (same, known.revoked_at) {
                (false, _) => DeviceEnrolled::Taken,
                (true, Some(_)) => DeviceEnrolled::Revoked,
                (true, None) => {
                    self.recertify(what, &device.account, &device.certificate).await?;
                    DeviceEnrolled::Known
                }
            });
        }
        let query = sql("SELECT COUNT(*) AS active FROM devices WHERE account = ? AND revoked_at IS NULL")
            .bind(device.account.as_bytes().to_vec());
        let row = self.row(what, query).await?;
        let active: usize = one("devices", row.as_ref(), |row| row.number("active"))?.unwrap_or(0);
        if active >= most {
            return Ok(DeviceEnrolled::TooMany);
        }
        self.device_insert(what, device).await?;
        Ok(DeviceEnrolled::New)
    }

    /// Replaces the certificate of a device of an account, unless it is revoked.
    pub(super) async fn recertify(
        &mut self,
        what: &'static str,
        account: &AccountId,
        certificate: &DeviceCertificate,
    ) -> Stored<()> {
        let known = self.device_of_id(&certificate.device.device).await?;
        if !known.is_some_and(|known| known.fits(account, certificate)) {
            return Err(self.conflict(what));
        }
        let update = sql("UPDATE devices SET certified_at = ?, signature = ?
                          WHERE id = ? AND revoked_at IS NULL")
        .bind(time(certificate.certified_at))
        .bind(certificate.signature.to_vec())
        .bind(certificate.device.device.as_bytes().to_vec());
        self.run(what, update).await.map(drop)
    }

    pub(super) async fn revoke(&mut self, id: &DeviceId, now: Timestamp) -> Stored<bool> {
        let what = "device_revoke";
        let bytes = || id.as_bytes().to_vec();
        let revoke = sql("UPDATE devices SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
            .bind(time(now))
            .bind(bytes());
        if self.run(what, revoke).await? == 0 {
            return Ok(false);
        }
        let ends = sql("UPDATE members SET left_seq = COALESCE(left_seq, g.last_seq),
                            acknowledged_seq = MAX(acknowledged_seq,
                                                   COALESCE(needs_resync, left_seq, g.last_seq))
                        FROM mls_groups g
                        WHERE g.pk = members.group_pk AND members.local = 1 AND members.device = ?");
        self.run(what, ends.bind(bytes())).await?;
        self.run(what, sql("DELETE FROM sessions WHERE device = ?").bind(bytes())).await?;
        self.run(what, sql("DELETE FROM key_packages WHERE device = ?").bind(bytes())).await?;
        self.run(what, sql("DELETE FROM mailbox WHERE device = ?").bind(bytes())).await?;
        Ok(true)
    }
}
