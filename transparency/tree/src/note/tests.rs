use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use qpq_core::{Digest, Timestamp};

use super::*;
use crate::{
    LogSigner, WitnessSigner,
    checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, TreeHead},
};

fn log() -> LogSigner {
    LogSigner::new("alpha.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]))
}

fn witness(n: u8) -> WitnessSigner {
    let name = format!("w{n}.test/kt-witness/v1").parse().unwrap();
    WitnessSigner::new(name, SigningKey::from_bytes(&[n; 32]))
}

fn head(size: u64) -> TreeHead {
    TreeHead { size, root: Digest::of(&[b"root"]) }
}

/// The example of C2SP signed-note has an empty line within its text; the last one ends it.
#[test]
fn the_example_of_the_specification() {
    let note = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned \u{e8} subito sera.\n\n\u{2014} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    let read = SignedNote::parse(note.as_bytes()).unwrap();
    assert!(read.text().ends_with("sole:\n\ned \u{e8} subito sera.\n"));
    assert_eq!(read.signatures()[0].id(), 0x367b_a04b);
    assert_eq!(read.to_string(), note);
}

#[test]
fn who_signed_is_found_and_strangers_are_ignored() {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let signed = SignedCheckpoint::sign(&log(), head(7));
    let (near, far) = (witness(2), witness(3));
    let later = now.after(qpq_core::Millis::from_secs(9));
    let both = signed.clone().with(signed.cosign(&near, now)).with(signed.cosign(&far, later));
    let both = SignedCheckpoint::parse(both.to_string().as_bytes()).unwrap();
    let keys = [log().verifier().clone(), far.verifier().clone()];
    let opened = both.note().opened_by(&keys).unwrap();
    assert_eq!(opened.len(), 2);
    assert_eq!(opened[1], (&keys[1], Verified { at_secs: Some(1_800_000_009) }));
    let nobody = [witness(9).verifier().clone()];
    assert_eq!(both.note().opened_by(&nobody), Err(NoteError::Unsigned));
}

#[test]
fn a_key_that_signs_again_has_one_line() {
    let signed = SignedCheckpoint::sign(&log(), head(7));
    let first = signed.cosign(&witness(2), Timestamp::from_millis(1_000));
    let second = signed.cosign(&witness(2), Timestamp::from_millis(2_000));
    let note = signed.with(first).with(second.clone());
    assert_eq!(note.note().signatures()[1..], [second]);
}

#[test]
fn a_bad_signature_of_a_known_key_spoils_the_note() {
    let signed = SignedCheckpoint::sign(&log(), head(7));
    let other = SignedCheckpoint::sign(&log(), head(8));
    let wrong = signed.clone().with(other.cosign(&witness(2), Timestamp::from_millis(0)));
    let keys = [log().verifier().clone(), witness(2).verifier().clone()];
    assert_eq!(wrong.note().opened_by(&keys[..1]).map(|opened| opened.len()), Ok(1));
    assert_eq!(wrong.note().opened_by(&keys), Err(NoteError::BadSignature(keys[1].name().clone())));
    assert_eq!(signed.signed_by(log().verifier()), Ok(()));
    let swapped = SignedNote::new(other.note().text().to_owned(), signed.note().signatures()[0].clone());
    assert_eq!(swapped.opened_by(&keys), Err(NoteError::BadSignature(keys[0].name().clone())));
}

#[test]
fn what_is_no_note_says_why() {
    let good = SignedCheckpoint::sign(&log(), head(7)).to_string();
    let line = good.lines().last().unwrap().to_owned();
    let many = format!("{good}{}", format!("{line}\n").repeat(NOTE_SIGNATURES));
    let long = format!("{}\n\n{line}\n", "x".repeat(NOTE_BYTES));
    let cases: [(&str, NoteError); 10] = [
        ("", NoteError::Form),
        ("text\n", NoteError::Form),
        (good.trim_end(), NoteError::Form),
        (&good.replace("kt/v1\n", "kt/v1\t\n"), NoteError::NotText),
        (&good.replace('\u{2014}', "-"), NoteError::Signature),
        (&good.replace("\u{2014} alpha", "\u{2014}  alpha"), NoteError::Signature),
        (&format!("{good}garbage\n"), NoteError::Signature),
        (&good.replace(line.split(' ').nth(2).unwrap(), "AAAAAA=="), NoteError::Signature),
        (&many, NoteError::TooManySignatures),
        (&long, NoteError::TooLong(long.len())),
    ];
    for (text, error) in &cases {
        assert_eq!(SignedNote::parse(text.as_bytes()).as_ref(), Err(error), "{text:?}");
    }
    assert_eq!(SignedNote::parse(b"\xff\n\n"), Err(NoteError::NotText));
}

#[test]
fn what_is_no_checkpoint_says_why() {
    let good = Checkpoint::new("alpha.test/kt/v1".parse().unwrap(), head(7)).to_text();
    let cases = [
        (good.replace("alpha", "al pha"), CheckpointError::Origin),
        (good.replace("\n7\n", "\n07\n"), CheckpointError::Size),
        (good.replace("\n7\n", "\n18446744073709551616\n"), CheckpointError::Size),
        (good.replace("\n7\n", "\n9223372036854775808\n"), CheckpointError::Size),
        (good.replace("=\n", "\n"), CheckpointError::Root),
        ("a\n7\nAAAA\n".to_owned(), CheckpointError::Root),
        ("a\n7\n".to_owned(), CheckpointError::Root),
        (format!("{good}\n"), CheckpointError::Extension),
        (String::new(), CheckpointError::Origin),
    ];
    for (text, error) in cases {
        assert_eq!(Checkpoint::parse(&text), Err(error), "{text:?}");
    }
    let extended = Checkpoint::parse(&format!("{good}one more\n")).unwrap();
    assert_eq!(extended.extensions, ["one more"]);
    assert_eq!(extended.to_text(), format!("{good}one more\n"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        if let Ok(note) = SignedNote::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), bytes);
        }
    }

    #[test]
    fn any_change_is_noticed(at: prop::sample::Index, bit in 0..8_u8) {
        let good = SignedCheckpoint::sign(&log(), head(7)).to_string();
        let mut bytes = good.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(read) = SignedCheckpoint::parse(&bytes) {
            prop_assert!(read.signed_by(log().verifier()).is_err());
        }
    }
}
