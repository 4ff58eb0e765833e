//! Entries, and what they commit to.

use capnp::Result as Got;
use qpq_schemas::transparency_capnp::proven_entry;
use qpq_transparency_tree::{commitment::Opening, entry::Entry, lookup::Proven};

use crate::{
    Field, LOGGED_VALUE_BYTES, WireError,
    field::{array, bytes, hash_bytes, hashes, malformed},
};

/// What an entry commits to; `None` if it was erased.
pub(crate) type Contents = Option<(Opening, Vec<u8>)>;

pub(crate) fn write_proven(proven: &Proven, mut builder: proven_entry::Builder<'_>) {
    builder.set_entry(&proven.entry.to_bytes());
    builder.set_index(proven.index);
    builder.set_inclusion(&hash_bytes(&proven.inclusion));
    if let Some((opening, value)) = &proven.contents {
        builder.set_opening(opening.as_bytes());
        builder.set_value(value);
    }
}

/// Reads an entry that is a part of a message.
pub(crate) fn read_proven(part: &'static str, reader: proven_entry::Reader<'_>) -> Result<Proven, WireError> {
    let field = |name| Field::of(part, name);
    Ok(Proven {
        entry: read_entry(field("entry"), reader.get_entry())?,
        index: reader.get_index(),
        inclusion: hashes(field("inclusion"), reader.get_inclusion())?,
        contents: read_contents(field, reader.get_opening(), reader.get_value())?,
    })
}

pub(crate) fn read_entry(field: Field, reader: Got<&[u8]>) -> Result<Entry, WireError> {
    // It looks at its length itself, after the format: a later one may have another.
    let bytes = reader?;
    Entry::from_bytes(bytes).map_err(malformed(field))
}

/// Reads opening and value, the fields of these names.
pub(crate) fn read_contents(
    field: impl Fn(&'static str) -> Field,
    opening: Got<&[u8]>,
    value: Got<&[u8]>,
) -> Result<Contents, WireError> {
    let value = bytes(field("value"), value, LOGGED_VALUE_BYTES)?;
    let opening = opening?;
    if !opening.is_empty() {
        let opening = Opening::from_bytes(array(field("opening"), Ok(opening))?);
        return Ok(Some((opening, value.to_vec())));
    }
    if value.is_empty() { Ok(None) } else { Err(WireError::Unopened { field: field("value") }) }
}
