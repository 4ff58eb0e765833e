//! Why a message is not taken.

use std::fmt;

use qpq_core::codec::CodecError;
use qpq_transparency_tree::{checkpoint::CheckpointError, entry::EntryError, key::KeyError, note::NoteError};

/// Why a message is not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WireError {
    /// It is no message of the schema.
    #[error("the message can't be read as the schema says: {0}")]
    Schema(#[from] capnp::Error),
    /// A text is not UTF-8.
    #[error("`{field}` is not UTF-8")]
    NotText {
        /// Which.
        field: Field,
    },
    /// Bytes of one length have another.
    #[error("`{field}` has {found} bytes, not {needed}")]
    Length {
        /// Which.
        field: Field,
        /// How many there are.
        found: usize,
        /// How many there must be.
        needed: usize,
    },
    /// A field is over its limit.
    #[error("`{field}` has {found} bytes, {most} are allowed")]
    TooLong {
        /// Which.
        field: Field,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A list is over its limit.
    #[error("`{field}` has {found} items, {most} are allowed")]
    TooMany {
        /// Which.
        field: Field,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A list of hashes ends in the middle of one.
    #[error("`{field}` has {found} bytes, which is no multiple of 32")]
    Hashes {
        /// Which.
        field: Field,
        /// How many bytes there are.
        found: usize,
    },
    /// A number is over its limit.
    #[error("`{field}` is {found}, {most} is the most")]
    TooLarge {
        /// Which.
        field: Field,
        /// The number.
        found: u64,
        /// The largest that means something.
        most: u64,
    },
    /// A value without the opening that belongs to it.
    #[error("`{field}` is there without its opening")]
    Unopened {
        /// Which.
        field: Field,
    },
    /// A user is named twice.
    #[error("`{field}` names a user twice")]
    Twice {
        /// Which.
        field: Field,
    },
    /// A field breaks its own rules.
    #[error("`{field}` can't be read: {source}")]
    Malformed {
        /// Which.
        field: Field,
        /// What is wrong with it.
        source: Malformed,
    },
}

/// What is wrong with a field that has rules of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It is no entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// It is no note, or a line is no signature.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// It is no claim, or no account's keys.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It is no verifier key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It can't be the name of a log.
    #[error(transparent)]
    LogName(#[from] qpq_transparency_tree::name::NameError),
    /// It is no user's address.
    #[error(transparent)]
    Address(#[from] qpq_core::NameError),
}

/// A field of a message, as the schema calls it: `note`, `latest.entry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    part: Option<&'static str>,
    name: &'static str,
}

impl Field {
    /// A field of the message itself.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { part: None, name }
    }

    /// A field of a part of it.
    pub(crate) const fn of(part: &'static str, name: &'static str) -> Self {
        Self { part: Some(part), name }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(part) = self.part {
            write!(f, "{part}.")?;
        }
        f.write_str(self.name)
    }
}
