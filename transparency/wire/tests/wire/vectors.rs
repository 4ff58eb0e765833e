//! The answers of the published lookups (`transparency/testdata/lookups.json`), the true ones and the lies.

use std::collections::BTreeMap;

use qpq_transparency_tree::{
    SignedCheckpoint,
    claim::{LatestClaim, SignedClaim},
    commitment::Opening,
    entry::Entry,
    lookup::{Evidence, LookupAnswer, Proven, ResetEvidence},
    vrf::VrfProof,
};
use qpq_transparency_wire::ToldLookup;
use serde_json::Value;

use crate::read::{array, bytes, digests, each, field, list, number, parsed, parts, text, there};

/// Every answer under its name, with the key that is pinned.
pub(crate) fn told() -> BTreeMap<String, ToldLookup> {
    let [lookups] = parts("lookups.json", ["lookups"]);
    let mut whole: BTreeMap<String, Value> = BTreeMap::new();
    for vector in each(&lookups) {
        let mut lookup = vector.clone();
        if let Some(of) = vector.get("of") {
            lookup = whole[of.as_str().unwrap()].clone();
            for (at, value) in field(vector, "changed").as_object().unwrap() {
                *lookup.pointer_mut(at).unwrap_or_else(|| panic!("{at}")) = value.clone();
            }
        }
        whole.insert(text(vector, "name").to_owned(), lookup);
    }
    whole.into_iter().map(|(name, lookup)| (name, of(&lookup))).collect()
}

/// The answer of one of them.
pub(crate) fn told_as(name: &str) -> ToldLookup {
    told().remove(name).unwrap_or_else(|| panic!("no lookup is called `{name}`"))
}

fn of(lookup: &Value) -> ToldLookup {
    let log_key = parsed(field(lookup, "pinned"), "key");
    ToldLookup { log_key, answer: answer(field(lookup, "answer")) }
}

fn answer(vector: &Value) -> LookupAnswer {
    let optional = |name| there(vector, name, |vector, name| proven(field(vector, name)));
    LookupAnswer {
        evidence: Evidence {
            checkpoint: checkpoint(vector, "checkpoint"),
            consistency: digests(vector, "consistency"),
            claim: claim(field(vector, "claim")),
            config: optional("config"),
        },
        vrf_proof: VrfProof::from_slice(&bytes(vector, "vrf_proof")).unwrap(),
        latest: optional("latest"),
        base: optional("base"),
        links: list(vector, "links").iter().map(proven).collect(),
        resets: list(vector, "resets").iter().map(reset).collect(),
    }
}

fn checkpoint(vector: &Value, name: &str) -> SignedCheckpoint {
    SignedCheckpoint::parse(text(vector, name).as_bytes()).unwrap()
}

fn claim(vector: &Value) -> SignedClaim {
    let claim = LatestClaim::from_bytes(&bytes(vector, "bytes")).unwrap();
    SignedClaim { claim, signature: array(vector, "signature") }
}

fn proven(vector: &Value) -> Proven {
    let opening = there(vector, "opening", array).map(Opening::from_bytes);
    Proven {
        entry: Entry::from_bytes(&bytes(vector, "entry")).unwrap(),
        index: number(vector, "index"),
        inclusion: digests(vector, "inclusion"),
        contents: opening.zip(there(vector, "value", bytes)),
    }
}

fn reset(vector: &Value) -> ResetEvidence {
    ResetEvidence {
        pending: proven(field(vector, "pending")),
        seen: checkpoint(vector, "seen"),
        seen_inclusion: digests(vector, "seen_inclusion"),
        consistency: digests(vector, "consistency"),
        config: None,
    }
}
