//! KeyPackages, in memory.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{Address, DeviceId, Digest, GroupId, Timestamp};

use super::MemoryTx;
use crate::{
    Claim, KeyPackageStock, KeyPackagesRead, KeyPackagesUploaded, KeyPackagesWrite, Stored, StoredKeyPackage,
};

type ClaimKey = (Address, GroupId, DeviceId, [u8; 16]);

#[derive(Clone)]
struct Row {
    package: Arc<StoredKeyPackage>,
    /// Handed out or replaced; kept only so that a repeated claim gets it again.
    gone: bool,
}

/// Packages by (device, reference), and the claims on them.
#[derive(Clone, Default)]
pub(super) struct KeyPackages {
    packages: BTreeMap<(DeviceId, Digest), Row>,
    claims: BTreeMap<ClaimKey, Digest>,
}

impl KeyPackages {
    fn in_stock<'a>(&'a self, device: &'a DeviceId) -> impl Iterator<Item = &'a Arc<StoredKeyPackage>> {
        self.packages
            .values()
            .filter(|row| !row.gone && row.package.device == *device)
            .map(|row| &row.package)
    }

    fn one_time(&self, device: &DeviceId) -> usize {
        self.in_stock(device).filter(|package| !package.last_resort).count()
    }

    fn pick(&self, claim: &Claim<'_>) -> Option<Arc<StoredKeyPackage>> {
        let lasting = || self.in_stock(claim.device).filter(|p| p.not_after >= claim.ends_after);
        let one_time = lasting().filter(|p| !p.last_resort && !claim.last_resort_only);
        let first = one_time.min_by_key(|p| (p.not_after, p.reference));
        first.or_else(|| lasting().find(|p| p.last_resort)).map(Arc::clone)
    }

    /// Drops a device's packages and the claims on them.
    pub(super) fn forget_device(&mut self, device: &DeviceId) {
        self.packages.retain(|(owner, _), _| owner != device);
        self.claims.retain(|(_, _, owner, _), _| owner != device);
    }
}

#[async_trait]
impl KeyPackagesRead for MemoryTx {
    async fn key_package_stock(
        &mut self,
        device: &DeviceId,
        ends_after: Timestamp,
    ) -> Stored<KeyPackageStock> {
        let packages = &self.state.key_packages;
        let lasting = || packages.in_stock(device).filter(|package| package.not_after >= ends_after);
        let one_time = lasting().filter(|package| !package.last_resort).count();
        Ok(KeyPackageStock {
            one_time: u64::try_from(one_time).unwrap_or(u64::MAX),
            last_resort_until: lasting().find(|package| package.last_resort).map(|p| p.not_after),
        })
    }

    async fn key_package_claim_known(&mut self, claim: &Claim<'_>) -> Stored<bool> {
        let key = (claim.requester.clone(), claim.group.clone(), *claim.device, *claim.nonce);
        Ok(self.state.key_packages.claims.contains_key(&key))
    }

    async fn key_package_claimed(&mut self, group: &GroupId, device: &DeviceId) -> Stored<bool> {
        let mut claims = self.state.key_packages.claims.keys();
        Ok(claims.any(|(_, claimed_for, of, _)| claimed_for == group && of == device))
    }
}

#[async_trait]
impl KeyPackagesWrite for MemoryTx {
    async fn key_packages_upload(
        &mut self,
        packages: &[StoredKeyPackage],
        most: usize,
    ) -> Stored<KeyPackagesUploaded> {
        if packages.iter().any(|package| !self.state.accounts.is_active(&package.device)) {
            return Err(self.conflict("key_packages_upload"));
        }
        let mut after = (*self.state.key_packages).clone();
        for package in packages {
            let key = (package.device, package.reference);
            if after.packages.contains_key(&key) {
                continue;
            }
            if package.last_resort {
                for row in after.packages.values_mut() {
                    if row.package.device == package.device && row.package.last_resort {
                        row.gone = true;
                    }
                }
            }
            after.packages.insert(key, Row { package: Arc::new(package.clone()), gone: false });
        }
        if packages.iter().any(|package| after.one_time(&package.device) > most) {
            return Ok(KeyPackagesUploaded::TooMany);
        }
        self.state.key_packages = Arc::new(after);
        Ok(KeyPackagesUploaded::Stored)
    }

    async fn key_package_claim(&mut self, claim: &Claim<'_>) -> Stored<Option<StoredKeyPackage>> {
        let key = (claim.requester.clone(), claim.group.clone(), *claim.device, *claim.nonce);
        let known = &self.state.key_packages;
        if let Some(reference) = known.claims.get(&key) {
            return Ok(known.packages.get(&(*claim.device, *reference)).map(|row| (*row.package).clone()));
        }
        let Some(package) = known.pick(claim) else { return Ok(None) };
        let stock = Arc::make_mut(&mut self.state.key_packages);
        stock.claims.insert(key, package.reference);
        if let Some(row) = stock.packages.get_mut(&(*claim.device, package.reference)) {
            row.gone = !package.last_resort;
        }
        Ok(Some((*package).clone()))
    }

    async fn key_packages_expire(&mut self, now: Timestamp) -> Stored<u64> {
        let stock = Arc::make_mut(&mut self.state.key_packages);
        let before = stock.packages.len();
        stock.packages.retain(|_, row| row.package.not_after > now);
        let packages = &stock.packages;
        stock.claims.retain(|(_, _, device, _), reference| packages.contains_key(&(*device, *reference)));
        Ok(u64::try_from(before - stock.packages.len()).unwrap_or(u64::MAX))
    }
}
