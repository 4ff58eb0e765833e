//! A log's word on what is newest.

use ed25519_dalek::SigningKey;
use qpq_core::Digest;
use qpq_transparency_tree::{
    LogSigner,
    claim::{LatestClaim, SignedClaim},
    label::LabelId,
};
use serde_json::{Value, json};

use super::{
    hex,
    notes::{head, log},
    sample::START,
    unread, with,
};

fn claim(version: Option<u32>) -> LatestClaim {
    LatestClaim {
        origin: log(1).verifier().name().clone(),
        label_id: LabelId::from_bytes([0x5a; 32]),
        latest: version.map(|version| (version, Digest::of(&[b"the newest version"]))),
        config: (2, Digest::of(&[b"the newest CONFIG"])),
        head: head(7),
        time: START,
    }
}

pub(crate) fn claims() -> Value {
    let sound = [("of a label's fourth version", claim(Some(3))), ("of an absent label", claim(None))];
    let sound: Vec<Value> = sound.into_iter().map(|(name, claim)| described(name, claim)).collect();
    json!({ "claims": sound, "refused": refused(), "unread": unread_claims() })
}

fn described(name: &str, claim: LatestClaim) -> Value {
    let SignedClaim { claim, signature } = claim.sign(&log(1));
    json!({
        "name": name,
        "origin": claim.origin.as_str(),
        "label_id": claim.label_id.to_string(),
        "latest": claim.latest.map(named),
        "config": named(claim.config),
        "size": claim.head.size,
        "root": claim.head.root.to_string(),
        "time": claim.time.as_millis(),
        "bytes": hex(&claim.to_bytes()),
        "signature": hex(&signature),
        "key": log(1).verifier().to_string(),
    })
}

fn named((version, leaf): (u32, Digest)) -> Value {
    json!({ "version": version, "leaf": leaf.to_string() })
}

fn refused() -> Vec<Value> {
    let good = claim(Some(3)).sign(&log(1));
    let case = |name: &str, signed: &SignedClaim, key: &LogSigner| {
        json!({
            "name": name,
            "bytes": hex(&signed.claim.to_bytes()),
            "signature": hex(&signed.signature),
            "key": key.verifier().to_string(),
        })
    };
    let other_log = LogSigner::new("beta.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
    vec![
        case("of another version", &SignedClaim { claim: claim(Some(4)), ..good.clone() }, &log(1)),
        case("signed by another key", &claim(Some(3)).sign(&log(66)), &log(1)),
        case("about another log than the key's", &good, &other_log),
    ]
}

fn unread_claims() -> Vec<Value> {
    let (there, absent) = (claim(Some(3)).to_bytes(), claim(None).to_bytes());
    // 12 bytes of label, 2 of length, the origin, 32 of label id.
    let presence = 46 + claim(None).origin.as_str().len();
    vec![
        unread("another label", &with(&there, 0, b"kt-latest/v2"), "Invalid"),
        unread("an origin that is too long", &with(&there, 12, &[1, 45]), "TooLarge"),
        unread("an origin with a space", &with(&there, 14, b" "), "Invalid"),
        unread("the version of an absent label", &with(&absent, presence + 1, &[0, 0, 0, 1]), "Invalid"),
        unread("neither there nor absent", &with(&there, presence, &[2]), "Invalid"),
        unread("a byte short", there.split_last().unwrap().1, "Truncated"),
        unread("a byte long", &[&there[..], &[0]].concat(), "Trailing"),
    ]
}
