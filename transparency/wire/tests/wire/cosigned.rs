//! What witnesses say to each other: read as it was written, and nothing else.

use capnp::message::{Builder, HeapAllocator};
use ed25519_dalek::SigningKey;
use qpq_core::{Digest, Timestamp};
use qpq_schemas::federation_capnp::witness_answer;
use qpq_transparency_tree::{
    KeyName, LONGEST_PATH, LogSigner, SignedCheckpoint, TreeHead, WitnessSigner, entry::ENTRY_BYTES,
    note::NOTE_SIGNATURES,
};
use qpq_transparency_wire::{
    CosignAnswer, Cosigned, LOG_ENTRIES, proof_bytes, read_checkpoint, read_cosigned, read_entries, read_key,
    read_origin, read_proof, write_cosigned,
};

fn witness() -> WitnessSigner {
    WitnessSigner::new(KeyName::of_witness(&"beta.test".parse().unwrap()), SigningKey::from_bytes(&[7; 32]))
}

fn checkpoint() -> SignedCheckpoint {
    let log =
        LogSigner::new(KeyName::of_log(&"alpha.test".parse().unwrap()), SigningKey::from_bytes(&[1; 32]));
    SignedCheckpoint::sign(&log, TreeHead { size: 3, root: Digest::of(&[b"a root"]) })
}

fn signed(count: usize) -> CosignAnswer {
    let line = |n: usize| {
        let at = Timestamp::from_millis(u64::try_from(n).unwrap() * 1_000);
        checkpoint().cosign(&witness(), at)
    };
    CosignAnswer {
        witness: witness().verifier().clone(),
        said: Cosigned::Signed((0..count).map(line).collect()),
    }
}

fn written(answer: &CosignAnswer) -> Builder<HeapAllocator> {
    let mut message = Builder::new_default();
    write_cosigned(answer, message.init_root());
    message
}

fn read(message: &Builder<HeapAllocator>) -> Result<CosignAnswer, String> {
    let reader: witness_answer::Reader<'_> =
        message.get_root_as_reader().map_err(|error| error.to_string())?;
    read_cosigned(reader).map_err(|error| error.to_string())
}

#[test]
fn answers_are_read_as_they_were_written() {
    let conflict = CosignAnswer { said: Cosigned::Conflict(u64::MAX), ..signed(0) };
    for answer in [signed(1), signed(NOTE_SIGNATURES), conflict] {
        assert_eq!(read(&written(&answer)), Ok(answer));
    }
}

#[test]
fn what_is_no_answer_says_why() {
    let refused = |change: fn(witness_answer::Builder<'_>)| {
        let mut message = written(&signed(1));
        change(message.get_root().unwrap());
        read(&message).unwrap_err()
    };
    let many = read(&written(&signed(NOTE_SIGNATURES + 1))).unwrap_err();
    assert_eq!(many, "`signatures` has 17 items, 16 are allowed");
    let long = refused(|mut answer| answer.set_signatures("x".repeat(16_001)));
    assert_eq!(long, "`signatures` has 16001 bytes, 16000 are allowed");
    let garbage = refused(|mut answer| answer.set_signatures("no line of a note\n"));
    assert!(garbage.contains("is no signature"), "{garbage}");
    let key = refused(|mut answer| answer.set_witness_key("beta.test/kt-witness/v1"));
    assert!(key.starts_with("`key` can't be read"), "{key}");
}

#[test]
fn entries_and_proofs_are_whole_and_few() {
    let entries = vec![[3; ENTRY_BYTES]; LOG_ENTRIES];
    assert_eq!(read_entries(Ok(entries.as_flattened())).unwrap(), entries);
    for (bytes, what) in
        [(ENTRY_BYTES + 1, "has 111 bytes"), (ENTRY_BYTES * (LOG_ENTRIES + 1), "257 items, 256 are allowed")]
    {
        let refused = read_entries(Ok(&vec![0; bytes])).unwrap_err().to_string();
        assert!(refused.contains(what), "{refused}");
    }
    let proof = vec![Digest::of(&[b"a hash"]); LONGEST_PATH];
    assert_eq!(read_proof(Ok(&proof_bytes(&proof))).unwrap(), proof);
    assert!(read_proof(Ok(&[0; 33])).is_err());
    assert!(read_proof(Ok(&vec![0; 32 * (LONGEST_PATH + 1)])).is_err());
}

#[test]
fn names_keys_and_checkpoints_keep_their_rules() {
    let note = checkpoint().to_string();
    assert_eq!(read_checkpoint(Ok(note.as_str().into())).unwrap(), Some(checkpoint()));
    assert_eq!(read_checkpoint(Ok("".into())).unwrap(), None);
    assert!(read_checkpoint(Ok("no note".into())).is_err());
    assert_eq!(read_origin(Ok("alpha.test/kt/v1".into())).unwrap(), "alpha.test/kt/v1".parse().unwrap());
    assert!(read_origin(Ok("two words".into())).is_err());
    let key = witness().verifier().clone();
    assert_eq!(read_key(Ok(key.to_string().as_str().into())).unwrap(), key);
    assert!(read_key(Ok("a+b".into())).is_err());
}
