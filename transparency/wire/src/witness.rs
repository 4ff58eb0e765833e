//! What homeservers ask each other as witnesses of their logs.

use capnp::Result as Got;
use qpq_core::Digest;
use qpq_schemas::federation_capnp::witness_answer;
use qpq_transparency_tree::{
    KeyName, SignedCheckpoint, VerifierKey,
    entry::ENTRY_BYTES,
    name::NAME_BYTES,
    note::{NOTE_BYTES, NOTE_SIGNATURES, NoteSignature},
};

use crate::{
    Field, KEY_TEXT_BYTES, WireError,
    field::{self, few, malformed, parsed, text},
};

/// The most entries of one answer: those of a full tile.
pub const LOG_ENTRIES: usize = 256;

/// What a witness said to a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignAnswer {
    /// The key that the witness signs with now.
    pub witness: VerifierKey,
    /// What it said.
    pub said: Cosigned,
}

/// Whether a witness cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cosigned {
    /// These are its signatures.
    Signed(Vec<NoteSignature>),
    /// The last checkpoint that it cosigned has this size, and it was asked from another.
    Conflict(u64),
}

/// Writes what a witness said.
pub fn write_cosigned(answer: &CosignAnswer, mut builder: witness_answer::Builder<'_>) {
    builder.set_witness_key(answer.witness.to_string());
    match &answer.said {
        Cosigned::Signed(lines) => {
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            builder.set_signatures(lines.join("\n") + "\n");
        }
        Cosigned::Conflict(size) => builder.set_conflict(*size),
    }
}

/// Reads what a witness said; whether its signatures hold is still to be seen.
pub fn read_cosigned(reader: witness_answer::Reader<'_>) -> Result<CosignAnswer, WireError> {
    let witness = read_key(reader.get_witness_key())?;
    let said = match reader.which().map_err(capnp::Error::from)? {
        witness_answer::Conflict(size) => Cosigned::Conflict(size),
        witness_answer::Signatures(lines) => {
            let field = Field::new("signatures");
            let lines = text(field, lines, NOTE_BYTES)?;
            let lines = lines.lines().take(NOTE_SIGNATURES.saturating_add(1)).map(str::parse);
            let lines: Vec<NoteSignature> = lines.collect::<Result<_, _>>().map_err(malformed(field))?;
            few(field, lines.len(), NOTE_SIGNATURES)?;
            Cosigned::Signed(lines)
        }
    };
    Ok(CosignAnswer { witness, said })
}

/// Reads a verifier key.
pub fn read_key(reader: Got<capnp::text::Reader<'_>>) -> Result<VerifierKey, WireError> {
    parsed(Field::new("key"), reader, KEY_TEXT_BYTES)
}

/// Reads a log's name.
pub fn read_origin(reader: Got<capnp::text::Reader<'_>>) -> Result<KeyName, WireError> {
    parsed(Field::new("origin"), reader, NAME_BYTES)
}

/// Reads a checkpoint; `None` if there is none.
pub fn read_checkpoint(reader: Got<capnp::text::Reader<'_>>) -> Result<Option<SignedCheckpoint>, WireError> {
    let reader = reader?;
    if reader.is_empty() { Ok(None) } else { field::checkpoint(Field::new("note"), Ok(reader)).map(Some) }
}

/// Reads entries, one after the other.
pub fn read_entries(reader: Got<&[u8]>) -> Result<Vec<[u8; ENTRY_BYTES]>, WireError> {
    let (field, bytes) = (Field::new("entries"), reader?);
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    let found = bytes.len();
    if !rest.is_empty() {
        return Err(WireError::Length { field, found, needed: entries.len().saturating_mul(ENTRY_BYTES) });
    }
    few(field, entries.len(), LOG_ENTRIES)?;
    Ok(entries.to_vec())
}

/// Reads a proof's hashes.
pub fn read_proof(reader: Got<&[u8]>) -> Result<Vec<Digest>, WireError> {
    field::hashes(Field::new("proof"), reader)
}

/// The same hashes as bytes.
pub fn proof_bytes(proof: &[Digest]) -> Vec<u8> {
    field::hash_bytes(proof)
}
