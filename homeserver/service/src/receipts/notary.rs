//! Who signs for this domain.

use ed25519_dalek::SigningKey;
use qpq_core::Pin;

/// The federation key, and the pin that tells whose it is.
pub struct Notary {
    /// Signs.
    pub key: SigningKey,
    /// The pin of this domain's CA.
    pub pin: Pin,
}

impl std::fmt::Debug for Notary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notary").field("pin", &self.pin).finish_non_exhaustive()
    }
}
