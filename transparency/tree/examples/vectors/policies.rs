//! Policies, and what they say about checkpoints (C2SP tlog-policy).

use ed25519_dalek::SigningKey;
use qpq_core::Timestamp;
use qpq_transparency_tree::{
    LogSigner, SignedCheckpoint,
    policy::{Level, Policy, PolicyRefusal},
};
use serde_json::{Value, json};

use super::{
    notes::{cosigned, head, log},
    sample::{START, witness},
};

pub(crate) fn policies() -> Value {
    json!({ "levels": levels(), "policies": [alone(), majority(), two_levels()], "unread": unread() })
}

fn levels() -> Vec<Value> {
    let level = |witnesses: usize| {
        json!({
            "witnesses": witnesses,
            "needed": Level::needed(witnesses),
            "level": Level::of(witnesses).word(),
        })
    };
    (0..=6).map(level).collect()
}

fn of_log(witnesses: &[u8]) -> Policy {
    let keys: Vec<_> = witnesses.iter().map(|n| witness(*n).verifier().clone()).collect();
    Policy::of_log(log(1).verifier().clone(), &keys)
}

fn alone() -> Value {
    let beta = LogSigner::new("beta.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
    let cases = [
        ("the log's word is enough", cosigned(7, &[])),
        ("another log", SignedCheckpoint::sign(&beta, head(7))),
        ("another key of the log's name", SignedCheckpoint::sign(&log(66), head(7))),
    ];
    judged("a log without witnesses", &of_log(&[]).to_string(), &cases)
}

fn majority() -> Value {
    let spoiled = cosigned(7, &[1, 2]).with(cosigned(8, &[]).cosign(&witness(3), START));
    let cases = [
        ("as old as the second latest of three", cosigned(7, &[1, 2, 3])),
        ("two of three", cosigned(7, &[3, 1])),
        ("one of three", cosigned(7, &[2])),
        ("two of three, and a bad signature of the third", spoiled),
    ];
    judged("a majority of three", &of_log(&[1, 2, 3]).to_string(), &cases)
}

/// The example of the specification: two of three, and one of three others.
fn two_levels() -> Value {
    let mut lines =
        vec!["# two operators".to_owned(), format!("\tlog {}  https://alpha.test/kt", log(1).verifier())];
    lines.extend((1..=6).map(|n| format!("witness w{n} {}", witness(n).verifier())));
    lines.extend(
        ["group X 2 w1 w2 w3", "", "group Y any w4 w5 w6", "group both all X Y", "quorum both"]
            .map(Into::into),
    );
    let cases = [
        ("two of the first and one of the second", cosigned(7, &[1, 2, 4])),
        ("all of the first, none of the second", cosigned(7, &[1, 2, 3])),
        ("one of the first, all of the second", cosigned(7, &[1, 4, 5, 6])),
    ];
    judged("groups of groups", &format!("{}\n", lines.join("\n")), &cases)
}

fn judged(name: &str, text: &str, cases: &[(&str, SignedCheckpoint)]) -> Value {
    let policy: Policy = text.parse().unwrap();
    let case = |(name, checkpoint): &(&str, SignedCheckpoint)| {
        let mut case = json!({ "name": name, "checkpoint": checkpoint.to_string() });
        match policy.accepts(checkpoint) {
            Ok(accepted) => {
                case["cosignatures"] = accepted.cosignatures.into();
                case["seen_by"] = accepted.seen_by.map(Timestamp::as_millis).into();
                case["witnessed_at"] = accepted.witnessed_at.map(Timestamp::as_millis).into();
            }
            Err(PolicyRefusal::Note(_)) => case["error"] = "Note".into(),
            Err(PolicyRefusal::UnknownLog(_)) => case["error"] = "UnknownLog".into(),
            Err(PolicyRefusal::TooFew(_)) => case["error"] = "TooFew".into(),
        }
        case
    };
    json!({ "name": name, "policy": text, "checkpoints": cases.iter().map(case).collect::<Vec<_>>() })
}

fn unread() -> Vec<Value> {
    let one = format!("witness a {}\n", witness(1).verifier());
    let two = format!("{one}witness b {}\n", witness(2).verifier());
    let log = log(1).verifier().to_string();
    let case = |name: &str, text: &str, line: usize, error: &str| json!({ "name": name, "text": text, "line": line, "error": error });
    vec![
        case("no quorum", "", 0, "Quorum"),
        case("two quorums", "quorum none\nquorum none\n", 2, "Quorum"),
        case("a quorum of somebody unknown", "quorum c\n", 1, "Undefined"),
        case("a member that is unknown", &format!("{two}group g any a c\nquorum g\n"), 3, "Undefined"),
        case("a threshold of none", &format!("{two}group g 0 a b\nquorum g\n"), 3, "Threshold"),
        case(
            "a threshold of more than there are",
            &format!("{two}group g 3 a b\nquorum g\n"),
            3,
            "Threshold",
        ),
        case("a threshold with a zero before", &format!("{two}group g 01 a b\nquorum g\n"), 3, "Threshold"),
        case("a member twice", &format!("{two}group g any a a\nquorum g\n"), 3, "Twice"),
        case(
            "a member of two groups",
            &format!("{two}group g any a\ngroup h any a b\nquorum h\n"),
            4,
            "Twice",
        ),
        case("a name that is taken", &format!("{two}group a any b\nquorum a\n"), 3, "Name"),
        case("the name `none`", &one.replace(" a ", " none "), 1, "Name"),
        case("a witness under two names", &format!("{one}{}", one.replace(" a ", " b ")), 2, "DuplicateKey"),
        case("a log twice", &format!("log {log}\nlog {log}\nquorum none\n"), 2, "DuplicateKey"),
        case("a log's key for a witness", &format!("witness a {log}\nquorum a\n"), 1, "Key"),
        case("a group without members", "group g any\nquorum g\n", 1, "Form"),
        case("another word", "trust everybody\n", 1, "Form"),
        case("lines of DOS", "quorum none\r\n", 0, "NotText"),
    ]
}
