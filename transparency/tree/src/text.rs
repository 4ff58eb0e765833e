//! The small texts inside C2SP formats, each with one spelling: base64 (RFC 4648, section 4), decimal sizes, hashes.

use data_encoding::BASE64;
use qpq_core::Digest;

/// Standard base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Reads what [`base64`] writes; `None` for another alphabet, missing padding, padding before the end, and bits that no
/// byte holds.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    // Found by fuzzing: the library also takes several padded texts in a row.
    (base64(&bytes) == text).then_some(bytes)
}

/// A hash in base64.
pub(crate) fn hash_from_base64(text: &str) -> Option<Digest> {
    Digest::from_slice(&from_base64(text)?)
}

/// A number below 2⁶³ in decimal, without leading zeros.
pub(crate) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    let number = plain.then(|| text.parse::<u64>().ok())??;
    (number >> 63 == 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_one_spelling() {
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("9223372036854775807"), Some(u64::MAX >> 1));
        for text in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1_0",
            "9223372036854775808",
            "99999999999999999999",
            "١",
        ] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }

    #[test]
    fn one_hash_has_one_spelling() {
        let hash = Digest::of(&[b"x"]);
        let text = base64(hash.as_bytes());
        assert_eq!(hash_from_base64(&text), Some(hash));
        let unpadded = text.trim_end_matches('=');
        // The last character before the padding carries two bits that no byte holds.
        let dangling: String = text.chars().take(42).chain(['B', '=']).collect();
        // The first byte alone, then the others.
        let (one, others) = hash.as_bytes().split_at(1);
        let parts = format!("{}{}", base64(one), base64(others));
        for other in [unpadded, &dangling, &parts, &text.replace('=', "=="), "", &format!("{text}\n")] {
            assert_eq!(hash_from_base64(other), None, "{other:?}");
        }
    }
}
