//! What is text: keys, notes, checkpoints, policies, proof files, requests to witnesses, evidence.

use qpq_core::Timestamp;
use qpq_transparency_tree::{
    SignedCheckpoint, SignedNote, VerifierKey,
    evidence::SplitView,
    key::Verified,
    leaf_hash,
    note::NoteError,
    policy::{Accepted, Level, Policy},
    proof_file::ProofFile,
    witness::{AddCheckpoint, WitnessRefusal},
};
use serde_json::Value;

use crate::read::{
    array, bytes, digest, each, field, head, list, number, parsed, parts, refused, text, there, time, unhex,
};

#[test]
fn keys_notes_and_checkpoints_are_read_and_opened() {
    let names = [
        "keys",
        "unread_keys",
        "notes",
        "unopened_notes",
        "unread_notes",
        "checkpoints",
        "unread_checkpoints",
    ];
    let [keys, unread_keys, notes, unopened, unread_notes, checkpoints, unread_checkpoints] =
        parts("notes.json", names);
    each(&keys).iter().for_each(key);
    for vector in each(&unread_keys) {
        refused(vector, text(vector, "text").parse::<VerifierKey>());
    }
    each(&notes).iter().for_each(note);
    for vector in each(&unopened) {
        let note = SignedNote::parse(text(vector, "note").as_bytes()).unwrap();
        refused(vector, note.opened_by(&known_keys(vector)));
    }
    for vector in each(&unread_notes) {
        let before = vector.get("x_before").map_or(0, |_| number(vector, "x_before"));
        let whole = format!("{}{}", "x".repeat(before), text(vector, "text"));
        refused(vector, SignedNote::parse(whole.as_bytes()));
    }
    each(&checkpoints).iter().for_each(checkpoint);
    for vector in each(&unread_checkpoints) {
        refused(vector, SignedCheckpoint::parse(text(vector, "text").as_bytes()));
    }
}

fn key(vector: &Value) {
    let key: VerifierKey = parsed(vector, "vkey");
    assert_eq!(key.to_string(), text(vector, "vkey"));
    assert_eq!(key.name().as_str(), text(vector, "name"));
    assert_eq!(format!("{:08x}", key.id()), text(vector, "id"));
    assert_eq!((key.algorithm().number(), *key.public()), (number(vector, "type"), array(vector, "public")));
}

fn known_keys(vector: &Value) -> Vec<VerifierKey> {
    list(vector, "keys").iter().map(|key| key.as_str().unwrap().parse().unwrap()).collect()
}

fn note(vector: &Value) {
    let note = SignedNote::parse(text(vector, "note").as_bytes()).unwrap();
    assert_eq!(note.to_string(), text(vector, "note"));
    assert_eq!(note.text(), text(vector, "text"));
    let keys = known_keys(vector);
    let opened: Vec<(VerifierKey, Verified)> =
        note.opened_by(&keys).unwrap().into_iter().map(|(key, verified)| (key.clone(), verified)).collect();
    let signer = |signer: &Value| {
        (parsed::<VerifierKey>(signer, "key"), Verified { at_secs: there(signer, "at_secs", number) })
    };
    let signers: Vec<(VerifierKey, Verified)> = list(vector, "signers").iter().map(signer).collect();
    assert_eq!(opened, signers, "{}", text(vector, "name"));
}

fn checkpoint(vector: &Value) {
    let signed = SignedCheckpoint::parse(text(vector, "note").as_bytes()).unwrap();
    assert_eq!(signed.to_string(), text(vector, "note"));
    let said = signed.checkpoint();
    assert_eq!(said.to_text(), signed.note().text());
    assert_eq!(said.origin.as_str(), text(vector, "origin"));
    assert_eq!((said.head.size, said.head.root), (number(vector, "size"), digest(vector, "root")));
    assert_eq!(said.extensions, list(vector, "extensions"));
    assert_eq!(signed.signed_by(&parsed(vector, "key")), Ok::<(), NoteError>(()));
}

#[test]
fn policies_accept_and_refuse() {
    let [levels, policies, unread] = parts("policies.json", ["levels", "policies", "unread"]);
    for vector in each(&levels) {
        let witnesses = number(vector, "witnesses");
        assert_eq!(Level::of(witnesses).word(), text(vector, "level"));
        assert_eq!(Level::needed(witnesses), number::<usize>(vector, "needed"));
    }
    for vector in each(&policies) {
        let policy: Policy = parsed(vector, "policy");
        assert_eq!(policy.to_string().parse(), Ok(policy.clone()));
        for judged in list(vector, "checkpoints") {
            let checkpoint = SignedCheckpoint::parse(text(judged, "checkpoint").as_bytes()).unwrap();
            let accepted = policy.accepts(&checkpoint);
            match judged.get("error") {
                Some(_) => refused(judged, accepted),
                None => assert_eq!(accepted.unwrap(), acceptance(judged), "{}", text(judged, "name")),
            }
        }
    }
    for vector in each(&unread) {
        let error = text(vector, "text").parse::<Policy>().unwrap_err();
        assert_eq!(error.line, number::<usize>(vector, "line"), "{}", text(vector, "name"));
        refused::<(), _>(vector, Err(error.reason));
    }
}

fn acceptance(vector: &Value) -> Accepted {
    let witnessed_at = there(vector, "witnessed_at", time);
    assert_ne!(witnessed_at, Some(Timestamp::from_millis(0)));
    let seen_by = there(vector, "seen_by", time);
    Accepted { witnessed_at, seen_by, cosignatures: number(vector, "cosignatures") }
}

#[test]
fn proof_files_prove_what_they_say() {
    let names = ["record", "policy", "files", "refused", "unread"];
    let [record, policy, files, wrong, unread] = parts("proof_files.json", names);
    let leaf = leaf_hash(&unhex(record.as_str().unwrap()));
    let policy: Policy = policy.as_str().unwrap().parse().unwrap();
    let read = |vector: &Value| ProofFile::parse(text(vector, "file").as_bytes()).unwrap();
    for vector in each(&files) {
        let file = read(vector);
        assert_eq!(file.to_string(), text(vector, "file"));
        assert_eq!(file.extra, there(vector, "extra", bytes));
        assert_eq!(file.index, number::<u64>(vector, "index"));
        assert_eq!(file.verify(&leaf, &policy), Ok(acceptance(vector)));
        assert!(file.verify(&leaf_hash(b"another record"), &policy).is_err());
    }
    for vector in each(&wrong) {
        refused(vector, read(vector).verify(&leaf, &policy));
    }
    for vector in each(&unread) {
        refused(vector, ProofFile::parse(text(vector, "text").as_bytes()));
    }
}

#[test]
fn evidence_is_judged_by_the_logs_key() {
    let [sound, wrong, unread] = parts("evidence.json", ["evidence", "refused", "unread"]);
    let judged = |vector: &Value| {
        let found = SplitView::parse(text(vector, "text").as_bytes()).unwrap();
        assert_eq!(found.to_string(), text(vector, "text"));
        found.judge(&parsed(vector, "key"))
    };
    for vector in each(&sound) {
        assert_eq!(judged(vector), Ok(()), "{}", text(vector, "name"));
    }
    for vector in each(&wrong) {
        refused(vector, judged(vector));
    }
    for vector in each(&unread) {
        refused(vector, SplitView::parse(text(vector, "text").as_bytes()));
    }
}

#[test]
fn witnesses_sign_what_continues_their_head() {
    let [accepted, wrong, unread] = parts("add_checkpoint.json", ["accepted", "refused", "unread"]);
    let judged = |vector: &Value| {
        let request = AddCheckpoint::parse(text(vector, "body").as_bytes()).unwrap();
        assert_eq!(request.to_string(), text(vector, "body"));
        request.judge(&parsed(vector, "key"), there(vector, "last", head))
    };
    for vector in each(&accepted) {
        assert_eq!(judged(vector), Ok(head(vector, "next")), "{}", text(vector, "name"));
    }
    for vector in each(&wrong) {
        let refusal = judged(vector).unwrap_err();
        assert_eq!(refusal.status(), number::<u16>(vector, "status"));
        if let WitnessRefusal::Conflict { size } | WitnessRefusal::Fork { size } = refusal {
            assert_eq!(size, number::<u64>(vector, "size"));
        } else {
            assert!(field(vector, "size").is_null());
        }
        refused::<(), _>(vector, Err(refusal));
    }
    for vector in each(&unread) {
        let error = AddCheckpoint::parse(text(vector, "text").as_bytes()).unwrap_err();
        assert_eq!(WitnessRefusal::from(error.clone()).status(), 400);
        refused::<(), _>(vector, Err(error));
    }
}
