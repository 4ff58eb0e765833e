//! What an entry says without showing it: the commitment to a value, and the opening that lets others check it.
//!
//! Who deletes opening and value leaves 32 bytes that say nothing about anybody.

use std::fmt;

use hmac::{Hmac, Mac};
use qpq_core::{Digest, Entropy};
use sha2::Sha256;

/// The key of the HMAC is the SHA-256 of this.
const KEY_LABEL: &[u8] = b"qpq/kt/commitment/v1";

/// The 16 random bytes that hide a committed value from who guesses it; a new opening for every entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Opening([u8; 16]);

impl Opening {
    /// Draws a new opening.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// Wraps an opening that came from the wire or from storage.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The same, from a slice; `None` unless it has exactly 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening(…)")
    }
}

/// Commits to version `version` of a label's value: HMAC-SHA256 (RFC 2104) under SHA-256("qpq/kt/commitment/v1").
///
/// | offset | type | field |
/// |---|---|---|
/// | 0 | \[16\] | opening |
/// | 16 | u16 | length of the label |
/// | 18 | bytes | label; of a CONFIG entry the 32 bytes of [`LabelId::CONFIG`](crate::label::LabelId::CONFIG) |
/// | … | u32 | version |
/// | … | u32 | length of the value |
/// | … | bytes | value |
///
/// Numbers are big-endian. Labels and values are below their lengths' limits (64 kB, 4 GB) by construction.
pub fn commit(opening: &Opening, label: &[u8], version: u32, value: &[u8]) -> Digest {
    let label_length = u16::try_from(label.len()).unwrap_or(u16::MAX);
    let value_length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    let mac = keyed()
        .chain_update(opening.0)
        .chain_update(label_length.to_be_bytes())
        .chain_update(label)
        .chain_update(version.to_be_bytes())
        .chain_update(value_length.to_be_bytes())
        .chain_update(value);
    Digest::from_bytes(mac.finalize().into_bytes().into())
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn keyed() -> Hmac<Sha256> {
    Hmac::new_from_slice(Digest::of(&[KEY_LABEL]).as_bytes()).expect("a key of any length")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use qpq_core::SeededEntropy;

    use super::*;

    /// The expected values are from Python's `hmac`, `hashlib` and `struct`.
    #[test]
    fn known_commitments() {
        let opening = Opening(std::array::from_fn(|at| u8::try_from(at).unwrap()));
        assert_eq!(
            commit(&opening, b"u/alice@alpha.example", 7, b"value").to_string(),
            "c488326c9a38d765ea6c1285e8f3fe3aca9c0a8d0199ac57a11ce8a4631317d1"
        );
        assert_eq!(
            commit(&Opening([0; 16]), &[0xff; 32], 0, b"").to_string(),
            "95ab73b0400c903300d1c0a9eef9917d66fe14ea241ef824a934ae5741d37016"
        );
    }

    #[test]
    fn an_opening_is_new_and_is_not_printed() {
        let mut entropy = SeededEntropy::new(3);
        let (one, two) = (Opening::random(&mut entropy), Opening::random(&mut entropy));
        assert_ne!(one, two);
        assert_eq!(Opening::from_slice(one.as_bytes()), Some(one));
        assert_eq!(Opening::from_bytes(*two.as_bytes()), two);
        assert_eq!(Opening::from_slice(&[0; 15]), None);
        assert_eq!(format!("{one:?}"), "Opening(…)");
    }

    proptest! {
        #[test]
        fn another_part_is_another_commitment(opening: [u8; 16], other: [u8; 16], version: u32, label: Vec<u8>, value: Vec<u8>) {
            prop_assume!(opening != other);
            let opening = Opening(opening);
            let longer = |bytes: &[u8]| [bytes, &[0]].concat();
            let all = [
                commit(&opening, &label, version, &value),
                commit(&Opening(other), &label, version, &value),
                commit(&opening, &longer(&label), version, &value),
                commit(&opening, &label, version ^ 1, &value),
                commit(&opening, &label, version, &longer(&value)),
            ];
            let distinct: std::collections::BTreeSet<Digest> = all.into_iter().collect();
            prop_assert_eq!(distinct.len(), all.len());
        }
    }
}
