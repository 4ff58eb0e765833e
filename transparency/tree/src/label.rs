//! Whose keys an entry is about: the label that only those who ask know, and the id that stands for it in the log.

use std::{fmt, str::FromStr, sync::Arc};

use data_encoding::HEXLOWER;
use qpq_core::{Address, NameError};

use crate::vrf::VrfOutput;

/// The most bytes of a label: `u/`, a name of 64, `@`, a domain of 253.
pub const LABEL_BYTES: usize = 320;

/// What a user is called in the log, `u/<normalised localpart>@<domain>`; its bytes are the input of the VRF.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    text: Arc<str>,
    address: Address,
}

/// Why a text is no label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// It doesn't begin with `u/`.
    #[error("a label is written `u/user@domain`")]
    Form,
    /// What follows is no address.
    #[error("the label holds no address")]
    Address(#[source] NameError),
    /// It is another spelling of an address. Two spellings would be two places in the log.
    #[error("the label is not in its normal form")]
    Spelling,
}

impl Label {
    /// The label of an address.
    pub fn of(address: &Address) -> Self {
        Self { text: format!("u/{address}").into(), address: address.clone() }
    }

    /// The bytes that are hashed, at most [`LABEL_BYTES`].
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Whose label it is.
    pub const fn address(&self) -> &Address {
        &self.address
    }
}

impl FromStr for Label {
    type Err = LabelError;

    /// Takes only the normal form.
    fn from_str(text: &str) -> Result<Self, LabelError> {
        let address = text.strip_prefix("u/").ok_or(LabelError::Form)?;
        let label = Self::of(&address.parse().map_err(LabelError::Address)?);
        if *label.text == *text { Ok(label) } else { Err(LabelError::Spelling) }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What stands for a label in the log: the first 32 bytes of the VRF's output over it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelId([u8; 32]);

impl LabelId {
    /// The log's own configuration, which has no label: thirty-two bytes 0xFF.
    pub const CONFIG: Self = Self([0xff; 32]);

    /// Of entries that are about no label (map roots and padding): thirty-two zero bytes.
    pub const NONE: Self = Self([0; 32]);

    /// The id of a label, from the VRF's output over it.
    pub fn of(output: &VrfOutput) -> Self {
        Self(output.first_half())
    }

    /// Wraps an id that came from the wire or from storage. Whose it is shows only a proof.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for LabelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for LabelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vrf::VrfSecret;

    #[test]
    fn a_label_is_that_of_its_address() {
        let address: Address = "Jürgen@Alpha.Example".parse().unwrap();
        let label = Label::of(&address);
        assert_eq!(label.as_bytes(), "u/jürgen@alpha.example".as_bytes());
        assert_eq!(label.to_string().parse(), Ok(label.clone()));
        assert_eq!(*label.address(), address);
    }

    #[test]
    fn only_the_normal_form_is_a_label() {
        for text in [
            "u/Alice@alpha.example",
            "u/alice@Alpha.example",
            "u/JÜRGEN@a.example",
            "u/ju\u{308}rgen@a.example",
        ] {
            assert_eq!(text.parse::<Label>(), Err(LabelError::Spelling), "{text}");
        }
        for text in [
            "",
            "alice@alpha.example",
            "U/alice@alpha.example",
            " u/alice@alpha.example",
            "g/alice@a.example",
        ] {
            assert_eq!(text.parse::<Label>(), Err(LabelError::Form), "{text}");
        }
        for text in [
            "u/",
            "u/alice",
            "u//alice@a.example",
            "u/alice@a.example ",
            "u/a@b@c.example",
            "u/alice@10.0.0.1",
        ] {
            assert!(matches!(text.parse::<Label>(), Err(LabelError::Address(_))), "{text}");
        }
    }

    #[test]
    fn the_longest_label_has_its_length() {
        let part = "d".repeat(63);
        let domain = [part.as_str(), &part, &part, &"e".repeat(61)].join(".");
        let label: Label = format!("u/{}@{domain}", "n".repeat(64)).parse().unwrap();
        assert_eq!(label.as_bytes().len(), LABEL_BYTES);
    }

    #[test]
    fn an_id_is_half_of_the_output() {
        let (output, _) = VrfSecret::from_seed(&[1; 32]).prove(b"u/alice@alpha.example").unwrap();
        let id = LabelId::of(&output);
        assert_eq!(id.as_bytes()[..], output.as_bytes()[..32]);
        assert_eq!(LabelId::from_bytes(*id.as_bytes()), id);
        assert!(output.to_string().starts_with(&id.to_string()));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(text in "u/\\PC{1,10}@\\PC{1,10}|(u/)?[a-zA-Z.@/]{0,12}|\\PC{0,20}") {
            if let Ok(label) = text.parse::<Label>() {
                prop_assert_eq!(label.to_string(), text);
            }
        }

        #[test]
        fn every_address_has_a_label(name in "[a-zA-Z0-9ä.]{1,12}", domain in "[a-zA-Z]{1,9}\\.(example|test)") {
            if let Ok(address) = format!("{name}@{domain}").parse::<Address>() {
                let label = Label::of(&address);
                prop_assert_eq!(label.to_string().parse(), Ok(label));
            }
        }
    }
}
