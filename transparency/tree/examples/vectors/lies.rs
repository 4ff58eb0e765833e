//! Answers that are not to be believed, and why.

use ed25519_dalek::SigningKey;
use qpq_core::{Digest, Millis, Timestamp};
use qpq_transparency_tree::{
    LogSigner, SignedCheckpoint,
    claim::LatestClaim,
    config::{Config, DomainKey, KeyUse},
    entry::{Entry, Kind},
    label::{Label, LabelId},
    lookup::{AHEAD, LookupAnswer, TOO_OLD},
    succession::RESET_DELAY,
    value::Reason,
};
use serde_json::Value;

use super::{
    sample::{Person, SampleLog, device},
    scene::{Scene, device_more, newer_config, reset_after},
    trees::short_and_long,
};

pub(crate) fn all() -> Vec<Value> {
    [
        of_the_log(),
        of_the_config(),
        of_trust(),
        of_the_label(),
        of_the_entry(),
        of_the_signatures(),
        of_resets(),
    ]
    .concat()
}

impl Scene {
    /// The truth, bent.
    fn lie(&self, error: &str, name: &str, bend: impl FnOnce(&mut LookupAnswer, &SampleLog)) -> Value {
        let mut answer = self.answer();
        bend(&mut answer, &self.log);
        self.refused(error, name, &answer, self.log.now)
    }

    /// The truth about a log that says what it should not.
    fn bad(&self, error: &str, name: &str) -> Value {
        self.lie(error, name, |_, _| {})
    }

    /// The truth about somebody who wasn't asked about.
    fn asked(mut self, error: &str, name: &str, address: &str) -> Value {
        let answer = self.answer();
        self.alice.label = Label::of(&address.parse().unwrap());
        self.refused(error, name, &answer, self.log.now)
    }

    fn refused(&self, error: &str, name: &str, answer: &LookupAnswer, now: Timestamp) -> Value {
        let mut case = self.case(name, answer, now);
        case["error"] = error.into();
        case
    }
}

fn mallory() -> SigningKey {
    SigningKey::from_bytes(&[66; 32])
}

/// The same checkpoint as somebody else signs it, with the cosignatures of the log's witnesses.
fn signed_by(signer: &LogSigner, log: &SampleLog) -> SignedCheckpoint {
    let signed = SignedCheckpoint::sign(signer, log.head(log.size()));
    log.witnesses.iter().fold(signed, |signed, witness| {
        let signature = signed.cosign(witness, log.now);
        signed.with(signature)
    })
}

/// The claim of an answer again, changed, signed by the log.
fn claim_anew(answer: &mut LookupAnswer, log: &SampleLog, change: impl FnOnce(&mut LatestClaim)) {
    let mut claim = answer.evidence.claim.claim.clone();
    change(&mut claim);
    answer.evidence.claim = claim.sign(&log.signer);
}

fn of_the_log() -> Vec<Value> {
    let elsewhere = Scene::new(1).asked("Origin", "the log of another domain", "alice@beta.test");
    let stolen =
        Scene::new(1).lie("LogSignature", "the checkpoint is signed by another key", |answer, log| {
            answer.evidence.checkpoint = signed_by(&LogSigner::new(log.origin.clone(), mallory()), log);
        });
    let bent = Scene::new(1).lie("LogSignature", "the log's signature is of another tree", |answer, log| {
        let older = SignedCheckpoint::sign(&log.signer, log.head(1));
        let (_, lines) = answer.evidence.checkpoint.note().text().split_at(0);
        let note = format!("{lines}\n{}\n", older.note().signatures().first().unwrap());
        answer.evidence.checkpoint = SignedCheckpoint::parse(note.as_bytes()).unwrap();
    });
    let mut grown = Scene::new(1);
    Person::new("bob", 9).registers(&mut grown.log);
    let shrunk = Scene { log: Scene::new(1).log, ..grown.looked() };
    let mut other = SampleLog::new(1);
    other.later(Millis(5));
    for (name, key) in [("alice", 7), ("bob", 9)] {
        Person::new(name, key).registers(&mut other);
    }
    let mut split = Scene { log: other, ..Scene::seen(1) };
    split.client.known = None;
    let longer = device_more();
    let [short, long] = short_and_long(&longer.answer().evidence.consistency);
    vec![
        elsewhere,
        stolen,
        bent,
        shrunk.bad("Shrunk", "a log that was put back"),
        split.bad("Inconsistent", "a second history"),
        longer.lie("Inconsistent", "a consistency proof a hash short", |answer, _| {
            answer.evidence.consistency = short;
        }),
        longer.lie("Inconsistent", "a consistency proof a hash long", |answer, _| {
            answer.evidence.consistency = long;
        }),
    ]
}

fn of_the_config() -> Vec<Value> {
    let other_entry = Scene::new(1).lie("Label", "a user's entry for a CONFIG", |answer, log| {
        answer.evidence.config = Some(log.proven(1));
    });
    let withheld = Scene::new(1)
        .lie("ConfigVersion", "the CONFIG is withheld", |answer, _| answer.evidence.config = None);
    let outside = Scene::new(1).lie("NotIncluded", "a CONFIG that isn't in the log", |answer, _| {
        let entry = &mut answer.evidence.config.as_mut().unwrap().entry;
        entry.time = entry.time.after(Millis(1));
    });
    let swapped = Scene::new(1).lie("Commitment", "another CONFIG than the one in the log", |answer, log| {
        let mut config = log.config();
        config.successor = Some("alpha.test/kt/v9".parse().unwrap());
        let proven = answer.evidence.config.as_mut().unwrap();
        proven.contents = proven.contents.take().map(|(opening, _)| (opening, config.to_bytes()));
    });
    let mut scene = Scene::seen(1);
    scene.log.push(Kind::Config, LabelId::CONFIG, LabelId::CONFIG.as_bytes(), vec![1, 2, 3]);
    let garbage = scene.bad("ConfigUnreadable", "the log has logged a CONFIG that nobody can read");
    let key = other_key(KeyUse::Log, "ConfigKey", "the CONFIG names another log key");
    let vrf = other_key(KeyUse::Vrf, "VrfKey", "the CONFIG names another VRF key");
    vec![other_entry, withheld, older(), outside, swapped, garbage, key, vrf]
}

fn older() -> Value {
    newer_config().looked().lie("ConfigVersion", "an older CONFIG than the known one", |answer, log| {
        answer.evidence.config = Some(log.proven(0));
        claim_anew(answer, log, |claim| claim.config = log.named(0));
    })
}

/// A newer CONFIG with another key for one use.
fn other_key(key_use: KeyUse, error: &str, name: &str) -> Value {
    let mut scene = Scene::seen(1);
    let old = scene.log.config();
    let mut keys: Vec<DomainKey> = old.keys().to_vec();
    for key in keys.iter_mut().filter(|key| key.key_use == key_use) {
        key.public = mallory().verifying_key().to_bytes();
    }
    scene.log.configure(&Config::new(keys, old.witnesses().to_vec()).unwrap());
    scene.bad(error, name)
}

fn of_trust() -> Vec<Value> {
    let mut lowered = Scene::seen(1);
    lowered.log.witnesses.clear();
    let config = lowered.log.config();
    lowered.log.configure(&config);
    let alone = Scene::seen(1).lie("Witnesses", "no witness signed", |answer, log| {
        answer.evidence.checkpoint = SignedCheckpoint::sign(&log.signer, log.head(log.size()));
    });
    let spoiled = Scene::seen(1).lie("Witnesses", "the witness signed another tree", |answer, log| {
        let of_another = log.checkpoint(1).cosign(log.witnesses.first().unwrap(), log.now);
        answer.evidence.checkpoint = answer.evidence.checkpoint.clone().with(of_another);
    });
    let scene = Scene::seen(1);
    let too_late = scene.log.now.after(Millis(TOO_OLD.0 + 1));
    let too_early = scene.log.now.before(Millis(AHEAD.0 + 1));
    let ahead = scene.lie("Ahead", "the claim is of a time to come", |answer, log| {
        claim_anew(answer, log, |claim| claim.time = log.now.after(Millis(AHEAD.0 + 1)));
    });
    vec![
        lowered.bad("LevelLowered", "fewer witnesses than before"),
        alone,
        spoiled,
        scene.refused("Frozen", "an answer of more than a day ago", &scene.answer(), too_late),
        scene.refused("Ahead", "an answer of a time to come", &scene.answer(), too_early),
        ahead,
    ]
}

fn of_the_label() -> Vec<Value> {
    let (scene, devices) = (Scene::seen(1), device_more());
    let other_entry = Scene::new(1).lie("Label", "the CONFIG's entry for somebody's", |answer, log| {
        answer.latest = Some(log.proven(0));
        claim_anew(answer, log, |claim| claim.latest = Some(log.named(0)));
    });
    vec![
        Scene::new(1).asked("Vrf", "an answer about somebody else", "bob@alpha.test"),
        scene.lie("Claim", "a bit of the claim's signature is another", |answer, _| {
            answer.evidence.claim.signature.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        }),
        scene.lie("Claim", "a claim about another tree", |answer, log| {
            claim_anew(answer, log, |claim| claim.head.size += 1);
        }),
        scene.lie("Claim", "a claim about another label", |answer, log| {
            claim_anew(answer, log, |claim| claim.label_id = LabelId::from_bytes([9; 32]));
        }),
        devices.lie("NotLatest", "the version before the newest", |answer, log| {
            answer.latest = Some(log.proven(1));
        }),
        devices.lie("NotLatest", "the newest version is withheld", |answer, _| answer.latest = None),
        other_entry,
    ]
}

/// A log of one account, in which somebody else has taken its name.
fn eves_log() -> SampleLog {
    let mut log = SampleLog::new(1);
    Person { identity: mallory(), devices: vec![device(66, 0)], ..Person::new("alice", 7) }
        .registers(&mut log);
    log
}

fn of_the_entry() -> Vec<Value> {
    let scene = Scene::new(1);
    let crowd = device_more();
    let [short, long] = short_and_long(&crowd.answer().latest.unwrap().inclusion);
    vec![
        crowd.lie("NotIncluded", "an inclusion proof a hash short", |answer, _| {
            answer.latest.as_mut().unwrap().inclusion = short;
        }),
        crowd.lie("NotIncluded", "an inclusion proof a hash long", |answer, _| {
            answer.latest.as_mut().unwrap().inclusion = long;
        }),
        scene.lie("Commitment", "another value than the one in the log", |answer, _| {
            answer.latest.as_mut().unwrap().contents = eves_log().proven(1).contents;
        }),
        scene.lie("ValueUnreadable", "the value is withheld", |answer, _| {
            answer.latest.as_mut().unwrap().contents = None;
        }),
        other_kind(),
        rolled_back(),
        second_chain(),
        Scene::seen(1).lie("Rollback", "who was there is absent", |answer, log| {
            answer.latest = None;
            claim_anew(answer, log, |claim| claim.latest = None);
        }),
    ]
}

fn other_kind() -> Value {
    let mut scene = Scene::seen(1);
    let signed = scene.alice.says(&scene.log, Reason::Revocation, Some(&scene.alice.identity));
    let (label_id, label) = (scene.log.label_id(&scene.alice.label), scene.alice.label.as_bytes());
    scene.log.push(Kind::Bind, label_id, label, signed.to_bytes());
    scene.bad("Kind", "a BIND entry of a value that is revoked")
}

fn rolled_back() -> Value {
    let mut scene = Scene::seen(1);
    scene.alice.logs(&mut scene.log, Reason::Devices, Some(&scene.alice.identity));
    scene.looked().lie("Rollback", "an older version than the known one", |answer, log| {
        answer.latest = Some(log.proven(1));
        claim_anew(answer, log, |claim| claim.latest = Some(log.named(1)));
    })
}

/// A second version that follows another first one than was known.
fn second_chain() -> Value {
    let (mut twin, mut scene) = (Scene::seen(1), Scene::seen(1));
    twin.alice.logs(&mut twin.log, Reason::Devices, Some(&twin.alice.identity));
    let (entry, contents) = twin.log.entries.pop().unwrap();
    scene.log.append(Entry { prev: Digest::of(&[b"another first version"]), ..entry }, contents);
    scene.bad("TwoHistories", "a version that follows another one than the known")
}

fn of_the_signatures() -> Vec<Value> {
    // What somebody without the account's key has logged in its place, before or after it was looked at.
    let logged = |mut scene: Scene, reason: Reason, change: fn(&mut Person), by: Option<&SigningKey>| {
        change(&mut scene.alice);
        scene.alice.logs(&mut scene.log, reason, by);
        scene
    };
    let ghost = |alice: &mut Person| alice.devices.push(device(66, 1));
    let stolen = |alice: &mut Person| alice.identity = mallory();
    let owner = Person::new("alice", 7).identity;
    let ghosted = logged(Scene::seen(1), Reason::Devices, ghost, Some(&mallory()));
    let first = logged(Scene::new(1), Reason::Registration, stolen, None);
    let announced = logged(Scene::seen(1), Reason::ResetPending, ghost, None);
    let swapped = logged(Scene::seen(1), Reason::Devices, stolen, Some(&owner));
    let mut revoked = Scene::seen(1);
    revoked.alice.logs(&mut revoked.log, Reason::Revocation, Some(&owner));
    let revived = logged(revoked.looked(), Reason::Devices, |_| {}, Some(&owner));
    let mut base = Scene::seen(1);
    base.alice.logs(&mut base.log, Reason::ResetPending, None);
    vec![
        ghosted.bad("Signatures", "a ghost device, signed by a stranger"),
        first.bad("Links", "a first version after another one"),
        announced.bad("Links", "an announced reset that brings a ghost device"),
        base.lie("Links", "an announced reset without the version before it", |answer, _| answer.base = None),
        revived.bad("Links", "a revoked key that signs for devices"),
        swapped.bad("Links", "a device change that swaps the identity key"),
    ]
}

fn of_resets() -> Vec<Value> {
    let error = "ResetNotAnnounced";
    let mut forged = Scene::seen(1);
    forged.log.later(RESET_DELAY);
    (forged.alice.identity, forged.alice.devices) = (mallory(), vec![device(66, 1)]);
    forged.alice.logs(&mut forged.log, Reason::Reset, None);
    let hasty = reset_after(Millis(RESET_DELAY.0 - 1));
    let waited = reset_after(RESET_DELAY);
    vec![
        forged.lie(error, "a reset that nobody announced", |answer, _| answer.resets.clear()),
        hasty.bad(error, "a hasty reset, a millisecond too early"),
        waited.lie(error, "the announcement is left out", |answer, _| answer.resets.clear()),
        waited.lie(error, "an announcement that no witness has seen", |answer, log| {
            answer.resets.iter_mut().for_each(|reset| {
                reset.seen = SignedCheckpoint::sign(&log.signer, reset.seen.head());
            });
        }),
        waited.lie(error, "an announcement that isn't in what the witnesses have seen", |answer, _| {
            answer.resets.iter_mut().for_each(|reset| reset.seen_inclusion = vec![Digest::ZERO]);
        }),
    ]
}
