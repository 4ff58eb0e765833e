//! Pins: the fingerprint of a certificate authority's public key.

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;

use crate::{Digest, text_form::text_form};

/// SHA-256 over a DER `SubjectPublicKeyInfo` (RFC 7469, section 2.4), as text in base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pin(Digest);

/// Why a text is not a pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a pin: 43 characters of base64url, as `qpq-server info` prints it")]
pub struct PinError {
    /// What was given, cut to 64 characters.
    pub text: String,
}

impl Pin {
    /// The pin of a public key in its DER `SubjectPublicKeyInfo` form.
    pub fn of_spki(der: &[u8]) -> Self {
        Self(Digest::of(&[der]))
    }

    /// Wraps the hash.
    pub const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// The hash.
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        BASE64URL_NOPAD
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| Digest::from_slice(&bytes))
            .map(Self)
            .ok_or_else(|| PinError { text: text.chars().take(64).collect() })
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_form!(Pin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let pin = Pin::of_spki(b"key");
        assert_eq!(pin.to_string().len(), 43);
        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert!("short".parse::<Pin>().is_err());
    }
}
