//! This device as MLS sees it: its address and its signature key.

use ed25519_dalek::{Signer as _, SigningKey};
use openmls::prelude::{BasicCredential, CredentialWithKey};
use openmls_traits::{
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};
use qpq_core::{DeviceAddress, Entropy, Secret, SignatureKey};

/// This device: who it is in every group, and the key that it signs with.
///
/// The key outlives group state (a rejoin needs the same one), so it is kept apart from it.
pub struct Device {
    address: DeviceAddress,
    key: SigningKey,
}

impl Device {
    /// Draws a signature key for a new device.
    pub fn generate(address: DeviceAddress, entropy: &mut dyn Entropy) -> Self {
        Self { address, key: SigningKey::from_bytes(&entropy.bytes32()) }
    }

    /// The device with a key that was kept.
    pub fn from_secret(address: DeviceAddress, secret: &Secret<[u8; 32]>) -> Self {
        Self { address, key: SigningKey::from_bytes(secret.expose()) }
    }

    /// The private key, to be kept.
    pub fn secret(&self) -> Secret<[u8; 32]> {
        Secret::new(self.key.to_bytes())
    }

    /// Whose device it is, and which.
    pub const fn address(&self) -> &DeviceAddress {
        &self.address
    }

    /// The public key.
    pub fn signature_key(&self) -> SignatureKey {
        SignatureKey::from_bytes(self.key.verifying_key().to_bytes())
    }

    /// Signs something that is not an MLS message: a submit, an enrolment.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// Credential and key as MLS wants them.
    pub(super) fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.address.to_credential()).into(),
            signature_key: self.key.verifying_key().to_bytes().to_vec().into(),
        }
    }
}

impl Signer for Device {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.key.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("address", &self.address).finish_non_exhaustive()
    }
}
