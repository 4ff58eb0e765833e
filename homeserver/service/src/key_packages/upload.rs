//! Uploading: what a device may put into its stock.

use async_trait::async_trait;
use qpq_core::{DeviceId, Digest, ErrorCode, SignatureKey, Timestamp, limits};
use qpq_delivery::key_packages::Reuse;
use qpq_metrics::Limit;
use qpq_storage::{KeyPackageStock, KeyPackagesUploaded, Stored, StoredKeyPackage, WriteTx};

use super::{KeyPackages, ends_after, renewal};
use crate::{Answered, Refusal, SessionHandle, WriteJob};

/// A KeyPackage that a device brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPackageUpload {
    /// The serialised MLSMessage.
    pub message: Vec<u8>,
    /// Whether it stays when the others are gone; the package must say so itself, too.
    pub last_resort: bool,
}

impl KeyPackages {
    /// Adds to the session's device's stock; all of them or none.
    pub async fn upload(
        &self,
        session: &SessionHandle,
        packages: Vec<KeyPackageUpload>,
    ) -> Answered<KeyPackageStock> {
        let now = self.ground.now();
        session.check(now)?;
        if packages.len() > limits::BATCH_ITEMS {
            let text =
                format!("{} KeyPackages in one call, {} are allowed", packages.len(), limits::BATCH_ITEMS);
            return Err(Refusal::new(ErrorCode::TooLarge, text));
        }
        let device = session.device().device;
        let count = u32::try_from(packages.len()).unwrap_or(u32::MAX);
        let admitted = self.rates.uploads.admit(&device, count, now, "KeyPackages");
        self.ground.limited(Limit::KeyPackageUploads, admitted)?;
        let known = self.ground.read().await?.device(&device).await?;
        let key = known.ok_or_else(revoked)?.certificate.signature_key;
        let packages: Vec<_> = packages
            .into_iter()
            .map(|package| self.inspect(session, &key, package, now))
            .collect::<Answered<_>>()?;
        match self.ground.write(Upload { device, packages, now }).await? {
            Outcome::Stored(stock) => Ok(stock),
            Outcome::Revoked => Err(revoked()),
            Outcome::TooMany => {
                self.ground.metrics().limit_hit(Limit::KeyPackages);
                Err(Refusal::new(
                    ErrorCode::TooLarge,
                    format!(
                        "a device keeps at most {} one-time KeyPackages",
                        limits::KEY_PACKAGES_PER_DEVICE
                    ),
                ))
            }
        }
    }

    fn inspect(
        &self,
        session: &SessionHandle,
        key: &SignatureKey,
        package: KeyPackageUpload,
        now: Timestamp,
    ) -> Answered<StoredKeyPackage> {
        let KeyPackageUpload { message, last_resort } = package;
        if message.len() > limits::KEY_PACKAGE_BYTES {
            let text = format!("a KeyPackage has at most {} bytes", limits::KEY_PACKAGE_BYTES);
            return Err(Refusal::new(ErrorCode::TooLarge, text));
        }
        let malformed = |error: &dyn std::fmt::Display| Refusal::malformed(error.to_string());
        let facts = self.engine.inspect_key_package(&message).map_err(|error| malformed(&error))?;
        if facts.device != *session.device() || facts.signature_key != *key {
            return Err(Refusal::malformed("the KeyPackage is of another device, or signed by another key"));
        }
        facts.lifetime.check(now).map_err(|error| malformed(&error))?;
        if last_resort != (facts.reuse == Reuse::LastResort) {
            return Err(Refusal::malformed(
                "`lastResort` and the KeyPackage's last-resort extension disagree",
            ));
        }
        Ok(StoredKeyPackage {
            device: facts.device.device,
            reference: Digest::of(&[&message]),
            not_after: facts.lifetime.not_after,
            message,
            last_resort,
        })
    }
}

fn revoked() -> Refusal {
    Refusal::new(ErrorCode::Revoked, "the device was revoked")
}

enum Outcome {
    Stored(KeyPackageStock),
    TooMany,
    Revoked,
}

struct Upload {
    device: DeviceId,
    packages: Vec<StoredKeyPackage>,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for Upload {
    type Output = Outcome;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Outcome> {
        // It may have been revoked since the session was checked.
        if tx.device(&self.device).await?.is_none_or(|device| device.revoked_at.is_some()) {
            return Ok(Outcome::Revoked);
        }
        match tx.key_packages_upload(&self.packages, limits::KEY_PACKAGES_PER_DEVICE).await? {
            KeyPackagesUploaded::TooMany => Ok(Outcome::TooMany),
            KeyPackagesUploaded::Stored => {
                Ok(Outcome::Stored(renewal(tx.key_package_stock(&self.device, ends_after(self.now)).await?)))
            }
        }
    }
}
