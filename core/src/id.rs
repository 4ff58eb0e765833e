//! Identifiers: 16 random bytes each, with a prefixed text form so that a log line says what an id names.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;

use crate::{Entropy, text_form::text_form};

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of the form `{prefix}_` followed by 32 lower-case hexadecimal digits")]
pub struct IdError {
    /// The prefix that was expected, without the underscore.
    pub prefix: &'static str,
    /// What was given, cut to 64 characters.
    pub text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Wraps 16 bytes that came from the wire or from storage.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The same, from a slice; `None` unless it has exactly 16 bytes.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// Draws a new id.
            pub fn random(entropy: &mut dyn Entropy) -> Self {
                let mut bytes = [0; 16];
                entropy.fill(&mut bytes);
                Self(bytes)
            }

            /// The 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok())
                    .and_then(|bytes| Self::from_slice(&bytes))
                    .ok_or_else(|| IdError { prefix: $prefix, text: text.chars().take(64).collect() })
            }
        }

        text_form!($name);
    )*};
}

ids! {
    /// An account of this domain; survives nothing but the account itself and is never reused.
    AccountId = "acc";
    /// One device of an account, chosen by the device when it enrols.
    DeviceId = "dev";
    /// One submitted message or commit: the idempotency key of the submitting device.
    MessageId = "msg";
    /// One logged-in session of a device.
    SessionId = "ses";
    /// A registration token's public name; the secret is another value.
    TokenId = "tok";
    /// A peering invite's public name; the secret is another value.
    InviteId = "inv";
    /// An admin of the console.
    AdminId = "adm";
    /// A passkey of an admin.
    PasskeyId = "psk";
    /// A signed-in browser of an admin; the cookie is another value.
    ConsoleSessionId = "con";
    /// Correlates what one request did in RPC, storage, federation and a peer's log.
    RequestId = "req";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_form_round_trips(bytes: [u8; 16]) {
            let id = DeviceId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<DeviceId>(), Ok(id));
        }

        #[test]
        fn garbage_is_refused_without_panic(text in ".*") {
            if let Ok(id) = text.parse::<MessageId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn another_kind_of_id_is_refused() {
        let text = AccountId::from_bytes([7; 16]).to_string();
        assert!(text.parse::<DeviceId>().is_err());
    }
}
