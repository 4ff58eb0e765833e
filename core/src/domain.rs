//! The name of an organisation: a DNS name in its ASCII form.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use crate::text_form::text_form;

/// A domain: lower-case LDH labels (RFC 1123, section 2.1), at most 253 bytes, no trailing dot.
///
/// Internationalised names come in their A-label form (`xn--…`, RFC 5890). Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

/// Why a text is not a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Nothing was given.
    #[error("a domain can't be empty")]
    Empty,
    /// The name is longer than DNS allows.
    #[error("a domain has at most 253 characters, this one has {length}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A label is empty, too long, or starts or ends with a hyphen.
    #[error(
        "`{label}` is not a domain label: 1 to 63 of a-z, 0-9 and `-`, no hyphen at either end (internationalised names in their xn-- form)"
    )]
    Label {
        /// The label at fault, cut to 64 characters.
        label: String,
    },
    /// An IP address, or a name whose last label is a number and would be read as one.
    #[error("`{text}` is an address, not a name: give the domain that its users' addresses end with")]
    IpAddress {
        /// What was given.
        text: String,
    },
}

impl Domain {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        if text.len() > 253 {
            return Err(DomainError::TooLong { length: text.len() });
        }
        let name = text.to_ascii_lowercase();
        for label in name.split('.') {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            let sound = (1..=63).contains(&label.len())
                && label.bytes().all(plain)
                && !label.starts_with('-')
                && !label.ends_with('-');
            if !sound {
                return Err(DomainError::Label { label: label.chars().take(64).collect() });
            }
        }
        let numeric_end =
            name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if numeric_end {
            return Err(DomainError::IpAddress { text: name });
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Domain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

text_form!(Domain);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_is_folded() {
        assert_eq!("Alpha.EXAMPLE".parse::<Domain>().unwrap().as_str(), "alpha.example");
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for text in
            ["", ".", "a..b", "-a.test", "a-.test", "a_b.test", "ä.test", "10.0.0.1", "a b", "a.test."]
        {
            assert!(text.parse::<Domain>().is_err(), "{text:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_round_trips(text in "\\PC{0,80}") {
            if let Ok(domain) = text.parse::<Domain>() {
                prop_assert_eq!(domain.as_str().parse::<Domain>(), Ok(domain));
            }
        }
    }
}
