//! KeyPackages (RFC 9420, section 10): each device's stock, and what was claimed from it.

use async_trait::async_trait;
use qpq_core::{Address, DeviceId, Digest, GroupId, Timestamp};

use crate::Stored;

/// A KeyPackage in stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKeyPackage {
    /// The device that can open it.
    pub device: DeviceId,
    /// SHA-256 over the serialised message.
    pub reference: Digest,
    /// The serialised MLSMessage.
    pub message: Vec<u8>,
    /// The end of its lifetime.
    pub not_after: Timestamp,
    /// Whether it stays when it is claimed.
    pub last_resort: bool,
}

/// What a device has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyPackageStock {
    /// Unclaimed one-time packages that end after the given time.
    pub one_time: u64,
    /// The end of the last-resort package.
    pub last_resort_until: Option<Timestamp>,
}

/// A claim on one device's packages; atomic, and idempotent per (requester, group, device, nonce).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Who asks.
    pub requester: &'a Address,
    /// For which group.
    pub group: &'a GroupId,
    /// Tells repeats from new claims.
    pub nonce: &'a [u8; 16],
    /// From whose stock.
    pub device: &'a DeviceId,
    /// Packages that end before this are not given out.
    pub ends_after: Timestamp,
    /// Only the last-resort package: the requester has used up its quota of one-time ones.
    pub last_resort_only: bool,
    /// When it is asked.
    pub now: Timestamp,
}

/// What uploading did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPackagesUploaded {
    /// They are in stock; repeats counted once.
    Stored,
    /// The device would have more than its limit of one-time packages; nothing was stored.
    TooMany,
}

/// Reads KeyPackages.
#[async_trait]
pub trait KeyPackagesRead: Send {
    /// What a device has left that ends after `ends_after`.
    async fn key_package_stock(
        &mut self,
        device: &DeviceId,
        ends_after: Timestamp,
    ) -> Stored<KeyPackageStock>;
    /// Whether this very claim was answered before: a repeat takes nothing more.
    async fn key_package_claim_known(&mut self, claim: &Claim<'_>) -> Stored<bool>;
    /// Whether a package of this device was handed out for this group, to whomever.
    async fn key_package_claimed(&mut self, group: &GroupId, device: &DeviceId) -> Stored<bool>;
}

/// Writes KeyPackages.
#[async_trait]
pub trait KeyPackagesWrite: Send {
    /// Adds packages; a last-resort one replaces the device's former. `most` counts one-time packages.
    async fn key_packages_upload(
        &mut self,
        packages: &[StoredKeyPackage],
        most: usize,
    ) -> Stored<KeyPackagesUploaded>;
    /// Takes a one-time package (the one that ends first), or lends the last-resort one when none is left; `None`
    /// when there is neither. A repeat returns the same package.
    async fn key_package_claim(&mut self, claim: &Claim<'_>) -> Stored<Option<StoredKeyPackage>>;
    /// Forgets packages whose lifetime is over, and claims on them; returns how many packages went.
    async fn key_packages_expire(&mut self, now: Timestamp) -> Stored<u64>;
}
