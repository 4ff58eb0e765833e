//! Secrets that we make: links, cookies, ceremony ids, recovery codes. The store has only their SHA-256.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use qpq_core::{Digest, Secret};

use crate::Ground;

/// How many recovery codes an account gets.
pub(super) const RECOVERY_CODES: usize = 10;
/// A recovery code's bytes: 80 bits can't be guessed, and are typed without despair.
const CODE_BYTES: usize = 10;
/// Characters of a recovery code.
const CODE_LETTERS: usize = 16;

/// 256 random bits as they stand in a URL or a cookie.
pub(super) fn token(ground: &Ground) -> Secret<String> {
    Secret::new(BASE64URL_NOPAD.encode(&ground.draw(|entropy| entropy.bytes32())))
}

/// What the store has of a link's token.
pub(super) fn link_hash(token: &str) -> Digest {
    Digest::of(&[b"quicproquo admin link 1", token.as_bytes()])
}

/// What the store has of a session's cookie.
pub(super) fn cookie_hash(cookie: &str) -> Digest {
    Digest::of(&[b"quicproquo console cookie 1", cookie.as_bytes()])
}

/// What every form of a session carries: whoever knows it knows nothing of the cookie.
pub(super) fn form_token(cookie: &str) -> String {
    let hash = Digest::of(&[b"quicproquo console form 1", cookie.as_bytes()]);
    BASE64URL_NOPAD.encode(hash.as_bytes())
}

/// New recovery codes, as they are shown: `ABCD-EFGH-IJKL-MNOP`.
pub(super) fn recovery_codes(ground: &Ground) -> Vec<String> {
    let code = |_| {
        let mut bytes = [0; CODE_BYTES];
        ground.draw(|entropy| entropy.fill(&mut bytes));
        in_groups(&BASE32_NOPAD.encode(&bytes), "-")
    };
    (0..RECOVERY_CODES).map(code).collect()
}

/// What the store has of a recovery code, however it was typed; `None` if it can't be one.
pub(super) fn code_hash(typed: &str) -> Option<Digest> {
    let letters = |c: char| match c.to_ascii_uppercase() {
        '-' | ' ' => None,
        // Digits that base32 leaves out because people mix them up.
        '0' => Some('O'),
        '1' => Some('I'),
        '8' => Some('B'),
        other => Some(other),
    };
    let code: String = typed.trim().chars().take(2 * CODE_LETTERS).filter_map(letters).collect();
    let plain = code.len() == CODE_LETTERS && BASE32_NOPAD.decode(code.as_bytes()).is_ok();
    plain.then(|| Digest::of(&[b"quicproquo recovery code 1", code.as_bytes()]))
}

/// Text in groups of four, so that it can be typed.
pub(super) fn in_groups(text: &str, between: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_code_is_the_same_however_it_is_typed() {
        let hash = code_hash("ABCD-EFGH-IJKL-OB77");
        assert!(hash.is_some());
        for typed in ["abcdefghijklob77", " abcd efgh 1jkl-0877 ", "ABCD EFGH IJKL 0B77"] {
            assert_eq!(code_hash(typed), hash, "{typed}");
        }
        for wrong in
            ["", "123456", "ABCD-EFGH-IJKL-OB7", "ABCD-EFGH-IJKL-OB777", "ÄBCD-EFGH-IJKL-OB77", "<b>"]
        {
            assert_eq!(code_hash(wrong), None, "{wrong}");
        }
        assert_ne!(code_hash("ABCD-EFGH-IJKL-OB76"), hash);
    }
}
