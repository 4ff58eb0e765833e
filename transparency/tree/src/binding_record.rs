//! What goes along with a proof of an account's keys as a file: the entry, and what it takes to see whose keys it holds.
//!
//! It is the extra data of a [`ProofFile`](crate::proof_file::ProofFile), which by itself proves only that some 110 bytes are
//! in a log.

use qpq_core::codec::{CodecError, Reader};

use crate::{
    commitment::{Opening, commit},
    entry::{ENTRY_BYTES, Entry, EntryError},
    label::{LABEL_BYTES, Label, LabelId},
    value::{SignedValue, VALUE_BYTES},
    vrf::{VrfProof, VrfPublic},
};

/// An entry about an account, with its contents in the open.
///
/// | offset | type | field |
/// |---|---|---|
/// | 0 | \[110\] | the [`Entry`]; the record that is proven |
/// | 110 | \[16\] | the opening of its commitment |
/// | 126 | \[80\] | the VRF's proof that the entry's `label_id` is that of the label |
/// | 206 | u16 | length of the label |
/// | 208 | bytes | label: `u/<user>@<domain>` |
/// | … | u32 | length of the value |
/// | … | bytes | value: [`SignedValue`] |
///
/// Numbers are big-endian. Whoever has it knows the account's identity key and its devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingRecord {
    /// The record that the file proves to be in the log.
    pub entry: Entry,
    /// Opens the commitment.
    pub opening: Opening,
    /// That the label's id is what the entry says.
    pub vrf_proof: VrfProof,
    /// Whose keys.
    pub label: Label,
    /// The keys, signed by their owner.
    pub value: SignedValue,
}

/// Why bytes are no such record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingRecordError {
    /// They end too early or too late, or a field is malformed.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// They begin with no entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

impl BindingRecord {
    /// The bytes of the table.
    pub fn to_bytes(&self) -> Vec<u8> {
        let value = self.value.to_bytes();
        // Both are far below: a label has at most 320 bytes, a value a few thousand.
        let label_length = u16::try_from(self.label.as_bytes().len()).unwrap_or(u16::MAX);
        let value_length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        [
            &self.entry.to_bytes()[..],
            self.opening.as_bytes(),
            self.vrf_proof.as_bytes(),
            &label_length.to_be_bytes(),
            self.label.as_bytes(),
            &value_length.to_be_bytes(),
            &value,
        ]
        .concat()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. Nothing is proven by that.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BindingRecordError> {
        let mut reader = Reader::new(bytes);
        let entry = Entry::from_bytes(reader.take(ENTRY_BYTES)?)?;
        let opening = Opening::from_bytes(reader.array()?);
        let vrf_proof = VrfProof::from_slice(&reader.array::<80>()?).ok_or(CodecError::Truncated)?;
        let label = bounded(reader.u16()?.into(), LABEL_BYTES, "the label")?;
        let label = std::str::from_utf8(reader.take(label)?).ok().and_then(|text| text.parse().ok());
        let label = label.ok_or(CodecError::Invalid("the label"))?;
        let value = bounded(reader.u32()?, VALUE_BYTES, "the value")?;
        let value = SignedValue::from_bytes(reader.take(value)?);
        let value = value.map_err(|_| CodecError::Invalid("the value"))?;
        reader.finish()?;
        Ok(Self { entry, opening, vrf_proof, label, value })
    }

    /// Whether the entry commits to this label and value.
    pub fn is_committed_to(&self) -> bool {
        let value = self.value.to_bytes();
        commit(&self.opening, self.label.as_bytes(), self.entry.version, &value) == self.entry.commitment
    }

    /// Whether the entry stands where a log with this VRF key keeps the label, and so nowhere else.
    pub fn is_placed_by(&self, vrf: &VrfPublic) -> bool {
        let output = vrf.verify(self.label.as_bytes(), &self.vrf_proof);
        output.is_some_and(|output| LabelId::of(&output) == self.entry.label_id)
    }
}

fn bounded(length: u32, most: usize, what: &'static str) -> Result<usize, CodecError> {
    usize::try_from(length).ok().filter(|length| *length <= most).ok_or(CodecError::TooLarge(what))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        lookup::View,
        sample::{Person, SampleLog},
        vrf::VrfSecret,
    };

    fn record() -> (SampleLog, BindingRecord) {
        let mut log = SampleLog::new(1);
        let alice = Person::new("alice", 7);
        alice.registers(&mut log);
        let answer = log.answer(&alice.label, View::default());
        let latest = answer.latest.unwrap();
        let (opening, value) = latest.contents.unwrap();
        let value = SignedValue::from_bytes(&value).unwrap();
        let record = BindingRecord {
            entry: latest.entry,
            opening,
            vrf_proof: answer.vrf_proof,
            label: alice.label.clone(),
            value,
        };
        (log, record)
    }

    #[test]
    fn a_true_record_opens_its_entry_and_stands_in_its_place() {
        let (log, record) = record();
        let read = BindingRecord::from_bytes(&record.to_bytes()).unwrap();
        assert_eq!(read, record);
        assert!(read.is_committed_to() && read.is_placed_by(&log.vrf.public()));
        assert!(!read.is_placed_by(&VrfSecret::from_seed(&[0x77; 32]).public()));
        let bob = BindingRecord { label: Person::new("bob", 9).label, ..record };
        assert!(!bob.is_committed_to() && !bob.is_placed_by(&log.vrf.public()));
    }

    #[test]
    fn lengths_are_bounded_before_they_are_believed() {
        let (_, record) = record();
        let bytes = record.to_bytes();
        for length in 0..bytes.len() {
            assert!(BindingRecord::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(BindingRecord::from_bytes(&longer), Err(CodecError::Trailing.into()));
        let mut wide = bytes;
        wide[206] = 0xff;
        assert_eq!(BindingRecord::from_bytes(&wide), Err(CodecError::TooLarge("the label").into()));
    }

    proptest! {
        #[test]
        fn another_byte_is_refused_or_is_not_what_was_logged(at: prop::sample::Index, flip in 1..=255_u8) {
            let (log, record) = record();
            let mut bytes = record.to_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(read) = BindingRecord::from_bytes(&bytes) {
                prop_assert_eq!(read.to_bytes(), bytes);
                let same_leaf = read.entry.leaf_hash() == record.entry.leaf_hash();
                let holds = read.is_committed_to() && read.is_placed_by(&log.vrf.public());
                prop_assert!(!(same_leaf && holds), "byte {}", at);
            }
        }
    }
}
