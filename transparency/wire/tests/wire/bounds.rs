//! What an answer may not be, field by field, and the largest that it may be.

use qpq_core::Digest;
use qpq_schemas::transparency_capnp::{lookup_answer, proven_entry, reset_evidence};
use qpq_transparency_tree::{
    LONGEST_PATH, SignedCheckpoint,
    key::{Algorithm, VerifierKey},
    lookup::{LOOKUP_LINKS, ResetEvidence},
    name::NAME_BYTES,
    note::NOTE_BYTES,
};
use qpq_transparency_wire::{KEY_TEXT_BYTES, LOGGED_VALUE_BYTES, LOOKUP_RESETS};

use crate::samples::{FULL, Message, lookup, told};

type Change = fn(lookup_answer::Builder<'_>);

/// What is said of an answer after a change.
fn refusal(change: Change) -> String {
    let mut message = lookup(&FULL);
    change(message.get_root().unwrap());
    told(&message).map_or_else(|error| error.to_string(), |_| "taken".to_owned())
}

fn are_refused(cases: &[(Change, &str)]) {
    for (change, expected) in cases {
        assert_eq!(refusal(*change), *expected);
    }
}

fn latest(answer: lookup_answer::Builder<'_>) -> proven_entry::Builder<'_> {
    answer.get_latest().unwrap()
}

fn reset(answer: lookup_answer::Builder<'_>) -> reset_evidence::Builder<'_> {
    answer.get_resets().unwrap().get(0)
}

/// A checkpoint of so many bytes, nearly all of it a further line of its text.
fn note(bytes: usize) -> String {
    let text = FULL.answer.evidence.checkpoint.to_string();
    let (checkpoint, signatures) = text.split_once("\n\n").unwrap();
    format!("{checkpoint}\n{}\n\n{signatures}", "x".repeat(bytes - text.len() - 1))
}

#[test]
fn fields_of_one_length_have_it() {
    are_refused(&[
        (|mut a| a.set_claim_signature(&[0; 63]), "`claimSignature` has 63 bytes, not 64"),
        (|mut a| a.set_claim_signature(&[0; 65]), "`claimSignature` has 65 bytes, not 64"),
        (|mut a| a.set_vrf_proof(&[0; 79]), "`vrfProof` has 79 bytes, not 80"),
        (|mut a| a.set_vrf_proof(&[0; 81]), "`vrfProof` has 81 bytes, not 80"),
        (|a| latest(a).set_entry(&[1; 109]), "`latest.entry` can't be read: an entry has 110 bytes, not 109"),
        (|a| latest(a).set_entry(&[1; 111]), "`latest.entry` can't be read: an entry has 110 bytes, not 111"),
        (|a| latest(a).set_opening(&[0; 15]), "`latest.opening` has 15 bytes, not 16"),
        (|a| latest(a).set_opening(&[0; 17]), "`latest.opening` has 17 bytes, not 16"),
    ]);
}

#[test]
fn fields_with_rules_of_their_own_keep_them() {
    are_refused(&[
        (|mut a| a.set_claim(&[0; 3]), "`claim` can't be read: the bytes end in the middle"),
        (
            |mut a| a.set_log_key("alpha.test/kt/v1"),
            "`logKey` can't be read: a verifier key is written `name+hex id+base64`",
        ),
        (
            |mut a| a.set_note("alpha"),
            "`note` can't be read: the note has no text, or no signatures below an empty line",
        ),
        (
            |a| reset(a).set_seen("beta"),
            "`resets.seen` can't be read: the note has no text, or no signatures below an empty line",
        ),
        (|a| latest(a).set_opening(&[]), "`latest.value` is there without its opening"),
    ]);
}

#[test]
fn texts_are_utf8() {
    are_refused(&[
        (|a| bend(a.get_note().unwrap()), "`note` is not UTF-8"),
        (|a| bend(a.get_log_key().unwrap()), "`logKey` is not UTF-8"),
        (|a| bend(reset(a).get_seen().unwrap()), "`resets.seen` is not UTF-8"),
    ]);
}

fn bend(text: capnp::text::Builder<'_>) {
    text.as_bytes_mut()[0] = 0xff;
}

#[test]
fn lists_of_hashes_are_whole_and_short() {
    are_refused(&[
        (|mut a| a.set_consistency(&[0; 33]), "`consistency` has 33 bytes, which is no multiple of 32"),
        (|mut a| a.set_consistency(&[0; 65 * 32]), "`consistency` has 65 items, 64 are allowed"),
        (
            |a| latest(a).set_inclusion(&[0; 31]),
            "`latest.inclusion` has 31 bytes, which is no multiple of 32",
        ),
        (|a| latest(a).set_inclusion(&[0; 65 * 32]), "`latest.inclusion` has 65 items, 64 are allowed"),
        (
            |a| reset(a).set_seen_inclusion(&[0; 1]),
            "`resets.seenInclusion` has 1 bytes, which is no multiple of 32",
        ),
        (
            |a| reset(a).set_seen_inclusion(&[0; 65 * 32]),
            "`resets.seenInclusion` has 65 items, 64 are allowed",
        ),
        (
            |a| reset(a).set_consistency(&[0; 63]),
            "`resets.consistency` has 63 bytes, which is no multiple of 32",
        ),
        (|a| reset(a).set_consistency(&[0; 65 * 32]), "`resets.consistency` has 65 items, 64 are allowed"),
    ]);
}

#[test]
fn notes_keys_and_values_have_a_limit() {
    are_refused(&[
        (|mut a| a.set_note(note(NOTE_BYTES + 1)), "`note` has 16001 bytes, 16000 are allowed"),
        (|a| reset(a).set_seen(note(NOTE_BYTES + 1)), "`resets.seen` has 16001 bytes, 16000 are allowed"),
        (|mut a| a.set_log_key("x".repeat(355)), "`logKey` has 355 bytes, 354 are allowed"),
        (
            |a| latest(a).set_value(&[0; LOGGED_VALUE_BYTES + 1]),
            "`latest.value` has 16001 bytes, 16000 are allowed",
        ),
    ]);
}

#[test]
fn lists_have_a_limit() {
    are_refused(&[
        (
            |a| {
                a.init_links(33);
            },
            "`links` has 33 items, 32 are allowed",
        ),
        (
            |a| {
                a.init_resets(34);
            },
            "`resets` has 34 items, 33 are allowed",
        ),
    ]);
}

#[test]
fn the_same_holds_in_every_part_and_says_where() {
    are_refused(&[
        (|a| a.get_config().unwrap().set_opening(&[0; 1]), "`config.opening` has 1 bytes, not 16"),
        (|a| a.get_base().unwrap().set_opening(&[0; 1]), "`base.opening` has 1 bytes, not 16"),
        (|a| a.get_links().unwrap().get(0).set_opening(&[0; 1]), "`links.opening` has 1 bytes, not 16"),
        (
            |a| reset(a).get_pending().unwrap().set_opening(&[0; 1]),
            "`resets.pending.opening` has 1 bytes, not 16",
        ),
    ]);
}

#[test]
fn what_is_missing_is_refused_unless_it_may_be() {
    let mut message = Message::new_default();
    message.init_root::<lookup_answer::Builder<'_>>();
    assert!(told(&message).is_err());
    are_refused(&[(
        |a| {
            a.init_latest();
        },
        "`latest.entry` can't be read: an entry has 110 bytes, not 0",
    )]);
}

#[test]
fn a_message_of_another_form_is_refused() {
    let mut message = Message::new_default();
    message.set_root("only a text").unwrap();
    let error = told(&message).unwrap_err();
    assert!(error.to_string().starts_with("the message can't be read as the schema says: "), "{error}");
}

#[test]
fn the_largest_answer_is_read() {
    let mut told_most = FULL.clone();
    let name = "x".repeat(NAME_BYTES).parse().unwrap();
    told_most.log_key = VerifierKey::new(name, Algorithm::Ed25519, *FULL.log_key.public()).unwrap();
    assert_eq!(told_most.log_key.to_string().len(), KEY_TEXT_BYTES);
    let path = vec![Digest::from_bytes([9; 32]); LONGEST_PATH];
    let checkpoint = SignedCheckpoint::parse(note(NOTE_BYTES).as_bytes()).unwrap();
    let answer = &mut told_most.answer;
    answer.evidence.checkpoint = checkpoint.clone();
    answer.evidence.consistency.clone_from(&path);
    let mut proven = answer.latest.clone().unwrap();
    proven.inclusion.clone_from(&path);
    proven.contents = proven.contents.map(|(opening, _)| (opening, vec![7; LOGGED_VALUE_BYTES]));
    answer.evidence.config = Some(proven.clone());
    answer.latest = Some(proven.clone());
    answer.base = Some(proven.clone());
    answer.links = vec![proven.clone(); LOOKUP_LINKS];
    let reset = ResetEvidence {
        pending: proven,
        seen: checkpoint,
        seen_inclusion: path.clone(),
        consistency: path,
        config: None,
    };
    answer.resets = vec![reset; LOOKUP_RESETS];
    assert_eq!(told(&lookup(&told_most)).unwrap(), told_most);
}
