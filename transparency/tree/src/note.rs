//! Signed notes: a text and who signed it (C2SP signed-note).
//!
//! Reading a note says nothing about it: [`SignedNote::opened_by`] does.

use std::{fmt, str::FromStr};

use crate::{
    key::{Verified, VerifierKey},
    name::KeyName,
    text::{base64, from_base64},
};

/// The most bytes of a note.
pub const NOTE_BYTES: usize = 16_000;
/// The most signatures under a note.
pub const NOTE_SIGNATURES: usize = 16;

/// Why something is no note, or not one to believe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is over the limit.
    #[error("the note has {0} bytes, {NOTE_BYTES} are the limit")]
    TooLong(usize),
    /// It has more signatures than are looked at.
    #[error("the note has more than {NOTE_SIGNATURES} signatures")]
    TooManySignatures,
    /// It is not UTF-8, or has control characters.
    #[error("the note is not plain text")]
    NotText,
    /// Text, empty line and signatures are not where they should be.
    #[error("the note has no text, or no signatures below an empty line")]
    Form,
    /// A line below the text is no signature.
    #[error("a line below the note's text is no signature")]
    Signature,
    /// A signature says that it is by a known key, and is not.
    #[error("the signature of `{0}` under the note does not hold")]
    BadSignature(KeyName),
    /// None of the known keys signed it.
    #[error("no known key signed the note")]
    Unsigned,
}

/// One signature line: `— <name> <base64 of key id ‖ signature>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NoteSignature {
    name: KeyName,
    id: u32,
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// A key's signature.
    pub(crate) fn new(key: &VerifierKey, bytes: &[u8]) -> Self {
        Self { name: key.name().clone(), id: key.id(), bytes: bytes.to_vec() }
    }

    /// Whose it says it is.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id of the key that it says it is by.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The signature without the key's id.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl FromStr for NoteSignature {
    type Err = NoteError;

    /// Reads a line without its line feed.
    fn from_str(line: &str) -> Result<Self, NoteError> {
        let rest = line.strip_prefix("\u{2014} ").ok_or(NoteError::Signature)?;
        let (name, encoded) = rest.split_once(' ').ok_or(NoteError::Signature)?;
        let name = name.parse().map_err(|_| NoteError::Signature)?;
        let bytes = from_base64(encoded).ok_or(NoteError::Signature)?;
        let (id, bytes) = bytes.split_first_chunk::<4>().ok_or(NoteError::Signature)?;
        if bytes.is_empty() {
            return Err(NoteError::Signature);
        }
        Ok(Self { name, id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.to_be_bytes().as_slice(), &self.bytes].concat();
        write!(f, "\u{2014} {} {}", self.name, base64(&bytes))
    }
}

/// A text with at least one signature, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Puts a note together; the text ends with a line feed and has no control characters, as checkpoints' texts do.
    pub(crate) fn new(text: String, signature: NoteSignature) -> Self {
        Self { text, signatures: vec![signature] }
    }

    /// Reads a note.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES {
            return Err(NoteError::TooLong(bytes.len()));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::NotText);
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Form)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == NOTE_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(line.parse()?);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// What is signed, its last line feed included.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures, in their order.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// This note with one more signature below; one of the same key is replaced.
    #[must_use]
    pub fn with(mut self, signature: NoteSignature) -> Self {
        let same = |other: &NoteSignature| other.id == signature.id && other.name == signature.name;
        self.signatures.retain(|other| !same(other));
        self.signatures.push(signature);
        self
    }

    /// Which of the known keys signed, each with its best signature: the latest, where signatures have a time.
    ///
    /// Signatures of unknown keys are ignored. One that says it is by a known key and is not makes the note worthless
    /// (C2SP signed-note, "Signatures").
    pub fn opened_by<'a>(
        &self,
        keys: &'a [VerifierKey],
    ) -> Result<Vec<(&'a VerifierKey, Verified)>, NoteError> {
        let mut opened: Vec<(&VerifierKey, Verified)> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = keys.iter().find(|key| key.claims(signature)) else { continue };
            let verified = key
                .verify(&self.text, signature)
                .ok_or_else(|| NoteError::BadSignature(signature.name.clone()))?;
            match opened.iter_mut().find(|(other, _)| *other == key) {
                Some((_, best)) => best.at_secs = best.at_secs.max(verified.at_secs),
                None => opened.push((key, verified)),
            }
        }
        if opened.is_empty() { Err(NoteError::Unsigned) } else { Ok(opened) }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

#[cfg(test)]
mod tests;
