//! Names of keys and of logs: `alpha.example/kt/v1` (C2SP signed-note, "Format"; tlog-checkpoint, "Note text").

use std::{fmt, str::FromStr, sync::Arc};

use qpq_core::Domain;

/// The most bytes of a name.
pub const NAME_BYTES: usize = 300;

/// The name of a key, and the origin line of the log that it signs; 1 to [`NAME_BYTES`] bytes.
///
/// No Unicode space, no `+` and no control character. A log's origin may be more than that by its specification; one that
/// can't be a key's name is not taken here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Arc<str>);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key's name has 1 to {NAME_BYTES} bytes, no spaces, no `+` and no control characters")]
pub struct NameError;

impl KeyName {
    /// The origin of a domain's key-transparency log: `<domain>/kt/v1`.
    pub fn of_log(domain: &Domain) -> Self {
        Self(format!("{domain}/kt/v1").into())
    }

    /// The name of the key with which a domain witnesses the logs of others: `<domain>/kt-witness/v1`.
    pub fn of_witness(domain: &Domain) -> Self {
        Self(format!("{domain}/kt-witness/v1").into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whose log or witness it names, if it is one of ours.
    pub fn domain(&self) -> Option<Domain> {
        let (domain, path) = self.0.split_once('/')?;
        let ours = path == "kt/v1" || path == "kt-witness/v1";
        let parsed: Domain = ours.then(|| domain.parse().ok())??;
        (parsed.as_str() == domain).then_some(parsed)
    }
}

impl FromStr for KeyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
        let fits = (1..=NAME_BYTES).contains(&text.len());
        if fits && text.chars().all(plain) { Ok(Self(text.into())) } else { Err(NameError) }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ours_lead_back_to_their_domain() {
        let domain: Domain = "alpha.example".parse().unwrap();
        for name in [KeyName::of_log(&domain), KeyName::of_witness(&domain)] {
            assert_eq!(name.domain(), Some(domain.clone()));
            assert_eq!(name.as_str().parse(), Ok(name));
        }
        for other in ["alpha.example", "alpha.example/kt/v2", "Alpha.example/kt/v1", "-/kt/v1"] {
            assert_eq!(other.parse::<KeyName>().unwrap().domain(), None, "{other}");
        }
    }

    #[test]
    fn what_can_be_misread_is_no_name() {
        let long = "x".repeat(NAME_BYTES.saturating_add(1));
        for text in ["", "a b", "a+b", "a\u{a0}b", "a\nb", "a\u{7f}", "a\u{2028}b", long.as_str()] {
            assert_eq!(text.parse::<KeyName>(), Err(NameError), "{text:?}");
        }
        assert!("sömewhere/läg".parse::<KeyName>().is_ok());
    }
}
