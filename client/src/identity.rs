//! The account's identity key: how it is sealed for the domain to keep, and how a device presents itself.

use chacha20poly1305::{
    Key, XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use qpq_core::{Address, DeviceCertificate, Entropy, IdentityKey, Secret, mls::enrol_signed_bytes};
use sha2::Sha256;
use zeroize::Zeroize as _;

use crate::{ClientError, mls::Device, password::ExportKey};

/// Label of the key that seals the identity key; the address follows.
const SEAL_INFO: &[u8] = b"qpq/sealed-identity/v1";
/// The first byte of a sealed identity: the layout `1 ‖ nonce[24] ‖ ciphertext and tag[48]`.
const SEAL_FORMAT: u8 = 1;

/// An account's private identity key.
#[derive(Clone, Debug)]
pub(crate) struct Identity(Secret<[u8; 32]>);

impl Identity {
    /// Draws a new one.
    pub(crate) fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(Secret::new(entropy.bytes32()))
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    pub(crate) const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    pub(crate) fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(self.0.expose())
    }

    pub(crate) fn public(&self) -> IdentityKey {
        IdentityKey::from_bytes(self.signing_key().verifying_key().to_bytes())
    }

    /// Encrypts the key under OPAQUE's export key, so that the account's next device gets it from the domain,
    /// which can't read it.
    pub(crate) fn seal(
        &self,
        export_key: &ExportKey,
        address: &Address,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, ClientError> {
        let mut nonce = [0; 24];
        entropy.fill(&mut nonce);
        let info = info(address);
        let sealed = cipher(export_key, &info)?
            .encrypt(&XNonce::from(nonce), Payload { msg: self.0.expose(), aad: &info })
            .map_err(|_| ClientError::SealedIdentity)?;
        Ok([&[SEAL_FORMAT], nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts what [`Identity::seal`] made.
    pub(crate) fn unseal(
        sealed: &[u8],
        export_key: &ExportKey,
        address: &Address,
    ) -> Result<Self, ClientError> {
        let (head, rest) = sealed.split_first().ok_or(ClientError::SealedIdentity)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<24>().ok_or(ClientError::SealedIdentity)?;
        if *head != SEAL_FORMAT {
            return Err(ClientError::SealedIdentity);
        }
        let info = info(address);
        let mut opened = cipher(export_key, &info)?
            .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: &info })
            .map_err(|_| ClientError::SealedIdentity)?;
        let bytes: Result<[u8; 32], _> = opened.as_slice().try_into();
        opened.zeroize();
        bytes.map(Self::from_bytes).map_err(|_| ClientError::SealedIdentity)
    }
}

/// Proves to the domain that the device holds the key in its certificate.
pub(crate) fn possession_by(
    device: &Device,
    challenge: &[u8; 32],
    certificate: &DeviceCertificate,
) -> [u8; 64] {
    device.sign(&enrol_signed_bytes(challenge, &certificate.signature))
}

fn info(address: &Address) -> Vec<u8> {
    [SEAL_INFO, address.to_string().as_bytes()].concat()
}

fn cipher(export_key: &ExportKey, info: &[u8]) -> Result<XChaCha20Poly1305, ClientError> {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, export_key.expose())
        .expand(info, &mut key)
        .map_err(|_| ClientError::SealedIdentity)?;
    let cipher = XChaCha20Poly1305::new(&Key::from(key));
    key.zeroize();
    Ok(cipher)
}

#[cfg(test)]
mod tests {
    use qpq_core::{OsEntropy, SeededEntropy};

    use super::*;

    #[test]
    fn a_sealed_identity_opens_with_the_same_password_and_address_only() {
        let mut entropy = SeededEntropy::new(5);
        let identity = Identity::generate(&mut OsEntropy::new().unwrap());
        let alice: Address = "alice@alpha.test".parse().unwrap();
        let bob: Address = "bob@alpha.test".parse().unwrap();
        let export = Secret::new(vec![7; 64]);
        let sealed = identity.seal(&export, &alice, &mut entropy).unwrap();
        assert_eq!(sealed.len(), 1 + 24 + 32 + 16);
        assert_eq!(Identity::unseal(&sealed, &export, &alice).unwrap().expose(), identity.expose());
        assert!(Identity::unseal(&sealed, &export, &bob).is_err());
        assert!(Identity::unseal(&sealed, &Secret::new(vec![8; 64]), &alice).is_err());
        for cut in 0..sealed.len() {
            assert!(Identity::unseal(&sealed[..cut], &export, &alice).is_err());
        }
    }
}
