//! Names of admins: so plain that nothing hostile can be one.

use std::{fmt, str::FromStr};

/// The most characters.
const LONGEST: usize = 64;

/// An admin's name: 1 to 64 of `a`-`z`, `0`-`9`, `.`, `_`, `-`, and no punctuation first. Capitals are lowered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdminName(String);

impl AdminName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AdminName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no admin's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an admin's name has 1 to 64 letters a-z, digits, dots, dashes or underscores, and begins with a letter or digit"
)]
pub struct AdminNameError;

impl FromStr for AdminName {
    type Err = AdminNameError;

    fn from_str(text: &str) -> Result<Self, AdminNameError> {
        let name = text.trim().to_ascii_lowercase();
        let fits = (1..=LONGEST).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
            && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if fits { Ok(Self(name)) } else { Err(AdminNameError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_names() {
        for (text, name) in [("alice", "alice"), (" Ann.B-2_c ", "ann.b-2_c"), ("7", "7")] {
            assert_eq!(text.parse::<AdminName>().unwrap().as_str(), name);
        }
        let long = "a".repeat(65);
        for text in ["", " ", "-alice", ".a", "a b", "älice", "<b>", "a\nb", "admin:alice", long.as_str()] {
            assert_eq!(text.parse::<AdminName>(), Err(AdminNameError), "{text:?}");
        }
        assert!("a".repeat(64).parse::<AdminName>().is_ok());
    }
}
