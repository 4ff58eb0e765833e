//! Whole lookups: from what is pinned, a question, an answer and the time, to what is believed or why it isn't.

use std::collections::{BTreeMap, BTreeSet};

use qpq_core::IdentityKey;
use qpq_transparency_tree::{
    SignedCheckpoint,
    commitment::Opening,
    config::Config,
    entry::Entry,
    label::Label,
    lookup::{
        Asker, Binding, Evidence, KeyChange, KnownConfig, KnownLabel, LookupAnswer, LookupError, PinnedLog,
        Proven, Question, ResetEvidence, Trust, Verified, verify,
    },
    policy::Level,
    value::SignedValue,
    vrf::VrfProof,
};
use serde_json::Value;

use crate::{
    bytes::{signed_claim, status},
    read::{
        array, bytes, digest, digests, each, field, head, list, number, parsed, parts, text, there, time, yes,
    },
};

/// Every reason not to believe an answer.
const REASONS: [&str; 25] = [
    "Origin",
    "LogSignature",
    "Shrunk",
    "Inconsistent",
    "ConfigVersion",
    "ConfigUnreadable",
    "ConfigKey",
    "VrfKey",
    "LevelLowered",
    "Witnesses",
    "Frozen",
    "Ahead",
    "Vrf",
    "Claim",
    "TwoHistories",
    "NotLatest",
    "Label",
    "NotIncluded",
    "Commitment",
    "Kind",
    "ValueUnreadable",
    "Rollback",
    "Signatures",
    "Links",
    "ResetNotAnnounced",
];

/// The name by which the vectors call an error; one that is new here needs a vector, and a line above.
const fn reason(error: &LookupError) -> &'static str {
    match error {
        LookupError::Origin => "Origin",
        LookupError::LogSignature(_) => "LogSignature",
        LookupError::Shrunk { .. } => "Shrunk",
        LookupError::Inconsistent => "Inconsistent",
        LookupError::ConfigVersion => "ConfigVersion",
        LookupError::ConfigUnreadable => "ConfigUnreadable",
        LookupError::ConfigKey => "ConfigKey",
        LookupError::VrfKey => "VrfKey",
        LookupError::LevelLowered { .. } => "LevelLowered",
        LookupError::Witnesses(_) => "Witnesses",
        LookupError::Frozen(_) => "Frozen",
        LookupError::Ahead(_) => "Ahead",
        LookupError::Vrf => "Vrf",
        LookupError::Claim => "Claim",
        LookupError::TwoHistories => "TwoHistories",
        LookupError::NotLatest => "NotLatest",
        LookupError::Label => "Label",
        LookupError::NotIncluded => "NotIncluded",
        LookupError::Commitment => "Commitment",
        LookupError::Kind => "Kind",
        LookupError::ValueUnreadable => "ValueUnreadable",
        LookupError::Rollback { .. } => "Rollback",
        LookupError::Signatures(_) => "Signatures",
        LookupError::Links => "Links",
        LookupError::ResetNotAnnounced => "ResetNotAnnounced",
    }
}

#[test]
fn lookups_are_believed_or_refused_with_their_reason() {
    let mut refused = BTreeSet::new();
    for vector in whole_lookups() {
        let name = text(&vector, "name");
        match (judged(&vector), vector.get("error")) {
            (Ok(verified), None) => believed(name, &vector, &verified),
            (Err(error), Some(_)) => {
                assert_eq!(reason(&error), text(&vector, "error"), "{name}: {error}");
                refused.insert(reason(&error));
            }
            (judged, _) => panic!("{name}: {judged:?}"),
        }
    }
    assert_eq!(refused, REASONS.into_iter().collect());
}

/// The lookups, each with the parts that it has from another one.
fn whole_lookups() -> Vec<Value> {
    let [lookups] = parts("lookups.json", ["lookups"]);
    let mut whole: BTreeMap<String, Value> = BTreeMap::new();
    let resolved = each(&lookups).iter().map(|vector| {
        let mut lookup = vector.clone();
        if let Some(of) = vector.get("of") {
            lookup = whole[of.as_str().unwrap()].clone();
            for (at, value) in field(vector, "changed").as_object().unwrap() {
                *lookup.pointer_mut(at).unwrap_or_else(|| panic!("{at}")) = value.clone();
            }
            lookup["name"] = vector["name"].clone();
            let outcome = lookup.as_object_mut().unwrap();
            outcome.retain(|field, _| field != "verified" && field != "error");
            let outcomes =
                ["verified", "error"].into_iter().filter_map(|field| Some((field, vector.get(field)?)));
            outcome.extend(outcomes.map(|(field, value)| (field.to_owned(), value.clone())));
        }
        let before = whole.insert(text(&lookup, "name").to_owned(), lookup.clone());
        assert_eq!(before, None, "two lookups of one name");
        lookup
    });
    resolved.collect()
}

fn judged(vector: &Value) -> Result<Verified, LookupError> {
    let (pinned, question) = (pinned(field(vector, "pinned")), field(vector, "question"));
    let (label, known): (Label, _) = (parsed(question, "label"), there(question, "known", known_label));
    let asker = match text(question, "asker") {
        "own" => Asker::Own,
        "foreign" => Asker::Foreign,
        other => panic!("{other}"),
    };
    let question = Question { label: &label, asker, known: known.as_ref() };
    verify(&pinned, &question, &answer(field(vector, "answer")), time(vector, "now"))
}

fn pinned(log: &Value) -> PinnedLog {
    PinnedLog {
        origin: parsed(log, "origin"),
        key: parsed(log, "key"),
        head: there(log, "head", head),
        config: there(log, "config", known_config),
        level: level(log),
    }
}

fn known_config(vector: &Value, name: &str) -> KnownConfig {
    let known = field(vector, name);
    let config = Config::from_bytes(&bytes(known, "value")).unwrap();
    KnownConfig { version: number(known, "version"), leaf: digest(known, "leaf"), config }
}

fn level(vector: &Value) -> Level {
    let wanted = text(vector, "level");
    [Level::Logged, Level::Peer, Level::Quorum].into_iter().find(|level| level.word() == wanted).unwrap()
}

fn known_label(vector: &Value, name: &str) -> KnownLabel {
    let known = field(vector, name);
    KnownLabel {
        version: number(known, "version"),
        leaf: digest(known, "leaf"),
        status: status(known, "status"),
        identity: there(known, "identity", array).map(IdentityKey::from_bytes),
    }
}

fn answer(vector: &Value) -> LookupAnswer {
    LookupAnswer {
        evidence: Evidence {
            checkpoint: SignedCheckpoint::parse(text(vector, "checkpoint").as_bytes()).unwrap(),
            consistency: digests(vector, "consistency"),
            claim: signed_claim(field(vector, "claim")),
            config: there(vector, "config", |vector, name| proven(field(vector, name))),
        },
        vrf_proof: VrfProof::from_slice(&bytes(vector, "vrf_proof")).unwrap(),
        latest: there(vector, "latest", |vector, name| proven(field(vector, name))),
        base: there(vector, "base", |vector, name| proven(field(vector, name))),
        links: list(vector, "links").iter().map(proven).collect(),
        resets: list(vector, "resets").iter().map(reset).collect(),
    }
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
        seen: SignedCheckpoint::parse(text(vector, "seen").as_bytes()).unwrap(),
        seen_inclusion: digests(vector, "seen_inclusion"),
        consistency: digests(vector, "consistency"),
        config: None,
    }
}

fn believed(name: &str, vector: &Value, verified: &Verified) {
    let (expected, before) = (field(vector, "verified"), pinned(field(vector, "pinned")));
    let (answer, log) = (answer(field(vector, "answer")), &verified.log);
    assert_eq!((&log.origin, &log.key), (&before.origin, &before.key), "{name}");
    assert_eq!(log.head, Some(answer.evidence.checkpoint.head()), "{name}");
    let (config, known) = (field(expected, "config"), log.config.as_ref().unwrap());
    assert_eq!((known.version, known.leaf), (number(config, "version"), digest(config, "leaf")), "{name}");
    assert_eq!(log.level, level(expected), "{name}");
    assert_eq!(verified.label, there(expected, "known", known_label), "{name}");
    assert_eq!(verified.trust, trust(field(expected, "trust")), "{name}");
    let change = match verified.change {
        KeyChange::First => "first",
        KeyChange::Same => "same",
        KeyChange::Rotated => "rotated",
        KeyChange::Reset => "reset",
    };
    assert_eq!(change, text(expected, "change"), "{name}");
    match (&verified.binding, text(expected, "binding")) {
        (Binding::Absent, "absent") | (Binding::Closed, "closed") => {}
        (Binding::Keys(value), "keys") => {
            let carrier = answer.base.as_ref().or(answer.latest.as_ref()).unwrap();
            let signed = SignedValue::from_bytes(&carrier.contents.as_ref().unwrap().1).unwrap();
            assert_eq!(*value, signed.value, "{name}");
        }
        (binding, _) => panic!("{name}: {binding:?}"),
    }
}

fn trust(vector: &Value) -> Trust {
    Trust {
        level: level(vector),
        cosignatures: number(vector, "cosignatures"),
        at: time(vector, "at"),
        stale: yes(vector, "stale"),
        witness_silent: yes(vector, "witness_silent"),
        witnesses_changed: yes(vector, "witnesses_changed"),
    }
}
