//! Proofs as files (C2SP tlog-proof).

use qpq_core::{Digest, Timestamp};
use qpq_transparency_tree::{leaf_hash, policy::Policy, proof_file::ProofFile};
use serde_json::{Value, json};

use super::{
    hex,
    notes::with_stray_bit,
    sample::{Person, SampleLog},
    trees::short_and_long,
    unread_text,
};

/// The proof of a first binding, in a log with three witnesses.
struct Sample {
    file: ProofFile,
    record: Vec<u8>,
    policy: Policy,
}

fn sample() -> Sample {
    let mut log = SampleLog::new(3);
    for (name, key) in [("alice", 7), ("bob", 9), ("carol", 5)] {
        Person::new(name, key).registers(&mut log);
    }
    let proven = log.proven(1);
    let keys: Vec<_> = log.witnesses.iter().map(|witness| witness.verifier().clone()).collect();
    let opening = proven.contents.as_ref().map(|(opening, _)| opening.as_bytes().to_vec());
    Sample {
        file: ProofFile {
            extra: opening,
            index: proven.index,
            inclusion: proven.inclusion,
            checkpoint: log.checkpoint(log.size()),
        },
        record: proven.entry.to_bytes().to_vec(),
        policy: Policy::of_log(log.signer.verifier().clone(), &keys),
    }
}

pub(crate) fn files() -> Value {
    let Sample { record, policy, .. } = sample();
    json!({
        "record": hex(&record),
        "policy": policy.to_string(),
        "files": sound(),
        "refused": refused(),
        "unread": unread(),
    })
}

fn sound() -> Vec<Value> {
    let Sample { file, record, policy } = sample();
    let plain = ProofFile { extra: None, ..file.clone() };
    let case = |name: &str, file: &ProofFile| {
        let accepted = file.verify(&leaf_hash(&record), &policy).unwrap();
        json!({
            "name": name,
            "file": file.to_string(),
            "extra": file.extra.as_deref().map(hex),
            "index": file.index,
            "cosignatures": accepted.cosignatures,
            "seen_by": accepted.seen_by.map(Timestamp::as_millis),
            "witnessed_at": accepted.witnessed_at.map(Timestamp::as_millis),
        })
    };
    vec![case("an entry with its opening beside it", &file), case("an entry alone", &plain)]
}

fn refused() -> Vec<Value> {
    let plain = ProofFile { extra: None, ..sample().file };
    let [short, long] = short_and_long(&plain.inclusion);
    let moved = ProofFile { index: 2, ..plain.clone() };
    let too_short = ProofFile { inclusion: short, ..plain.clone() };
    let too_long = ProofFile { inclusion: long, ..plain.clone() };
    let quiet = SampleLog::new(0).checkpoint(1);
    let quiet = ProofFile { index: 0, inclusion: vec![], checkpoint: quiet, ..plain };
    let case = |name: &str, file: &ProofFile, error: &str| json!({ "name": name, "file": file.to_string(), "error": error });
    vec![
        case("another place", &moved, "NotIncluded"),
        case("a hash short", &too_short, "NotIncluded"),
        case("a hash long", &too_long, "NotIncluded"),
        case("no witness signed", &quiet, "Policy"),
    ]
}

fn unread() -> Vec<Value> {
    let checkpoint = SampleLog::new(0).checkpoint(1);
    let file =
        ProofFile { extra: Some(b"more".to_vec()), index: 1, inclusion: vec![Digest::ZERO], checkpoint };
    let good = file.to_string();
    let hash = good.lines().nth(3).unwrap();
    vec![
        unread_text("nothing", "", "Header"),
        unread_text("a later version", &good.replace("@v1", "@v2"), "Header"),
        unread_text(
            "extra data with a stray bit",
            &good.replace("extra bW9yZQ==", "extra bW9yZR=="),
            "Extra",
        ),
        unread_text("no index", &good.replace("index 1\n", ""), "Index"),
        unread_text("an index with a zero before", &good.replace("index 1", "index 01"), "Index"),
        unread_text("a hash of three bytes", &good.replace(hash, "AAAA"), "Inclusion"),
        unread_text("a hash with a stray bit", &good.replace(hash, &with_stray_bit(hash)), "Inclusion"),
        unread_text("no checkpoint", "c2sp.org/tlog-proof@v1\nindex 1\n\n", "Checkpoint"),
    ]
}
