//! A device that presents itself, at registration and at login, and what it must prove.

use std::fmt;

use qpq_core::{Address, DeviceCertificate, ErrorCode, IdentityKey, mls};

use crate::{Answered, Ground, Refusal};

/// A device that presents itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceClaim {
    /// The identity key's statement.
    pub certificate: DeviceCertificate,
    /// By the device's signature key over [`mls::enrol_signed_bytes`].
    pub possession: [u8; 64],
}

/// 32 fresh bytes that a device signs, so that a copied certificate is not enough.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Challenge([u8; 32]);

impl Challenge {
    /// Draws a challenge.
    pub(crate) fn draw(ground: &Ground) -> Self {
        Self(ground.draw(|entropy| entropy.bytes32()))
    }

    /// The bytes to sign.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(…)")
    }
}

impl DeviceClaim {
    /// Whether it is a device of `user` under `identity`, present now.
    pub(crate) fn check(
        &self,
        user: &Address,
        identity: &IdentityKey,
        challenge: &Challenge,
    ) -> Answered<()> {
        let certificate = &self.certificate;
        let not_signed = |text: &str| Err(Refusal::new(ErrorCode::DeviceNotSigned, text));
        if certificate.device.user != *user {
            return not_signed("the device certificate names another account");
        }
        if certificate.verify(identity).is_err() {
            return not_signed("the device isn't signed by the account's identity key");
        }
        let message = mls::enrol_signed_bytes(challenge.as_bytes(), &certificate.signature);
        if !certificate.signature_key.verifies(&message, &self.possession) {
            return not_signed("the device did not prove that it holds its signature key");
        }
        Ok(())
    }
}
