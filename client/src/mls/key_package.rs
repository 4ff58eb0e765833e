//! KeyPackages: one's own stock, and the check of somebody else's before an Add.

use std::collections::HashMap;

use openmls::prelude::{
    ExtensionType, KeyPackage, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut, OpenMlsProvider as _,
    ProtocolVersion, tls_codec::Deserialize as _,
};
use qpq_core::{DeviceAddress, DeviceCertificate, Secret, Timestamp, limits, mls::HUB_EXTENSION};

use super::{
    Device, MlsError, Suite,
    group::device_of,
    provider::{Provider, crypto},
    suite::{capabilities, lifetime},
};

/// The hash by which a Welcome names the KeyPackage that it was made for (RFC 9420, section 5.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPackageRef(pub Vec<u8>);

/// Which place in the stock a KeyPackage takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockKind {
    /// Claimed once.
    OneTime,
    /// Stays when the others are gone.
    LastResort,
}

/// A KeyPackage that was just made: persist `secret` (and the public part, until it is uploaded) before uploading.
#[derive(Debug)]
pub struct NewKeyPackage {
    /// A serialised `MLSMessage` of wire format `mls_key_package`.
    pub key_package: Vec<u8>,
    /// What joining with it needs.
    pub secret: KeyPackageSecret,
}

/// The private half of a KeyPackage.
#[derive(Clone, Debug)]
pub struct KeyPackageSecret {
    /// By what a Welcome names it.
    pub reference: KeyPackageRef,
    /// Which place it takes.
    pub kind: StockKind,
    /// When it stops being accepted.
    pub expires_at: Timestamp,
    /// The engine's private state.
    pub private: Secret<Vec<u8>>,
}

/// One claimed KeyPackage and the certificate of the device that it should belong to.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The device's certificate, already checked against the account's pinned identity key.
    pub certificate: DeviceCertificate,
    /// A serialised `MLSMessage` of wire format `mls_key_package`.
    pub key_package: Vec<u8>,
}

/// Why a claimed KeyPackage is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyPackageRefused {
    /// Not a KeyPackage, or its signature or lifetime is wrong.
    #[error("the KeyPackage is not valid: {0}")]
    Invalid(String),
    /// Another suite than the group's.
    #[error("the KeyPackage is of another cipher suite")]
    Suite,
    /// Its credential is not the certified device.
    #[error("the KeyPackage names another device than the certificate")]
    Device,
    /// Its signature key is not the certified one.
    #[error("the KeyPackage has another signature key than the certificate")]
    Key,
    /// Less than 35 days left, or a range over 84 days.
    #[error("the KeyPackage's lifetime is refused: less than 35 days left, or more than 84 in all")]
    Lifetime,
    /// It does not declare the hub extension or another thing that every member must.
    #[error("the KeyPackage lacks a capability that every member needs")]
    Capabilities,
}

/// A KeyPackage that may be added.
#[derive(Clone, Debug)]
pub struct VerifiedKeyPackage {
    pub(super) key_package: KeyPackage,
    pub(super) device: DeviceAddress,
}

impl VerifiedKeyPackage {
    /// Whose it is.
    pub const fn device(&self) -> &DeviceAddress {
        &self.device
    }
}

/// Makes a KeyPackage for this device.
pub fn new_key_package(
    device: &Device,
    suite: Suite,
    kind: StockKind,
    now: Timestamp,
) -> Result<NewKeyPackage, MlsError> {
    let provider = Provider::new(HashMap::new())?;
    let lifetime = lifetime(now);
    let mut builder =
        KeyPackage::builder().key_package_lifetime(lifetime).leaf_node_capabilities(capabilities());
    if kind == StockKind::LastResort {
        builder = builder.mark_as_last_resort();
    }
    let bundle = builder
        .build(suite.cipher(), &provider, device, device.credential())
        .map_err(MlsError::engine("make a KeyPackage"))?;
    let reference =
        bundle.key_package().hash_ref(provider.crypto()).map_err(MlsError::engine("name a KeyPackage"))?;
    let key_package = MlsMessageOut::from(bundle.key_package().clone())
        .to_bytes()
        .map_err(MlsError::engine("serialise a KeyPackage"))?;
    // The provider holds exactly one value: the private half under the reference.
    let private = provider
        .with_values(|values| serde_json::to_vec(&values.iter().collect::<Vec<_>>()))
        .map_err(MlsError::engine("serialise a KeyPackage's private half"))?;
    Ok(NewKeyPackage {
        key_package,
        secret: KeyPackageSecret {
            reference: KeyPackageRef(reference.as_slice().to_vec()),
            kind,
            expires_at: Timestamp::from_millis(lifetime.not_after().saturating_mul(1_000)),
            private: Secret::new(private),
        },
    })
}

/// A key and a value of OpenMLS' storage.
pub(super) type Value = (Vec<u8>, Vec<u8>);

impl KeyPackageSecret {
    /// The provider's values that joining needs.
    pub(super) fn values(&self) -> Result<Vec<Value>, MlsError> {
        serde_json::from_slice(self.private.expose())
            .map_err(|error| MlsError::Damaged { what: format!("a KeyPackage's private half: {error}") })
    }
}

/// Checks a claimed KeyPackage: credential, key, suite, capabilities, lifetime (at least 35 days left).
pub fn verify_key_package(
    claimed: &Claimed,
    suite: Suite,
    now: Timestamp,
) -> Result<VerifiedKeyPackage, KeyPackageRefused> {
    let invalid = |error: &dyn std::fmt::Display| KeyPackageRefused::Invalid(error.to_string());
    let message = MlsMessageIn::tls_deserialize_exact(claimed.key_package.as_slice())
        .map_err(|error| invalid(&error))?;
    let MlsMessageBodyIn::KeyPackage(key_package) = message.extract() else {
        return Err(KeyPackageRefused::Invalid("another kind of MLS message".to_owned()));
    };
    let crypto = crypto().map_err(|error| invalid(&error))?;
    let key_package =
        key_package.validate(&crypto, ProtocolVersion::Mls10).map_err(|error| invalid(&error))?;
    if key_package.ciphersuite() != suite.cipher() {
        return Err(KeyPackageRefused::Suite);
    }
    let leaf = key_package.leaf_node();
    let device = device_of(leaf.credential()).ok_or(KeyPackageRefused::Device)?;
    if device != claimed.certificate.device {
        return Err(KeyPackageRefused::Device);
    }
    if leaf.signature_key().as_slice() != claimed.certificate.signature_key.as_bytes() {
        return Err(KeyPackageRefused::Key);
    }
    let extensions = leaf.capabilities().extensions();
    if !extensions.contains(&ExtensionType::Unknown(HUB_EXTENSION)) {
        return Err(KeyPackageRefused::Capabilities);
    }
    let lifetime = key_package.life_time();
    let range = lifetime.not_after().saturating_sub(lifetime.not_before());
    let until = Timestamp::from_millis(lifetime.not_after().saturating_mul(1_000));
    if range > limits::KEY_PACKAGE_LIFETIME.0 / 1_000 || until.since(now) < limits::KEY_PACKAGE_REMAINING {
        return Err(KeyPackageRefused::Lifetime);
    }
    Ok(VerifiedKeyPackage { key_package, device })
}
