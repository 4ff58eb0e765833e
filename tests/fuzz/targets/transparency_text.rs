//! What a log, a witness or a monitor sends as text: what is read is written the same, and a signature is for one text.
//!
//! The first byte says who reads.
#![no_main]

use std::{fmt::Display, str::FromStr, sync::LazyLock};

use ed25519_dalek::SigningKey;
use libfuzzer_sys::fuzz_target;
use qpq_fuzz::{seeds, vectors};
use qpq_transparency_tree::{
    KeyName, LogSigner, SignedCheckpoint, SignedNote, TreeHead, VerifierKey, WitnessSigner,
    checkpoint::Checkpoint,
    evidence::SplitView,
    label::Label,
    policy::{Level, Policy},
    proof_file::ProofFile,
    tile::TilePath,
    witness::AddCheckpoint,
};

/// Name, reader, and where the vectors have something for it.
const READERS: [(&str, fn(&str), &str, &str); 10] = [
    ("note", note, "notes.json", "/notes/1/note"),
    ("checkpoint", checkpoint, "policies.json", "/policies/1/checkpoints/0/checkpoint"),
    ("vkey", same::<VerifierKey>, "notes.json", "/keys/2/vkey"),
    ("policy", policy, "policies.json", "/policies/2/policy"),
    ("add_checkpoint", add_checkpoint, "add_checkpoint.json", "/accepted/1/body"),
    ("proof_file", proof_file, "proof_files.json", "/files/0/file"),
    ("tile_path", same::<TilePath>, "tiles.json", "/paths/4/path"),
    ("label", same::<Label>, "labels.json", "/labels/2/label"),
    ("name", name, "claims.json", "/claims/0/origin"),
    ("evidence", evidence, "evidence.json", "/evidence/0/text"),
];

/// The log of the vectors, and its three witnesses.
static LOG: LazyLock<VerifierKey> = LazyLock::new(|| {
    let name = "alpha.test/kt/v1".parse().expect("a name");
    LogSigner::new(name, SigningKey::from_bytes(&[1; 32])).verifier().clone()
});
static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::of_log(LOG.clone(), &[1, 2, 3].map(witness)));

/// A checkpoint with the log's name and the signature of somebody who is nobody's log.
static UNSIGNED: LazyLock<SignedCheckpoint> = LazyLock::new(|| {
    let stranger = LogSigner::new(LOG.name().clone(), SigningKey::from_bytes(&[66; 32]));
    SignedCheckpoint::sign(&stranger, TreeHead { size: 0, root: qpq_transparency_tree::root(&[]) })
});

fn witness(n: u8) -> VerifierKey {
    let name = format!("w{n}.test/kt-witness/v1").parse().expect("a name");
    WitnessSigner::new(name, SigningKey::from_bytes(&[100 + n; 32])).verifier().clone()
}

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    let Some((reader, bytes)) = bytes.split_first() else { return };
    let (_, read, ..) = READERS[usize::from(*reader) % READERS.len()];
    match std::str::from_utf8(bytes) {
        Ok(text) => read(text),
        Err(_) => not_text(bytes),
    }
});

fn not_text(bytes: &[u8]) {
    assert!(SignedNote::parse(bytes).is_err());
    assert!(AddCheckpoint::parse(bytes).is_err());
    assert!(ProofFile::parse(bytes).is_err());
    assert!(SplitView::parse(bytes).is_err());
}

fn same<T: FromStr + Display>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        assert_eq!(read.to_string(), text);
    }
}

fn name(text: &str) {
    same::<KeyName>(text);
    if let Some(domain) = text.parse::<KeyName>().ok().and_then(|name| name.domain()) {
        assert!(
            [KeyName::of_log(&domain), KeyName::of_witness(&domain)].iter().any(|name| name.as_str() == text)
        );
    }
}

fn note(text: &str) {
    let Ok(note) = SignedNote::parse(text.as_bytes()) else { return };
    assert_eq!(note.to_string(), text);
    if note.opened_by(std::slice::from_ref(&LOG)).is_ok() {
        let other = SignedNote::parse(format!("x{text}").as_bytes());
        assert!(
            other.is_err() || other.is_ok_and(|other| other.opened_by(std::slice::from_ref(&LOG)).is_err())
        );
    }
}

fn checkpoint(text: &str) {
    if let Ok(signed) = SignedCheckpoint::parse(text.as_bytes()) {
        assert_eq!(signed.to_string(), text);
        judged(&signed);
    }
    if let Ok(unsigned) = Checkpoint::parse(text) {
        assert_eq!(unsigned.to_text().trim_end_matches('\n'), text.trim_end_matches('\n'));
    }
}

/// What the policy accepts is signed by the log and by two of its witnesses, and only as it is.
fn judged(signed: &SignedCheckpoint) {
    assert_eq!(signed.checkpoint().to_text(), signed.note().text());
    let Ok(accepted) = POLICY.accepts(signed) else { return };
    assert_eq!(signed.signed_by(&LOG), Ok(()));
    assert!((Level::needed(3)..=3).contains(&accepted.cosignatures) && accepted.witnessed_at.is_some());
    let note = signed.to_string();
    let (text, signatures) = note.split_at(signed.note().text().len());
    let longer = SignedCheckpoint::parse(format!("{text}more\n{signatures}").as_bytes());
    assert!(longer.is_err() || longer.is_ok_and(|longer| POLICY.accepts(&longer).is_err()));
}

fn policy(text: &str) {
    let Ok(policy) = text.parse::<Policy>() else { return };
    assert_eq!(policy.to_string().parse::<Policy>().as_ref(), Ok(&policy));
    let logs = policy.logs().iter().filter(|log| *log.name() == *LOG.name());
    // Nobody has signed this one.
    assert!(logs.count() == 0 || policy.accepts(&UNSIGNED).is_err());
}

fn add_checkpoint(text: &str) {
    let Ok(request) = AddCheckpoint::parse(text.as_bytes()) else { return };
    assert_eq!(request.to_string(), text);
    if let Ok(next) = request.judge(&LOG, None) {
        assert_eq!((next, request.old_size), (request.checkpoint.head(), 0));
        assert_eq!(request.judge(&LOG, Some(next)).is_ok(), next.size == 0);
    }
}

fn proof_file(text: &str) {
    let Ok(file) = ProofFile::parse(text.as_bytes()) else { return };
    assert_eq!(file.to_string(), text);
    judged(&file.checkpoint);
}

/// What shows two histories of the log is signed by it twice, and is found again from what it consists of.
fn evidence(text: &str) {
    let Ok(found) = SplitView::parse(text.as_bytes()) else { return };
    assert_eq!(found.to_string(), text);
    if found.judge(&LOG).is_ok() {
        let SplitView { first, second, prefix_root, proof } = &found;
        assert_eq!((first.signed_by(&LOG), second.signed_by(&LOG)), (Ok(()), Ok(())));
        assert_ne!(first.head(), second.head());
        let again = SplitView::with_prefix(&LOG, first, second, *prefix_root, proof);
        assert_eq!(again.as_ref(), Some(&found));
    }
}

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let seed = |(reader, (name, _, file, place)): (u8, &(&'static str, _, &str, &str))| {
        (*name, [&[reader], vectors::text(file, place).as_bytes()].concat())
    };
    (0..).zip(&READERS).map(seed).collect()
}
