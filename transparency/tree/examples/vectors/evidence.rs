//! Evidence that a log has two histories.

use qpq_core::Digest;
use qpq_transparency_tree::{
    LogSigner, SignedCheckpoint, TreeHead,
    evidence::{EvidenceError, SplitView},
};
use serde_json::{Value, json};

use super::{
    notes::{cosigned, head, log, with_stray_bit},
    trees::{consistency_path, root_of, short_and_long},
    unread_text,
};

/// What the log signed of another history.
fn forked(size: u64) -> SignedCheckpoint {
    SignedCheckpoint::sign(&log(1), TreeHead { root: Digest::of(&[b"another history"]), ..head(size) })
}

fn against(first: SignedCheckpoint, second: u64) -> SplitView {
    let size = first.head().size;
    let (prefix_root, proof) = (root_of(size), consistency_path(size, second));
    SplitView { first, second: cosigned(second, &[]), prefix_root, proof }
}

pub(crate) fn evidence() -> Value {
    json!({ "evidence": sound(), "refused": refused(), "unread": unread() })
}

fn described(name: &str, found: &SplitView, key: &LogSigner) -> Value {
    json!({ "name": name, "key": key.verifier().to_string(), "text": found.to_string() })
}

fn sound() -> Vec<Value> {
    let cases = [
        ("the larger tree begins otherwise", against(forked(3), 7)),
        ("the smaller size is a power of two", against(forked(4), 7)),
        ("two roots of one size", against(forked(7), 7)),
        ("an empty tree with a root that is none", against(forked(0), 7)),
    ];
    let case = |(name, found): &(&str, SplitView)| {
        found.judge(log(1).verifier()).unwrap();
        described(name, found, &log(1))
    };
    cases.iter().map(case).collect()
}

fn refused() -> Vec<Value> {
    let good = against(forked(3), 7);
    let [short, long] = short_and_long(&good.proof).map(|proof| SplitView { proof, ..good.clone() });
    let turned = SplitView { first: good.second.clone(), second: good.first.clone(), ..good.clone() };
    let made_up = SplitView { prefix_root: Digest::ZERO, ..good.clone() };
    let framed = SplitView { prefix_root: Digest::ZERO, ..against(cosigned(0, &[]), 7) };
    let cases = [
        ("another key of the log's name", &good, log(66)),
        ("the larger tree first", &turned, log(1)),
        ("a hash short", &short, log(1)),
        ("a hash long", &long, log(1)),
        ("a beginning that is not shown", &made_up, log(1)),
        ("another root of nothing than the one there is", &framed, log(1)),
        ("one history", &against(cosigned(3, &[]), 7), log(1)),
    ];
    cases.map(|(name, found, key)| refusal(name, found, &key)).to_vec()
}

fn refusal(name: &str, found: &SplitView, key: &LogSigner) -> Value {
    let error = match found.judge(key.verifier()).unwrap_err() {
        EvidenceError::Unsigned(_) => "Unsigned",
        EvidenceError::Order { .. } => "Order",
        EvidenceError::Unproven => "Unproven",
        EvidenceError::OneHistory => "OneHistory",
    };
    let mut case = described(name, found, key);
    case["error"] = error.into();
    case
}

fn unread() -> Vec<Value> {
    let good = against(forked(3), 7).to_string();
    let [length, prefix, hash] = [1, 2, 3].map(|line| good.lines().nth(line).unwrap());
    vec![
        unread_text("nothing", "", "Header"),
        unread_text("a later version", &good.replace("view/v1", "view/v2"), "Header"),
        unread_text("a length with a zero before", &good.replace("first ", "first 0"), "First"),
        unread_text("a note longer than all", &good.replace(length, "first 30000"), "First"),
        unread_text("a note that is cut", &good.replace(length, "first 100"), "Checkpoint"),
        unread_text("no prefix", &good.replace(&format!("{prefix}\n"), ""), "Prefix"),
        unread_text("a hash of three bytes", &good.replace(hash, "AAAA"), "Proof"),
        unread_text("a hash with a stray bit", &good.replace(hash, &with_stray_bit(hash)), "Proof"),
    ]
}
