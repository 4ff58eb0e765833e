//! Safety numbers: 60 digits that two people compare, by voice or on paper, to know that each has the other's identity key.
//!
//! Both see the same number, and another one as soon as either key is another. It is built as Signal's numeric fingerprint
//! is: 30 digits for each account, made slow so that nobody searches for a key with the same digits.

use std::fmt;

use qpq_core::{Address, IdentityKey};
use sha2::{Digest as _, Sha512};

const LABEL: &[u8] = b"qpq/safety-number/v1";
const ROUNDS: usize = 5_200;

/// The number of a pair of accounts; as text, twelve groups of five digits.
///
/// The half of an account begins with the bytes
///
/// | offset | type | field |
/// |---|---|---|
/// | 0 | \[20\] | "qpq/safety-number/v1" |
/// | 20 | \[32\] | identity key |
/// | 52 | u16 | length of the address, big-endian |
/// | 54 | bytes | address, normalised: `user@domain` |
///
/// which become SHA-512(bytes ‖ identity key), 5,200 times in a row. Of the last 64 bytes the first 30 are six numbers of five
/// bytes, big-endian; each modulo 100,000, as five digits. The smaller half comes first, compared as text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SafetyNumber(String);

impl SafetyNumber {
    /// The number of two accounts, whichever comes first.
    pub fn of(one: (&Address, &IdentityKey), other: (&Address, &IdentityKey)) -> Self {
        let mut halves = [half(one.0, one.1), half(other.0, other.1)];
        halves.sort_unstable();
        Self(halves.join(" "))
    }
}

/// Six groups of five digits.
fn half(address: &Address, key: &IdentityKey) -> String {
    let address = address.to_string();
    // An address has at most 318 bytes.
    let length = u16::try_from(address.len()).unwrap_or(u16::MAX);
    let mut bytes = [LABEL, key.as_bytes().as_slice(), &length.to_be_bytes(), address.as_bytes()].concat();
    for _ in 0..ROUNDS {
        bytes = Sha512::new().chain_update(&bytes).chain_update(key.as_bytes()).finalize().to_vec();
    }
    let digits = |five: &[u8; 5]| {
        let number = five.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        format!("{:05}", number % 100_000)
    };
    let (fives, _) = bytes.as_chunks::<5>();
    fives.iter().take(6).map(digits).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for SafetyNumber {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Vector {
        accounts: [(Address, String); 2],
        safety_number: String,
    }

    fn key(hex: &str) -> IdentityKey {
        IdentityKey::from_slice(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn the_published_vectors_hold() {
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../testdata/safety_numbers.json")).unwrap();
        assert_eq!(vectors.len(), 4);
        for Vector { accounts: [(alice, a), (bob, b)], safety_number } in vectors {
            let number = SafetyNumber::of((&alice, &key(&a)), (&bob, &key(&b)));
            assert_eq!(number.to_string(), safety_number, "{alice} and {bob}");
        }
    }

    fn account() -> impl Strategy<Value = (Address, IdentityKey)> {
        ("[a-z]{1,8}", any::<[u8; 32]>()).prop_map(|(name, key)| {
            (format!("{name}@alpha.test").parse().unwrap(), IdentityKey::from_bytes(key))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn both_sides_see_the_same_sixty_digits(one in account(), other in account()) {
            let number = SafetyNumber::of((&one.0, &one.1), (&other.0, &other.1));
            prop_assert_eq!(&number, &SafetyNumber::of((&other.0, &other.1), (&one.0, &one.1)));
            let text = number.to_string();
            let groups: Vec<&str> = text.split(' ').collect();
            prop_assert_eq!(groups.len(), 12);
            prop_assert!(groups.iter().all(|five| five.len() == 5 && five.bytes().all(|digit| digit.is_ascii_digit())));
        }

        #[test]
        fn another_key_or_address_is_another_number(one in account(), other in account(), at in 0..32_usize, flip in 1..=255_u8) {
            let number = SafetyNumber::of((&one.0, &one.1), (&other.0, &other.1));
            let mut bytes = *other.1.as_bytes();
            bytes[at] ^= flip;
            let bent = IdentityKey::from_bytes(bytes);
            prop_assert_ne!(&number, &SafetyNumber::of((&one.0, &one.1), (&other.0, &bent)));
            let elsewhere: Address = format!("{}x", other.0).parse().unwrap();
            prop_assert_ne!(&number, &SafetyNumber::of((&one.0, &one.1), (&elsewhere, &other.1)));
        }
    }
}
