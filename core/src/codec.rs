//! Reads and writes the fixed byte tables that are hashed and signed: big-endian, no padding, no choice.
//!
//! Signed bytes can't be Cap'n Proto, which has many encodings of one value.

use crate::Domain;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end before the value does.
    #[error("the bytes end in the middle")]
    Truncated,
    /// Something follows the value.
    #[error("there are bytes after the end")]
    Trailing,
    /// Something is over its limit.
    #[error("{0} is over its limit")]
    TooLarge(&'static str),
    /// A field breaks its own rules.
    #[error("{0} is malformed")]
    Invalid(&'static str),
}

/// Takes values from the front of bytes.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// From the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, CodecError> {
        self.array().map(u8::from_be_bytes)
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> Result<u16, CodecError> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Text of at most 255 bytes behind its length.
    pub fn text(&mut self, what: &'static str) -> Result<&'a str, CodecError> {
        let length = self.u8()?;
        std::str::from_utf8(self.take(usize::from(length))?).map_err(|_| CodecError::Invalid(what))
    }

    /// A domain in its one spelling.
    pub fn domain(&mut self, what: &'static str) -> Result<Domain, CodecError> {
        parse_domain(self.text(what)?, what)
    }

    /// A domain, or nothing where the length is 0.
    pub fn optional_domain(&mut self, what: &'static str) -> Result<Option<Domain>, CodecError> {
        let text = self.text(what)?;
        if text.is_empty() { Ok(None) } else { parse_domain(text, what).map(Some) }
    }

    /// Nothing may follow.
    pub const fn finish(self) -> Result<(), CodecError> {
        if self.0.is_empty() { Ok(()) } else { Err(CodecError::Trailing) }
    }
}

fn parse_domain(text: &str, what: &'static str) -> Result<Domain, CodecError> {
    let domain: Domain = text.parse().map_err(|_| CodecError::Invalid(what))?;
    if domain.as_str() == text { Ok(domain) } else { Err(CodecError::Invalid(what)) }
}

/// Writes text behind its length in one byte. Domains and addresses are shorter by construction.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes().get(..255).unwrap_or(text.as_bytes());
    out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(bytes);
}
