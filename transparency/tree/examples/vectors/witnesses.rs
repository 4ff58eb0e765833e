//! What a witness is asked, and what it answers (C2SP tlog-witness).

use ed25519_dalek::SigningKey;
use qpq_core::Digest;
use qpq_transparency_tree::{
    LogSigner, SignedCheckpoint, TreeHead,
    witness::{AddCheckpoint, WitnessRefusal},
};
use serde_json::{Value, json};

use super::{
    head as described_head,
    notes::{cosigned, head, log, with_stray_bit},
    trees::{consistency_path, short_and_long},
    unread_text,
};

fn ask(old_size: u64, new: u64) -> AddCheckpoint {
    AddCheckpoint { old_size, proof: consistency_path(old_size, new), checkpoint: cosigned(new, &[]) }
}

pub(crate) fn requests() -> Value {
    json!({ "accepted": accepted(), "refused": refused(), "unread": unread() })
}

fn asked(name: &str, request: &AddCheckpoint, key: &LogSigner, last: Option<TreeHead>) -> Value {
    json!({
        "name": name,
        "body": request.to_string(),
        "key": key.verifier().to_string(),
        "last": last.map(described_head),
    })
}

fn accepted() -> Vec<Value> {
    let cases = [
        ("the first checkpoint", ask(0, 3), None),
        ("the log has grown", ask(3, 7), Some(head(3))),
        ("from a full subtree", ask(4, 8), Some(head(4))),
        ("the same again", ask(7, 7), Some(head(7))),
        ("a log without entries", ask(0, 0), None),
    ];
    let case = |(name, request, last): &(&str, AddCheckpoint, Option<TreeHead>)| {
        let mut case = asked(name, request, &log(1), *last);
        case["next"] = described_head(request.judge(log(1).verifier(), *last).unwrap());
        case
    };
    cases.iter().map(case).collect()
}

fn refused() -> Vec<Value> {
    let beta = LogSigner::new("beta.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
    let grown = ask(4, 8);
    let [short, long] = short_and_long(&grown.proof).map(|proof| AddCheckpoint { proof, ..grown.clone() });
    let forked_head = TreeHead { root: Digest::of(&[b"another history"]), ..head(7) };
    let forked = AddCheckpoint { checkpoint: SignedCheckpoint::sign(&log(1), forked_head), ..ask(7, 7) };
    let cases = [
        ("a log that is not followed", &grown, &beta, Some(head(4))),
        ("another key of the log's name", &grown, &log(66), Some(head(4))),
        ("nothing was cosigned", &grown, &log(1), None),
        ("two roots of one size", &forked, &log(1), Some(head(7))),
        ("an old head of another history", &grown, &log(1), Some(TreeHead { root: Digest::ZERO, ..head(4) })),
        ("a hash short", &short, &log(1), Some(head(4))),
        ("a hash long", &long, &log(1), Some(head(4))),
    ];
    cases.map(|(name, request, key, last)| refusal(name, request, key, last)).to_vec()
}

fn refusal(name: &str, request: &AddCheckpoint, key: &LogSigner, last: Option<TreeHead>) -> Value {
    let refusal = request.judge(key.verifier(), last).unwrap_err();
    let (error, size) = match refusal {
        WitnessRefusal::UnknownOrigin => ("UnknownOrigin", None),
        WitnessRefusal::Untrusted => ("Untrusted", None),
        WitnessRefusal::Conflict { size } => ("Conflict", Some(size)),
        WitnessRefusal::Fork { size } => ("Fork", Some(size)),
        WitnessRefusal::Inconsistent => ("Inconsistent", None),
        WitnessRefusal::Malformed(_) => panic!("`{name}` was never read"),
    };
    let mut case = asked(name, request, key, last);
    case["error"] = error.into();
    case["status"] = refusal.status().into();
    case["size"] = size.into();
    case
}

fn unread() -> Vec<Value> {
    let good = ask(4, 8).to_string();
    let hash = good.lines().nth(1).unwrap();
    vec![
        unread_text("nothing", "", "OldSize"),
        unread_text("another first word", &good.replace("old 4", "new 4"), "OldSize"),
        unread_text("a size with a zero before", &good.replace("old 4", "old 04"), "OldSize"),
        unread_text("a size of 2^63", &good.replace("old 4", "old 9223372036854775808"), "OldSize"),
        unread_text("a hash of three bytes", &good.replace(hash, "AAAA"), "Hash"),
        unread_text("a hash with a stray bit", &good.replace(hash, &with_stray_bit(hash)), "Hash"),
        unread_text("no empty line", "old 4\n", "Hash"),
        unread_text("no checkpoint", "old 4\n\n", "Checkpoint"),
        unread_text("back to a smaller tree", &good.replace("old 4", "old 9"), "Backwards"),
    ]
}
