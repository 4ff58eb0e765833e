//! Which devices belong to an account: the identity key's signature over each of them.
//!
//! Until the transparency log proves device sets, this signature and the identity key that each client pins on
//! first use are what stops a home domain from adding a device of its own to somebody's account.

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};

use crate::{DeviceAddress, Timestamp};

/// The first bytes of what an identity key signs.
const LABEL: &[u8] = b"qpq/device/v1";

/// An account's long-lived Ed25519 public key (RFC 8032).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityKey([u8; 32]);

/// A device's MLS signature public key (Ed25519; RFC 9420, section 5.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignatureKey([u8; 32]);

/// The Ed25519 public key with which a domain signs its relay batches and its peering statements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FederationKey([u8; 32]);

macro_rules! keys {
    ($($name:ident),*) => {$(
        impl $name {
            /// Wraps 32 bytes; whether they are a point of the curve shows when a signature is checked.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The same, from a slice; `None` unless it has exactly 32 bytes.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Whether `signature` is this key's over `message`; strict (RFC 8032, no small-order keys).
            pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
                VerifyingKey::from_bytes(&self.0)
                    .is_ok_and(|key| !key.is_weak() && key.verify(message, &Signature::from_bytes(signature)).is_ok())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

keys!(IdentityKey, SignatureKey, FederationKey);

/// The identity key's statement that a device is the account's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCertificate {
    /// Whose device, and which.
    pub device: DeviceAddress,
    /// The key that the device signs MLS messages with.
    pub signature_key: SignatureKey,
    /// When the identity key said so.
    pub certified_at: Timestamp,
    /// Ed25519 over the bytes of [`DeviceCertificate::signed_bytes`].
    pub signature: [u8; 64],
}

/// Why a device is not taken for the account's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The signature is not the identity key's.
    #[error("the device isn't signed by the account's identity key")]
    NotSigned,
}

impl DeviceCertificate {
    /// Signs a device with the account's identity key.
    pub fn issue(
        identity: &SigningKey,
        device: DeviceAddress,
        signature_key: SignatureKey,
        certified_at: Timestamp,
    ) -> Self {
        let signature = identity.sign(&Self::signed_bytes(&device, &signature_key, certified_at)).to_bytes();
        Self { device, signature_key, certified_at, signature }
    }

    /// What is signed: `"qpq/device/v1" ‖ u16 length ‖ address ‖ device id[16] ‖ MLS signature key[32] ‖
    /// u64 time in ms`, numbers big-endian. The length makes the one variable part unambiguous.
    pub fn signed_bytes(device: &DeviceAddress, key: &SignatureKey, certified_at: Timestamp) -> Vec<u8> {
        let user = device.user.to_string();
        let length = u16::try_from(user.len()).unwrap_or(u16::MAX);
        [
            LABEL,
            &length.to_be_bytes(),
            user.as_bytes(),
            device.device.as_bytes(),
            key.as_bytes(),
            &certified_at.as_millis().to_be_bytes(),
        ]
        .concat()
    }

    /// Checks the signature against the account's identity key.
    pub fn verify(&self, identity: &IdentityKey) -> Result<(), CertificateError> {
        let message = Self::signed_bytes(&self.device, &self.signature_key, self.certified_at);
        if identity.verifies(&message, &self.signature) { Ok(()) } else { Err(CertificateError::NotSigned) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeviceId;

    #[test]
    fn any_changed_field_breaks_the_signature() {
        let identity = SigningKey::from_bytes(&[3; 32]);
        let public = IdentityKey::from_bytes(identity.verifying_key().to_bytes());
        let device = DeviceAddress {
            user: "alice@alpha.test".parse().unwrap(),
            device: DeviceId::from_bytes([1; 16]),
        };
        let key = SignatureKey::from_bytes([9; 32]);
        let good = DeviceCertificate::issue(&identity, device, key, Timestamp::from_millis(5));
        assert_eq!(good.verify(&public), Ok(()));
        let mut other_user = good.clone();
        other_user.device.user = "mallory@alpha.test".parse().unwrap();
        let mut other_device = good.clone();
        other_device.device.device = DeviceId::from_bytes([2; 16]);
        let other_key =
            DeviceCertificate { signature_key: SignatureKey::from_bytes([8; 32]), ..good.clone() };
        let other_time = DeviceCertificate { certified_at: Timestamp::from_millis(6), ..good.clone() };
        for bad in [other_user, other_device, other_key, other_time] {
            assert_eq!(bad.verify(&public), Err(CertificateError::NotSigned));
        }
        let stranger = IdentityKey::from_bytes(SigningKey::from_bytes(&[4; 32]).verifying_key().to_bytes());
        assert_eq!(good.verify(&stranger), Err(CertificateError::NotSigned));
    }
}
