//! What a domain tells its own users of their place in the log, and of the versions of their keys.

use qpq_core::{AccountId, Digest};
use qpq_schemas::transparency_capnp::{log_place, logged_version};
use qpq_transparency_tree::{
    KeyName,
    commitment::Opening,
    entry::Entry,
    label::LabelId,
    name::NAME_BYTES,
    value::{SignedValue, VALUE_BYTES},
};

use crate::{
    Field, WireError,
    entry::{read_contents, read_entry},
    field::{array, bytes, digest, malformed, parsed},
};

/// Where the next version of an account's keys will stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// The log's name.
    pub origin: KeyName,
    /// The id of the account's label.
    pub label_id: LabelId,
    /// The number of the next version.
    pub version: u32,
    /// The hash of the leaf before it; zeros at version 0.
    pub prev: Digest,
    /// The account, as each of its values names it.
    pub account: AccountId,
    /// The newest value; `None` before the first, and if it was erased.
    pub value: Option<SignedValue>,
}

/// A version of the asker's own keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedVersion {
    /// Its place in the log.
    pub index: u64,
    /// The entry.
    pub entry: Entry,
    /// What it commits to; `None` if that was erased.
    pub contents: Option<(Opening, Vec<u8>)>,
}

/// Writes a place.
pub fn write_place(place: &LogPlace, mut builder: log_place::Builder<'_>) {
    builder.set_origin(place.origin.as_str());
    builder.set_label_id(place.label_id.as_bytes());
    builder.set_version(place.version);
    builder.set_prev(place.prev.as_bytes());
    builder.set_account(place.account.as_bytes());
    if let Some(value) = &place.value {
        builder.set_value(&value.to_bytes());
    }
}

/// Reads a place.
pub fn read_place(reader: log_place::Reader<'_>) -> Result<LogPlace, WireError> {
    let field = Field::new("value");
    let value = bytes(field, reader.get_value(), VALUE_BYTES)?;
    let value = (!value.is_empty()).then(|| SignedValue::from_bytes(value)).transpose();
    Ok(LogPlace {
        origin: parsed(Field::new("origin"), reader.get_origin(), NAME_BYTES)?,
        label_id: LabelId::from_bytes(array(Field::new("labelId"), reader.get_label_id())?),
        version: reader.get_version(),
        prev: digest(Field::new("prev"), reader.get_prev())?,
        account: AccountId::from_bytes(array(Field::new("account"), reader.get_account())?),
        value: value.map_err(malformed(field))?,
    })
}

/// Writes a version.
pub fn write_version(logged: &LoggedVersion, mut builder: logged_version::Builder<'_>) {
    builder.set_entry(&logged.entry.to_bytes());
    if let Some((opening, value)) = &logged.contents {
        builder.set_opening(opening.as_bytes());
        builder.set_value(value);
    }
    builder.set_index(logged.index);
}

/// Reads a version. That the entry commits to the value is not checked here.
pub fn read_version(reader: logged_version::Reader<'_>) -> Result<LoggedVersion, WireError> {
    Ok(LoggedVersion {
        index: reader.get_index(),
        entry: read_entry(Field::new("entry"), reader.get_entry())?,
        contents: read_contents(Field::new, reader.get_opening(), reader.get_value())?,
    })
}
