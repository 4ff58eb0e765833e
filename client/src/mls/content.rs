//! What is inside an application message: a small versioned codec, padded with Padmé.
//!
//! Layout, numbers big-endian: `u8 version = 1 ‖ u8 kind ‖ u64 sent-at in ms ‖ u32 body length ‖ body ‖ zeros`, the
//! zeros up to the Padmé length (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication
//! with PURBs", PETS 2019, algorithm 1). Padding sits inside the content because MLS' own padding is per group
//! and rounds to multiples, which reveals long lengths exactly. The zeros are checked, so that nothing travels
//! in them. A kind of a newer version is kept and reported, never an error.

use qpq_core::{Timestamp, limits};

use super::MlsError;

const VERSION: u8 = 1;
const HEADER: usize = 14;
/// Room for MLS' framing: group id, sender data, signature, tag.
const FRAMING: usize = 2 * 1024;

/// What an application message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// What kind of thing.
    pub kind: ContentKind,
    /// When its sender says that it was written.
    pub sent_at: Timestamp,
}

/// The kinds of content, with their bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentKind {
    /// Text for people (1).
    Text(String),
    /// The group's name, repeated by the committer after each Add (2).
    Metadata {
        /// The name.
        name: String,
    },
    /// A kind of a newer version.
    Unknown {
        /// Its number.
        kind: u8,
        /// Its body.
        body: Vec<u8>,
    },
}

/// Why a decrypted payload is not a content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// A layout of a newer version.
    #[error("the message's content has layout {0}, which this version does not know")]
    Version(u8),
    /// Cut short, or a length that does not fit.
    #[error("the message's content is cut short")]
    Short,
    /// The padding is not Padmé's, or holds something.
    #[error("the message's padding is not the zeros that it must be")]
    Padding,
    /// A text that is not UTF-8.
    #[error("the message's text is not UTF-8")]
    Text,
}

impl Content {
    /// A text.
    pub fn text(text: impl Into<String>, sent_at: Timestamp) -> Self {
        Self { kind: ContentKind::Text(text.into()), sent_at }
    }

    /// A group's name.
    pub fn metadata(name: impl Into<String>, sent_at: Timestamp) -> Self {
        Self { kind: ContentKind::Metadata { name: name.into() }, sent_at }
    }

    /// The padded bytes.
    pub fn encode(&self) -> Result<Vec<u8>, MlsError> {
        let (kind, body): (u8, &[u8]) = match &self.kind {
            ContentKind::Text(text) => (1, text.as_bytes()),
            ContentKind::Metadata { name } => (2, name.as_bytes()),
            ContentKind::Unknown { kind, body } => (*kind, body),
        };
        let limit = limits::MESSAGE_BYTES - FRAMING;
        let padded = padme(body.len().saturating_add(HEADER));
        let too_long = || MlsError::TooLong { length: body.len(), limit };
        let length = u32::try_from(body.len()).map_err(|_| too_long())?;
        if padded > limit {
            return Err(too_long());
        }
        let mut bytes = Vec::with_capacity(padded);
        bytes.push(VERSION);
        bytes.push(kind);
        bytes.extend_from_slice(&self.sent_at.as_millis().to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(body);
        bytes.resize(padded, 0);
        Ok(bytes)
    }

    /// Reads padded bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let (version, rest) = bytes.split_first().ok_or(ContentError::Short)?;
        if *version != VERSION {
            return Err(ContentError::Version(*version));
        }
        let (kind, rest) = rest.split_first().ok_or(ContentError::Short)?;
        let (sent_at, rest) = rest.split_first_chunk::<8>().ok_or(ContentError::Short)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(ContentError::Short)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| ContentError::Short)?;
        let (body, padding) = rest.split_at_checked(length).ok_or(ContentError::Short)?;
        if bytes.len() != padme(HEADER + length) || padding.iter().any(|byte| *byte != 0) {
            return Err(ContentError::Padding);
        }
        let text = || String::from_utf8(body.to_vec()).map_err(|_| ContentError::Text);
        let kind = match kind {
            1 => ContentKind::Text(text()?),
            2 => ContentKind::Metadata { name: text()? },
            other => ContentKind::Unknown { kind: *other, body: body.to_vec() },
        };
        Ok(Self { kind, sent_at: Timestamp::from_millis(u64::from_be_bytes(*sent_at)) })
    }
}

/// The length that `length` bytes are padded to: at most 12 % more, and only O(log log) bits of it are revealed.
pub fn padme(length: usize) -> usize {
    let Some(exponent) = length.checked_ilog2() else { return 0 };
    // Bits that hold the exponent itself; the mantissa keeps as many, the rest is rounded up.
    let kept = exponent.checked_ilog2().map_or(1, |bits| bits + 1);
    let mask = (1_usize << exponent.saturating_sub(kept)) - 1;
    length.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_those_of_the_paper() {
        for (length, padded) in [(0, 0), (1, 1), (8, 8), (9, 10), (100, 104), (1_000, 1_024), (1_025, 1_088)]
        {
            assert_eq!(padme(length), padded, "for {length}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_refused() {
        let text = "x".repeat(limits::MESSAGE_BYTES);
        assert!(matches!(
            Content::text(text, Timestamp::from_millis(0)).encode(),
            Err(MlsError::TooLong { .. })
        ));
    }

    #[test]
    fn nothing_travels_in_the_padding() {
        let mut bytes = Content::text("x".repeat(1_011), Timestamp::from_millis(7)).encode().unwrap();
        assert_eq!(bytes.len(), 1_088);
        *bytes.last_mut().unwrap() = 1;
        assert_eq!(Content::decode(&bytes), Err(ContentError::Padding));
        bytes.pop();
        assert_eq!(Content::decode(&bytes), Err(ContentError::Padding));
    }

    proptest! {
        #[test]
        fn padding_costs_at_most_an_eighth_and_is_stable(length in 1_usize..4_000_000) {
            let padded = padme(length);
            prop_assert!(padded >= length);
            prop_assert!(padded - length <= length / 8 + 1);
            prop_assert_eq!(padme(padded), padded);
            prop_assert!(padme(length + 1) >= padded);
        }

        #[test]
        fn every_content_round_trips(kind: u8, text in "\\PC{0,300}", sent_at: u64) {
            let kind = match kind {
                1 => ContentKind::Text(text),
                2 => ContentKind::Metadata { name: text },
                kind => ContentKind::Unknown { kind, body: text.into_bytes() },
            };
            let content = Content { kind, sent_at: Timestamp::from_millis(sent_at) };
            let bytes = content.encode().unwrap();
            prop_assert_eq!(bytes.len(), padme(bytes.len()));
            prop_assert_eq!(Content::decode(&bytes), Ok(content));
        }

        #[test]
        fn garbage_is_refused_without_panic(bytes: Vec<u8>) {
            drop(Content::decode(&bytes));
        }
    }
}
