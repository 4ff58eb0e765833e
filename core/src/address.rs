//! Addresses of people and of their devices: `alice@alpha.example`.

use std::{fmt, str::FromStr, sync::Arc};

use precis_core::profile::PrecisFastInvocation as _;
use precis_profiles::UsernameCaseMapped;

use crate::{DeviceId, Domain, DomainError, text_form::text_form};

/// Why a text is not a user name or an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The part before the `@` breaks PRECIS `UsernameCaseMapped` (RFC 8265, section 3.3).
    #[error("`{name}` can't be a user name: letters, digits and common punctuation of any script, no spaces")]
    Localpart {
        /// The name at fault, cut to 64 characters.
        name: String,
    },
    /// The name is longer than 64 bytes after normalisation.
    #[error("a user name has at most 64 bytes, this one has {length}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The text has no `@`, or more than one.
    #[error("`{text}` is not an address of the form user@domain")]
    Form {
        /// What was given, cut to 64 characters.
        text: String,
    },
    /// The part after the `@` is not a domain.
    #[error("`{text}` has no valid domain after the `@`")]
    Domain {
        /// What was given, cut to 64 characters.
        text: String,
        /// What is wrong with it.
        source: DomainError,
    },
}

/// The part of an address before the `@`, normalised by PRECIS `UsernameCaseMapped` (RFC 8265, section 3.3).
///
/// At most 64 bytes; never contains `@`, `/` or `:`, which addresses, labels and text forms use as separators.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Localpart(Arc<str>);

impl Localpart {
    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Localpart {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::Localpart { name: text.chars().take(64).collect() };
        if text.len() > 256 {
            return Err(NameError::TooLong { length: text.len() });
        }
        if text.contains(['@', '/', ':']) {
            return Err(refused());
        }
        let name = UsernameCaseMapped::enforce(text).map_err(|_| refused())?;
        if name.contains(['@', '/', ':']) {
            return Err(refused());
        }
        // Lower-casing can lead out of the profile or on to a third name (U+13AC CHEROKEE LETTER GV). A name that doesn't
        // read back as itself could be registered, but never be looked up or read from the store again.
        if UsernameCaseMapped::enforce(name.as_ref()).ok().as_ref() != Some(&name) {
            return Err(refused());
        }
        if name.len() > 64 {
            return Err(NameError::TooLong { length: name.len() });
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for Localpart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Localpart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account's address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    localpart: Localpart,
    domain: Domain,
}

impl Address {
    /// Puts an address together from its two parts.
    pub const fn new(localpart: Localpart, domain: Domain) -> Self {
        Self { localpart, domain }
    }

    /// The part before the `@`.
    pub const fn localpart(&self) -> &Localpart {
        &self.localpart
    }

    /// The part after the `@`.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }
}

impl FromStr for Address {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let short = || text.chars().take(64).collect::<String>();
        match text.split_once('@') {
            Some((localpart, domain)) if !domain.contains('@') => Ok(Self {
                localpart: localpart.parse()?,
                domain: domain.parse().map_err(|source| NameError::Domain { text: short(), source })?,
            }),
            _ => Err(NameError::Form { text: short() }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.localpart, self.domain)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_form!(Address, DeviceAddress);

/// One device of one account, as MLS credentials name it.
///
/// The bytes of an MLS `BasicCredential` (RFC 9420, section 5.3) are the text form: `alice@alpha.example/dev_…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceAddress {
    /// Whose device it is.
    pub user: Address,
    /// Which of them.
    pub device: DeviceId,
}

impl DeviceAddress {
    /// Reads the bytes of an MLS `BasicCredential`; `None` unless they are the one valid text form.
    pub fn from_credential(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let parsed: Self = text.parse().ok()?;
        // Only the normal form is an identity: two spellings of one device would be two leaves.
        (parsed.to_string() == text).then_some(parsed)
    }

    /// The bytes that go into an MLS `BasicCredential`.
    pub fn to_credential(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl FromStr for DeviceAddress {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let form = || NameError::Form { text: text.chars().take(64).collect() };
        let (user, device) = text.split_once('/').ok_or_else(form)?;
        Ok(Self { user: user.parse()?, device: device.parse().map_err(|_| form())? })
    }
}

impl fmt::Display for DeviceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.user, self.device)
    }
}

impl fmt::Debug for DeviceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_case_mapped() {
        assert_eq!("Alice@Alpha.Example".parse::<Address>().unwrap().to_string(), "alice@alpha.example");
        assert_eq!("JÜRGEN".parse::<Localpart>().unwrap().as_str(), "jürgen");
    }

    #[test]
    fn bad_addresses_are_refused() {
        for text in [
            "",
            "@",
            "alice",
            "alice@",
            "@alpha.test",
            "a b@alpha.test",
            "a@b@c.test",
            "a/b@c.test",
            "a@10.0.0.1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_credential_has_one_spelling() {
        let device = DeviceAddress {
            user: "alice@alpha.test".parse().unwrap(),
            device: DeviceId::from_bytes([1; 16]),
        };
        assert_eq!(DeviceAddress::from_credential(&device.to_credential()), Some(device.clone()));
        let shouting = device.to_string().replace("alice", "ALICE");
        assert_eq!(DeviceAddress::from_credential(shouting.as_bytes()), None);
    }

    #[test]
    fn a_name_that_would_not_read_back_as_itself_is_refused() {
        // Found by fuzzing: the capital is allowed, the small letter that it becomes is not.
        assert!("0\u{13ac}uu?".parse::<Localpart>().is_err());
    }

    proptest! {
        #[test]
        fn normalisation_is_stable(text in "\\PC{0,40}") {
            if let Ok(name) = text.parse::<Localpart>() {
                prop_assert_eq!(name.as_str().parse::<Localpart>(), Ok(name));
            }
        }

        #[test]
        fn credentials_never_panic(bytes: Vec<u8>) {
            drop(DeviceAddress::from_credential(&bytes));
        }
    }
}
