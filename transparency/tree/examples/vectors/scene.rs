//! Somebody who asks a log for keys, and how question, answer and outcome are written down.

use ed25519_dalek::SigningKey;
use qpq_core::{Millis, Timestamp};
use qpq_transparency_tree::{
    lookup::{
        Asker, Binding, KeyChange, KnownConfig, KnownLabel, LookupAnswer, PinnedLog, Proven, ResetEvidence,
        Trust, Verified,
    },
    value::Reason,
};
use serde_json::{Value, json};

use super::{
    hashes, head, hex,
    sample::{Client, Person, SampleLog, device, witness},
    values::status_word,
};

/// A log, somebody in it, and somebody who asks.
pub(crate) struct Scene {
    pub(crate) log: SampleLog,
    pub(crate) alice: Person,
    pub(crate) client: Client,
}

impl Scene {
    /// An account of one version, and a client that has not looked yet.
    pub(crate) fn new(witnesses: u8) -> Self {
        let mut log = SampleLog::new(witnesses);
        let alice = Person::new("alice", 7);
        alice.registers(&mut log);
        let client = Client::new(&log);
        Self { log, alice, client }
    }

    /// The same after the client's first look.
    pub(crate) fn seen(witnesses: u8) -> Self {
        Self::new(witnesses).looked()
    }

    pub(crate) fn looked(mut self) -> Self {
        self.client.asks(&self.log, &self.alice);
        self
    }

    pub(crate) fn answer(&self) -> LookupAnswer {
        self.log.answer(&self.alice.label, self.client.view())
    }

    /// The question with this answer at this time.
    pub(crate) fn case(&self, name: &str, answer: &LookupAnswer, now: Timestamp) -> Value {
        let Client { log, known, asker } = &self.client;
        json!({
            "name": name,
            "pinned": pinned(log),
            "question": {
                "label": self.alice.label.to_string(),
                "asker": if *asker == Asker::Own { "own" } else { "foreign" },
                "known": known.map(known_label),
            },
            "answer": described(answer),
            "now": now.as_millis(),
        })
    }

    /// A true answer with what is to be believed after it.
    pub(crate) fn told(&self, name: &str, now: Timestamp) -> Value {
        let answer = self.answer();
        self.believed(name, &answer, now)
    }

    /// An answer with what is to be believed after it.
    pub(crate) fn believed(&self, name: &str, answer: &LookupAnswer, now: Timestamp) -> Value {
        let verified = self.client.judges(&self.alice, answer, now).unwrap();
        let mut case = self.case(name, answer, now);
        case["verified"] = outcome(&verified);
        case
    }
}

/// An account that has one more device since it was looked at, and somebody else who came then.
pub(crate) fn device_more() -> Scene {
    let mut scene = Scene::seen(1);
    scene.alice.devices.push(device(8, 1));
    scene.alice.logs(&mut scene.log, Reason::Devices, Some(&scene.alice.identity));
    Person::new("bob", 9).registers(&mut scene.log);
    scene
}

/// A log with a newer CONFIG, which names another witness, since it was looked at.
pub(crate) fn newer_config() -> Scene {
    let mut scene = Scene::seen(1);
    scene.log.witnesses = vec![witness(4)];
    let config = scene.log.config();
    scene.log.configure(&config);
    scene
}

/// A reset of an account whose announcement the client has seen, this long after it.
pub(crate) fn reset_after(wait: Millis) -> Scene {
    let mut scene = Scene::seen(1);
    scene.alice.logs(&mut scene.log, Reason::ResetPending, None);
    let mut scene = scene.looked();
    scene.log.later(wait);
    scene.alice.identity = SigningKey::from_bytes(&[17; 32]);
    scene.alice.devices = vec![device(8, 2)];
    scene.alice.logs(&mut scene.log, Reason::Reset, None);
    scene
}

fn pinned(log: &PinnedLog) -> Value {
    let config = |known: &KnownConfig| {
        json!({
            "version": known.version,
            "leaf": known.leaf.to_string(),
            "value": hex(&known.config.to_bytes()),
        })
    };
    json!({
        "origin": log.origin.as_str(),
        "key": log.key.to_string(),
        "head": log.head.map(head),
        "config": log.config.as_ref().map(config),
        "level": log.level.word(),
    })
}

fn known_label(known: KnownLabel) -> Value {
    json!({
        "version": known.version,
        "leaf": known.leaf.to_string(),
        "status": status_word(known.status),
        "identity": known.identity.map(|key| key.to_string()),
    })
}

fn proven(proven: &Proven) -> Value {
    let (opening, value) =
        proven.contents.as_ref().map(|(opening, value)| (hex(opening.as_bytes()), hex(value))).unzip();
    json!({
        "entry": hex(&proven.entry.to_bytes()),
        "index": proven.index,
        "inclusion": hashes(&proven.inclusion),
        "opening": opening,
        "value": value,
    })
}

fn reset(reset: &ResetEvidence) -> Value {
    json!({
        "pending": proven(&reset.pending),
        "seen": reset.seen.to_string(),
        "seen_inclusion": hashes(&reset.seen_inclusion),
        "consistency": hashes(&reset.consistency),
    })
}

fn described(answer: &LookupAnswer) -> Value {
    let evidence = &answer.evidence;
    json!({
        "checkpoint": evidence.checkpoint.to_string(),
        "consistency": hashes(&evidence.consistency),
        "claim": { "bytes": hex(&evidence.claim.claim.to_bytes()), "signature": hex(&evidence.claim.signature) },
        "config": evidence.config.as_ref().map(proven),
        "vrf_proof": answer.vrf_proof.to_string(),
        "latest": answer.latest.as_ref().map(proven),
        "base": answer.base.as_ref().map(proven),
        "links": answer.links.iter().map(proven).collect::<Vec<_>>(),
        "resets": answer.resets.iter().map(reset).collect::<Vec<_>>(),
    })
}

/// What is believed. The head is the checkpoint's, and the keys are those of one of the values.
fn outcome(verified: &Verified) -> Value {
    let Verified { log, label, binding, change, trust } = verified;
    let config = log.config.as_ref().unwrap();
    json!({
        "config": { "version": config.version, "leaf": config.leaf.to_string() },
        "level": log.level.word(),
        "known": label.map(known_label),
        "binding": binding_word(binding),
        "change": change_word(*change),
        "trust": described_trust(*trust),
    })
}

fn described_trust(trust: Trust) -> Value {
    let Trust { level, cosignatures, at, stale, witness_silent, witnesses_changed } = trust;
    json!({
        "level": level.word(),
        "cosignatures": cosignatures,
        "at": at.as_millis(),
        "stale": stale,
        "witness_silent": witness_silent,
        "witnesses_changed": witnesses_changed,
    })
}

const fn binding_word(binding: &Binding) -> &'static str {
    match binding {
        Binding::Absent => "absent",
        Binding::Closed => "closed",
        Binding::Keys(_) => "keys",
    }
}

const fn change_word(change: KeyChange) -> &'static str {
    match change {
        KeyChange::First => "first",
        KeyChange::Same => "same",
        KeyChange::Rotated => "rotated",
        KeyChange::Reset => "reset",
    }
}
