//! Single fields: bytes, texts, numbers and lists within their bounds.

use std::str::FromStr;

use capnp::Result as Got;
use qpq_core::Digest;
use qpq_transparency_tree::{LONGEST_PATH, SignedCheckpoint, note::NOTE_BYTES};

use crate::{Field, Malformed, WireError};

/// A text of at most so many bytes.
pub(crate) fn text(
    field: Field,
    reader: Got<capnp::text::Reader<'_>>,
    most: usize,
) -> Result<&str, WireError> {
    let text = reader?;
    within(field, text.len(), most)?;
    text.to_str().map_err(|_| WireError::NotText { field })
}

/// Anything that has a text form, of at most so many bytes.
pub(crate) fn parsed<T: FromStr<Err: Into<Malformed>>>(
    field: Field,
    reader: Got<capnp::text::Reader<'_>>,
    most: usize,
) -> Result<T, WireError> {
    text(field, reader, most)?.parse().map_err(malformed(field))
}

/// A signed note whose text is a checkpoint.
pub(crate) fn checkpoint(
    field: Field,
    reader: Got<capnp::text::Reader<'_>>,
) -> Result<SignedCheckpoint, WireError> {
    let note = text(field, reader, NOTE_BYTES)?;
    SignedCheckpoint::parse(note.as_bytes()).map_err(malformed(field))
}

/// Bytes of at most `most`.
pub(crate) fn bytes(field: Field, reader: Got<&[u8]>, most: usize) -> Result<&[u8], WireError> {
    let bytes = reader?;
    within(field, bytes.len(), most)?;
    Ok(bytes)
}

/// Bytes of exactly `N`.
pub(crate) fn array<const N: usize>(field: Field, reader: Got<&[u8]>) -> Result<[u8; N], WireError> {
    let bytes = reader?;
    bytes.try_into().map_err(|_| WireError::Length { field, found: bytes.len(), needed: N })
}

/// A hash.
pub(crate) fn digest(field: Field, reader: Got<&[u8]>) -> Result<Digest, WireError> {
    array(field, reader).map(Digest::from_bytes)
}

/// Hashes, one after the other, as many as a proof may have.
pub(crate) fn hashes(field: Field, reader: Got<&[u8]>) -> Result<Vec<Digest>, WireError> {
    let bytes = reader?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(WireError::Hashes { field, found: bytes.len() });
    }
    few(field, hashes.len(), LONGEST_PATH)?;
    Ok(hashes.iter().copied().map(Digest::from_bytes).collect())
}

/// The same hashes as bytes.
pub(crate) fn hash_bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// So many items are not too many.
pub(crate) fn few(field: Field, found: usize, most: usize) -> Result<(), WireError> {
    if found <= most { Ok(()) } else { Err(WireError::TooMany { field, found, most }) }
}

/// The items of a list of the message as a number to compare.
pub(crate) fn count(items: u32) -> usize {
    usize::try_from(items).unwrap_or(usize::MAX)
}

/// The length of one of our own lists, all of which are far below `u32::MAX`.
pub(crate) fn length(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// What becomes of the error of something with rules of its own.
pub(crate) fn malformed<E: Into<Malformed>>(field: Field) -> impl FnOnce(E) -> WireError {
    move |error| WireError::Malformed { field, source: error.into() }
}

fn within(field: Field, found: usize, most: usize) -> Result<(), WireError> {
    if found <= most { Ok(()) } else { Err(WireError::TooLong { field, found, most }) }
}
