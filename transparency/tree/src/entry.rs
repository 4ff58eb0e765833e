//! An entry of the log: 110 bytes that hold no name, no key and no free text.

use std::fmt;

use qpq_core::{
    Digest, Timestamp,
    codec::{CodecError, Reader},
};

use crate::{label::LabelId, leaf_hash};

/// The bytes of an entry.
pub const ENTRY_BYTES: usize = 110;

/// The only format so far.
const FORMAT: u8 = 1;

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Sets a user's keys and devices (1).
    Bind,
    /// Takes a user's keys back (2).
    Revoke,
    /// Ends an account (3).
    Close,
    /// Sets the log's own keys, witnesses and successor (4).
    Config,
    /// Holds the root of the map over all labels (5).
    MapRoot,
    /// Says nothing (6).
    Pad,
}

impl Kind {
    /// The number in the entry.
    pub const fn number(self) -> u8 {
        match self {
            Self::Bind => 1,
            Self::Revoke => 2,
            Self::Close => 3,
            Self::Config => 4,
            Self::MapRoot => 5,
            Self::Pad => 6,
        }
    }

    /// The kind of a number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Bind),
            2 => Some(Self::Revoke),
            3 => Some(Self::Close),
            4 => Some(Self::Config),
            5 => Some(Self::MapRoot),
            6 => Some(Self::Pad),
            _ => None,
        }
    }

    /// Whether entries of this kind may stand under a label id.
    fn fits(self, label_id: LabelId) -> bool {
        match self {
            Self::Bind | Self::Revoke | Self::Close => {
                label_id != LabelId::CONFIG && label_id != LabelId::NONE
            }
            Self::Config => label_id == LabelId::CONFIG,
            Self::MapRoot | Self::Pad => label_id == LabelId::NONE,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bind => "BIND",
            Self::Revoke => "REVOKE",
            Self::Close => "CLOSE",
            Self::Config => "CONFIG",
            Self::MapRoot => "MAP_ROOT",
            Self::Pad => "PAD",
        })
    }
}

/// One entry.
///
/// | offset | type | field |
/// |---|---|---|
/// | 0 | u8 | format = 1 |
/// | 1 | u8 | kind: 1 BIND, 2 REVOKE, 3 CLOSE, 4 CONFIG, 5 `MAP_ROOT`, 6 PAD |
/// | 2 | \[32\] | `label_id` |
/// | 34 | u32 | `version` |
/// | 38 | u64 | `time`, in ms since the epoch |
/// | 46 | \[32\] | `prev` |
/// | 78 | \[32\] | `commitment` |
///
/// Numbers are big-endian. What an entry must be by itself, [`Entry::check`] says; [`Entry::from_bytes`] returns no other.
/// That versions have no gaps, that `prev` is right and that times don't run back shows only the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// What it does.
    pub kind: Kind,
    /// Whose it is.
    pub label_id: LabelId,
    /// 0, 1, 2 … under each label id, no gaps; 0 where there is no label.
    pub version: u32,
    /// When it was sequenced; no entry is older than the one before it.
    pub time: Timestamp,
    /// The leaf hash of the entry before it under the same label id; zeros at version 0.
    pub prev: Digest,
    /// [Commits](crate::commitment::commit) to label, version and value; of a `MAP_ROOT` it is the map's root itself.
    pub commitment: Digest,
}

/// Why bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// They are too few or too many.
    #[error("an entry has {ENTRY_BYTES} bytes, not {0}")]
    Length(usize),
    /// It is of a later format, or of none.
    #[error("the entry's format {0} isn't spoken here: 1 is")]
    Format(u8),
    /// It does something that isn't known here.
    #[error("there is no kind {0} of entry")]
    Kind(u8),
    /// A first version that follows another entry, or a later one that follows none.
    #[error("version {version} has no `prev` where one is needed, or one where none can be")]
    Prev {
        /// The version at fault.
        version: u32,
    },
    /// The kind and the label id don't belong together.
    #[error("a {kind} entry can't stand under the label id {label_id}")]
    Label {
        /// What the entry does.
        kind: Kind,
        /// Whose it says it is.
        label_id: LabelId,
    },
    /// An entry without a label has a version.
    #[error("a {kind} entry belongs to no label, so it has no version {version}")]
    Version {
        /// What the entry does.
        kind: Kind,
        /// Its version.
        version: u32,
    },
    /// Padding commits to something.
    #[error("a PAD entry commits to nothing")]
    Padding,
}

impl Entry {
    /// The 110 bytes.
    pub fn to_bytes(&self) -> [u8; ENTRY_BYTES] {
        let (version, time) = (self.version.to_be_bytes(), self.time.as_millis().to_be_bytes());
        let parts: [&[u8]; 6] = [
            &[FORMAT, self.kind.number()],
            self.label_id.as_bytes(),
            &version,
            &time,
            self.prev.as_bytes(),
            self.commitment.as_bytes(),
        ];
        let mut bytes = [0; ENTRY_BYTES];
        for (byte, part) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *byte = *part;
        }
        bytes
    }

    /// Reads an entry and [checks](Self::check) it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EntryError> {
        let length = |_: CodecError| EntryError::Length(bytes.len());
        let mut reader = Reader::new(bytes);
        let (format, kind) = (reader.u8().map_err(length)?, reader.u8().map_err(length)?);
        // Before the length, which may be another in a later format.
        if format != FORMAT {
            return Err(EntryError::Format(format));
        }
        let entry = Self {
            kind: Kind::from_number(kind).ok_or(EntryError::Kind(kind))?,
            label_id: LabelId::from_bytes(reader.array().map_err(length)?),
            version: reader.u32().map_err(length)?,
            time: Timestamp::from_millis(reader.u64().map_err(length)?),
            prev: Digest::from_bytes(reader.array().map_err(length)?),
            commitment: Digest::from_bytes(reader.array().map_err(length)?),
        };
        reader.finish().map_err(length)?;
        entry.check()?;
        Ok(entry)
    }

    /// What every entry must be by itself.
    ///
    /// CONFIG stands under [`LabelId::CONFIG`] and nothing else does. `MAP_ROOT` and PAD belong to no label: they stand under
    /// [`LabelId::NONE`], where nothing else does, and always have version 0. `prev` is zeros at version 0 and only there.
    /// A PAD commits to zeros, so that nobody can hide anything in it.
    pub fn check(&self) -> Result<(), EntryError> {
        let Self { kind, label_id, version, .. } = *self;
        if !kind.fits(label_id) {
            return Err(EntryError::Label { kind, label_id });
        }
        if (version == 0) != (self.prev == Digest::ZERO) {
            return Err(EntryError::Prev { version });
        }
        if label_id == LabelId::NONE && version != 0 {
            return Err(EntryError::Version { kind, version });
        }
        if kind == Kind::Pad && self.commitment != Digest::ZERO {
            return Err(EntryError::Padding);
        }
        Ok(())
    }

    /// The hash of the leaf that it is in the log's tree (RFC 6962, section 2.1).
    pub fn leaf_hash(&self) -> Digest {
        leaf_hash(&self.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [Kind; 6] = [Kind::Bind, Kind::Revoke, Kind::Close, Kind::Config, Kind::MapRoot, Kind::Pad];

    fn bind() -> Entry {
        Entry {
            kind: Kind::Bind,
            label_id: LabelId::from_bytes([0x11; 32]),
            version: 0x0102_0304,
            time: Timestamp::from_millis(0x0506_0708_090a_0b0c),
            prev: Digest::from_bytes([0x22; 32]),
            commitment: Digest::from_bytes([0x33; 32]),
        }
    }

    /// Sound entries of every kind.
    fn entries() -> impl Strategy<Value = Entry> {
        let numbers = (prop::sample::select(&KINDS[..]), prop_oneof![Just(0), any::<u32>()], any::<u64>());
        (numbers, 1..255_u8, 1..=255_u8, any::<[u8; 32]>()).prop_map(
            |((kind, version, time), label, prev, commitment)| {
                let (label_id, version) = match kind {
                    Kind::Bind | Kind::Revoke | Kind::Close => (LabelId::from_bytes([label; 32]), version),
                    Kind::Config => (LabelId::CONFIG, version),
                    Kind::MapRoot | Kind::Pad => (LabelId::NONE, 0),
                };
                Entry {
                    kind,
                    label_id,
                    version,
                    time: Timestamp::from_millis(time),
                    prev: if version == 0 { Digest::ZERO } else { Digest::from_bytes([prev; 32]) },
                    commitment: if kind == Kind::Pad { Digest::ZERO } else { Digest::from_bytes(commitment) },
                }
            },
        )
    }

    #[test]
    fn the_bytes_are_those_of_the_table() {
        let expected =
            [&[1, 1][..], &[0x11; 32], &[1, 2, 3, 4], &[5, 6, 7, 8, 9, 10, 11, 12], &[0x22; 32], &[0x33; 32]];
        assert_eq!(bind().to_bytes()[..], expected.concat());
        assert_eq!(bind().leaf_hash(), Digest::of(&[&[0], &bind().to_bytes()]));
    }

    #[test]
    fn kinds_have_their_numbers() {
        for (number, kind) in (1..).zip(KINDS) {
            assert_eq!((kind.number(), Kind::from_number(number)), (number, Some(kind)));
        }
        assert!([0, 7, 255].iter().all(|number| Kind::from_number(*number).is_none()));
    }

    #[test]
    fn other_lengths_formats_and_kinds_are_refused() {
        let bytes = bind().to_bytes();
        let longer = [&bytes[..], &[0]].concat();
        for other in (0..ENTRY_BYTES).map(|length| &bytes[..length]).chain([&longer[..]]) {
            assert_eq!(Entry::from_bytes(other), Err(EntryError::Length(other.len())));
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes;
            bytes[at] = byte;
            Entry::from_bytes(&bytes)
        };
        for number in [0, 2, 255] {
            assert_eq!(with(0, number), Err(EntryError::Format(number)));
        }
        for number in [0, 7, 255] {
            assert_eq!(with(1, number), Err(EntryError::Kind(number)));
        }
    }

    #[test]
    fn prev_and_version_go_together() {
        let first = Entry { version: 0, prev: Digest::ZERO, ..bind() };
        assert_eq!((first.check(), bind().check()), (Ok(()), Ok(())));
        let orphan = Entry { prev: Digest::ZERO, ..bind() };
        assert_eq!(orphan.check(), Err(EntryError::Prev { version: 0x0102_0304 }));
        assert_eq!(Entry { version: 0, ..bind() }.check(), Err(EntryError::Prev { version: 0 }));
    }

    #[test]
    fn each_kind_has_its_label_ids() {
        let user = LabelId::from_bytes([0x11; 32]);
        for kind in KINDS {
            let allowed = match kind {
                Kind::Bind | Kind::Revoke | Kind::Close => user,
                Kind::Config => LabelId::CONFIG,
                Kind::MapRoot | Kind::Pad => LabelId::NONE,
            };
            for label_id in [user, LabelId::CONFIG, LabelId::NONE] {
                let entry = Entry {
                    kind,
                    label_id,
                    version: 0,
                    prev: Digest::ZERO,
                    commitment: Digest::ZERO,
                    ..bind()
                };
                let expected =
                    if label_id == allowed { Ok(()) } else { Err(EntryError::Label { kind, label_id }) };
                assert_eq!(entry.check(), expected, "{kind} {label_id}");
            }
        }
    }

    #[test]
    fn entries_of_no_label_have_no_versions_and_padding_says_nothing() {
        for kind in [Kind::MapRoot, Kind::Pad] {
            let entry = Entry { kind, label_id: LabelId::NONE, version: 1, ..bind() };
            assert_eq!(entry.check(), Err(EntryError::Version { kind, version: 1 }));
        }
        let pad =
            Entry { kind: Kind::Pad, label_id: LabelId::NONE, version: 0, prev: Digest::ZERO, ..bind() };
        assert_eq!(pad.check(), Err(EntryError::Padding));
        assert_eq!(Entry { kind: Kind::MapRoot, ..pad }.check(), Ok(()));
    }

    proptest! {
        #[test]
        fn entries_round_trip(entry in entries()) {
            prop_assert_eq!(Entry::from_bytes(&entry.to_bytes()), Ok(entry));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..150)) {
            if let Ok(entry) = Entry::from_bytes(&bytes) {
                prop_assert_eq!(&entry.to_bytes()[..], &bytes[..]);
            }
        }

        #[test]
        fn what_is_read_is_written_the_same(entry in entries(), at in 0..ENTRY_BYTES, byte: u8) {
            let mut bytes = entry.to_bytes();
            bytes[at] = byte;
            if let Ok(read) = Entry::from_bytes(&bytes) {
                prop_assert_eq!(read.to_bytes(), bytes);
            }
        }
    }
}
