//! What a KeyPackage says (RFC 9420, section 10), checked as far as the device's home can.

use openmls::prelude::{
    BasicCredential, Credential, Extension, ExtensionType, KeyPackage, MlsMessageBodyIn, ProtocolVersion,
};
use qpq_core::{DeviceAddress, Digest, Millis, SignatureKey, Timestamp, limits, mls::HUB_EXTENSION};
use qpq_delivery::key_packages::{Lifetime, Reuse};

use crate::{Engine, engine::known_suite, framing::message};

/// Why bytes are not a KeyPackage that we take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyPackageError {
    /// Not one whole MLS message with a KeyPackage.
    #[error("the bytes are not a KeyPackage")]
    Malformed,
    /// Another suite than ours.
    #[error("the KeyPackage is of a cipher suite that is not spoken here")]
    Suite,
    /// A signature, a key or its present validity is wrong.
    #[error("the KeyPackage is not valid: {reason}")]
    Invalid {
        /// OpenMLS' words.
        reason: String,
    },
    /// Its credential doesn't name a device, or its signature key isn't Ed25519.
    #[error("the KeyPackage's credential names no device")]
    Credential,
    /// Its leaf doesn't know the hub extension and could join none of our groups.
    #[error("the KeyPackage doesn't list the hub extension among its capabilities")]
    Capabilities,
}

/// What a valid KeyPackage says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPackageFacts {
    /// Whose it is.
    pub device: DeviceAddress,
    /// The key that signed it.
    pub signature_key: SignatureKey,
    /// Its `KeyPackageRef` (RFC 9420, section 5.2), which Welcomes name.
    pub reference: Digest,
    /// How long it is valid; [`Lifetime::check`] has the rules.
    pub lifetime: Lifetime,
    /// Its cipher suite's number.
    pub suite: u16,
    /// Whether it is marked as last resort.
    pub reuse: Reuse,
}

impl Engine {
    /// Checks a serialised KeyPackage and says what is in it. Rules about its lifetime are the caller's to ask.
    pub fn inspect_key_package(&self, bytes: &[u8]) -> Result<KeyPackageFacts, KeyPackageError> {
        if bytes.len() > limits::HANDSHAKE_BYTES {
            return Err(KeyPackageError::Malformed);
        }
        let Some(MlsMessageBodyIn::KeyPackage(package)) = message(bytes) else {
            return Err(KeyPackageError::Malformed);
        };
        let package = package
            .validate(self.crypto(), ProtocolVersion::Mls10)
            .map_err(|error| KeyPackageError::Invalid { reason: error.to_string() })?;
        let suite = known_suite(package.ciphersuite()).ok_or(KeyPackageError::Suite)?;
        let leaf = package.leaf_node();
        if !leaf.capabilities().extensions().contains(&ExtensionType::Unknown(HUB_EXTENSION)) {
            return Err(KeyPackageError::Capabilities);
        }
        let last_resort = package.extensions().iter().any(|e| matches!(e, Extension::LastResort(_)));
        Ok(KeyPackageFacts {
            device: device_of(leaf.credential()).ok_or(KeyPackageError::Credential)?,
            signature_key: SignatureKey::from_slice(leaf.signature_key().as_slice())
                .ok_or(KeyPackageError::Credential)?,
            reference: self.reference(&package).ok_or(KeyPackageError::Malformed)?,
            lifetime: lifetime_of(&package),
            suite,
            reuse: if last_resort { Reuse::LastResort } else { Reuse::OneTime },
        })
    }

    /// The package's `KeyPackageRef`.
    pub(crate) fn reference(&self, package: &KeyPackage) -> Option<Digest> {
        Digest::from_slice(package.hash_ref(self.crypto()).ok()?.as_slice())
    }
}

/// The device that a credential names.
pub(crate) fn device_of(credential: &Credential) -> Option<DeviceAddress> {
    let basic = BasicCredential::try_from(credential.clone()).ok()?;
    DeviceAddress::from_credential(basic.identity())
}

/// MLS counts seconds, we count milliseconds.
pub(crate) fn lifetime_of(package: &KeyPackage) -> Lifetime {
    let at = |seconds: u64| Timestamp::from_millis(Millis::from_secs(seconds).0);
    let lifetime = package.life_time();
    Lifetime { not_before: at(lifetime.not_before()), not_after: at(lifetime.not_after()) }
}
