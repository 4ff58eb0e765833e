//! Each lie is refused with its reason, and passes as soon as the one step that meets it is left out.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;

use super::{step::without, *};
use crate::{LogSigner, claim::LatestClaim, commitment::Opening, entry::Entry, note::NoteError};

/// A lie, whom it is told, and when.
struct Lie {
    step: Step,
    error: LookupError,
    client: Client,
    person: Person,
    answer: LookupAnswer,
    now: Timestamp,
}

/// A log with three witnesses and one account, and a client that has looked once.
struct Scene {
    log: SampleLog,
    alice: Person,
    client: Client,
}

impl Scene {
    fn new() -> Self {
        Self::with_witnesses(3)
    }

    fn with_witnesses(count: u8) -> Self {
        let mut log = SampleLog::new(count);
        let alice = Person::new("alice", 7);
        alice.registers(&mut log);
        let mut client = Client::new(&log);
        client.asks(&log, &alice);
        Self { log, alice, client }
    }

    fn newcomer(self) -> Self {
        Self { client: Client::new(&self.log), ..self }
    }

    /// The truth, bent.
    fn lie(self, step: Step, error: LookupError, bend: impl FnOnce(&mut LookupAnswer, &SampleLog)) -> Lie {
        let mut answer = self.log.answer(&self.alice.label, self.client.view());
        bend(&mut answer, &self.log);
        let Self { log, alice, client } = self;
        Lie { step, error, client, person: alice, answer, now: log.now }
    }

    /// The truth about a log that says what it should not.
    fn told(self, step: Step, error: LookupError) -> Lie {
        self.lie(step, error, |_, _| {})
    }
}

fn mallory() -> SigningKey {
    SigningKey::from_bytes(&[66; 32])
}

/// The claim of an answer again, changed, signed by the log.
fn claim_anew(answer: &mut LookupAnswer, log: &SampleLog, change: impl FnOnce(&mut LatestClaim)) {
    let mut claim = answer.evidence.claim.claim.clone();
    change(&mut claim);
    answer.evidence.claim = claim.sign(&log.signer);
}

/// A second history: the same keys, other entries.
fn fork(with: &Person) -> SampleLog {
    let mut log = SampleLog::new(3);
    log.later(Millis(5));
    Person::new("alice", 7).registers(&mut log);
    with.registers(&mut log);
    log
}

fn of_the_log() -> Vec<Lie> {
    let elsewhere = {
        let mut scene = Scene::new().newcomer();
        let label = Label::of(&"alice@beta.test".parse().unwrap());
        scene.alice = Person { label, ..scene.alice };
        scene.alice.registers(&mut scene.log);
        scene.told(Step::Origin, LookupError::Origin)
    };
    let stolen = Scene::new().lie(
        Step::LogSignature,
        LookupError::LogSignature(NoteError::Unsigned),
        |answer, log| {
            let forger = LogSigner::new(log.origin.clone(), mallory());
            let signed = SignedCheckpoint::sign(&forger, log.head(log.size()));
            answer.evidence.checkpoint = log.witnesses.iter().fold(signed, |signed, witness| {
                let signature = signed.cosign(witness, log.now);
                signed.with(signature)
            });
        },
    );
    let mut put_back = Scene::new();
    Person::new("bob", 9).registers(&mut put_back.log);
    put_back.client.asks(&put_back.log, &put_back.alice.clone());
    let old = Scene::new();
    let shrunk = Scene { client: put_back.client, ..old };
    let shrunk = shrunk.lie(Step::Size, LookupError::Shrunk { pinned: 3, shown: 2 }, |answer, log| {
        *answer =
            log.answer(&Person::new("alice", 7).label, View { size: 0, config: Some(0), version: Some(0) });
    });
    let two = fork(&Person::new("bob", 9));
    let split = Scene::new();
    let split = Scene { log: two, client: Client { known: None, ..split.client }, ..split };
    let split = split.lie(Step::Consistency, LookupError::Inconsistent, |_, _| {});
    vec![elsewhere, stolen, shrunk, split]
}

fn of_the_config() -> Vec<Lie> {
    let mut relabelled = Scene::new().newcomer();
    let (opening, value) = relabelled.log.entries[0].1.clone().unwrap();
    let bob = Label::of(&"bob@alpha.test".parse().unwrap());
    let label_id = relabelled.log.label_id(&bob);
    let commitment = commit(&opening, LabelId::CONFIG.as_bytes(), 0, &value);
    let entry = Entry {
        kind: Kind::Bind,
        label_id,
        version: 0,
        time: relabelled.log.now,
        prev: Digest::ZERO,
        commitment,
    };
    relabelled.log.append(entry, Some((opening, value)));
    let relabelled = relabelled.lie(Step::ConfigLabel, LookupError::Label, |answer, log| {
        answer.evidence.config = Some(log.proven(2));
        claim_anew(answer, log, |claim| claim.config = log.named(2));
    });
    let outside =
        Scene::new().newcomer().lie(Step::ConfigIncluded, LookupError::NotIncluded, |answer, log| {
            let entry = &mut answer.evidence.config.as_mut().unwrap().entry;
            entry.time = entry.time.after(Millis(1));
            let leaf = entry.leaf_hash();
            claim_anew(answer, log, |claim| claim.config = (0, leaf));
        });
    let withheld = {
        let mut scene = Scene::new();
        let config = scene.log.config();
        scene.log.configure(&config);
        scene.lie(Step::ConfigVersion, LookupError::ConfigVersion, |answer, _| answer.evidence.config = None)
    };
    let swapped =
        Scene::new().newcomer().lie(Step::ConfigCommitment, LookupError::Commitment, |answer, log| {
            let mut config = log.config();
            config.successor = Some("alpha.test/kt/v9".parse().unwrap());
            let proven = answer.evidence.config.as_mut().unwrap();
            proven.contents = proven.contents.take().map(|(opening, _)| (opening, config.to_bytes()));
        });
    let other_key = {
        let mut scene = Scene::new();
        let mut keys: Vec<DomainKey> = scene.log.config().keys().to_vec();
        for key in keys.iter_mut().filter(|key| key.key_use == KeyUse::Log) {
            key.public = mallory().verifying_key().to_bytes();
        }
        let config = Config::new(keys, scene.log.config().witnesses().to_vec()).unwrap();
        scene.log.configure(&config);
        scene.told(Step::ConfigKey, LookupError::ConfigKey)
    };
    let other_vrf = {
        let mut scene = Scene::new();
        scene.log.vrf = VrfSecret::from_seed(&[55; 32]);
        let config = scene.log.config();
        scene.log.configure(&config);
        scene.client.known = None;
        scene.told(Step::VrfKey, LookupError::VrfKey)
    };
    vec![relabelled, outside, withheld, swapped, other_key, other_vrf]
}

fn of_trust() -> Vec<Lie> {
    let lowered = {
        let mut scene = Scene::new();
        scene.log.witnesses.truncate(1);
        let config = scene.log.config();
        scene.log.configure(&config);
        let error = LookupError::LevelLowered { reached: Level::Quorum, shown: Level::Peer };
        scene.told(Step::Level, error)
    };
    let unwitnessed =
        Scene::new().lie(Step::Witnesses, LookupError::Witnesses(PolicyRefusal::TooFew(1)), |answer, log| {
            let signed = SignedCheckpoint::sign(&log.signer, log.head(log.size()));
            let one = signed.cosign(&log.witnesses[0], log.now);
            answer.evidence.checkpoint = signed.with(one);
        });
    let scene = Scene::new();
    let then = scene.log.now;
    let frozen = scene.told(Step::Frozen, LookupError::Frozen(then));
    let frozen = Lie { now: then.after(DAY).after(DAY), ..frozen };
    let scene = Scene::new();
    let ahead = scene.log.now.after(Millis(AHEAD.0 + 1));
    let early = scene.lie(Step::Ahead, LookupError::Ahead(ahead), |answer, log| {
        claim_anew(answer, log, |claim| claim.time = ahead);
    });
    vec![lowered, unwitnessed, frozen, early]
}

fn of_the_label() -> Vec<Lie> {
    let bob = Person::new("bob", 9).label;
    let other_label = {
        let mut scene = Scene::new().newcomer();
        let eve = Person { identity: mallory(), ..scene.alice.clone() };
        let bob_id = scene.log.label_id(&bob);
        let signed = eve.says_at(&scene.log, bob_id, Reason::Registration, None);
        scene.log.push(Kind::Bind, bob_id, eve.label.as_bytes(), signed.to_bytes());
        scene.lie(Step::Vrf, LookupError::Vrf, |answer, log| *answer = log.answer(&bob, View::default()))
    };
    let unsigned = Scene::new().lie(Step::ClaimSignature, LookupError::Claim, |answer, _| {
        answer.evidence.claim.signature[0] ^= 1;
    });
    let other_tree = Scene::new().lie(Step::ClaimTree, LookupError::Claim, |answer, log| {
        claim_anew(answer, log, |claim| claim.head.size += 1);
    });
    let other_claim = Scene::new().lie(Step::ClaimLabel, LookupError::Claim, |answer, log| {
        claim_anew(answer, log, |claim| claim.label_id = LabelId::from_bytes([9; 32]));
    });
    let older = {
        let mut scene = Scene::new();
        scene.alice.logs(&mut scene.log, Reason::Devices, Some(&scene.alice.identity));
        scene.lie(Step::Latest, LookupError::NotLatest, |answer, log| answer.latest = Some(log.proven(1)))
    };
    let of_bob = {
        let mut scene = Scene::new().newcomer();
        let eve = Person { identity: mallory(), ..scene.alice.clone() };
        let bob_id = scene.log.label_id(&bob);
        let signed = eve.says_at(&scene.log, bob_id, Reason::Registration, None);
        scene.log.push(Kind::Bind, bob_id, eve.label.as_bytes(), signed.to_bytes());
        scene.lie(Step::Label, LookupError::Label, |answer, log| {
            answer.latest = Some(log.proven(2));
            claim_anew(answer, log, |claim| claim.latest = Some(log.named(2)));
        })
    };
    vec![other_label, unsigned, other_tree, other_claim, older, of_bob]
}

fn of_the_entry() -> Vec<Lie> {
    let swap =
        |person: &Person| Person { identity: mallory(), devices: vec![device(66, 0)], ..person.clone() };
    let outside = {
        let scene = Scene::new().newcomer();
        let eve = swap(&scene.alice);
        scene.lie(Step::Included, LookupError::NotIncluded, |answer, log| {
            let mut other = SampleLog::new(3);
            eve.registers(&mut other);
            answer.latest = Some(other.proven(1));
            claim_anew(answer, log, |claim| claim.latest = Some(other.named(1)));
        })
    };
    let swapped = {
        let scene = Scene::new().newcomer();
        let eve = swap(&scene.alice);
        scene.lie(Step::Commitment, LookupError::Commitment, |answer, _| {
            let mut other = SampleLog::new(3);
            eve.registers(&mut other);
            answer.latest.as_mut().unwrap().contents = other.entries[1].1.clone();
        })
    };
    let kind = {
        let mut scene = Scene::new();
        let signed = scene.alice.says(&scene.log, Reason::Revocation, Some(&scene.alice.identity));
        let label_id = scene.log.label_id(&scene.alice.label);
        scene.log.push(Kind::Bind, label_id, scene.alice.label.as_bytes(), signed.to_bytes());
        scene.told(Step::Kind, LookupError::Kind)
    };
    let rollback = {
        let mut scene = Scene::new();
        scene.alice.logs(&mut scene.log, Reason::Devices, Some(&scene.alice.identity));
        scene.client.asks(&scene.log, &scene.alice.clone());
        scene.lie(Step::Rollback, LookupError::Rollback { known: 1, shown: 0 }, |answer, log| {
            answer.latest = Some(log.proven(1));
            claim_anew(answer, log, |claim| claim.latest = Some(log.named(1)));
        })
    };
    let vanished =
        Scene::new().lie(Step::Absent, LookupError::Rollback { known: 0, shown: 0 }, |answer, log| {
            answer.latest = None;
            claim_anew(answer, log, |claim| claim.latest = None);
        });
    vec![outside, swapped, kind, rollback, vanished]
}

fn of_the_signatures() -> Vec<Lie> {
    let ghost = {
        let mut scene = Scene::new();
        let haunted = Person { devices: vec![device(7, 0), device(66, 1)], ..scene.alice.clone() };
        haunted.logs(&mut scene.log, Reason::Devices, Some(&mallory()));
        scene.told(Step::Signatures, LookupError::Signatures(SuccessionError::SignedByPrevious))
    };
    let late_first = {
        let mut scene = Scene::new().newcomer();
        let eve = Person { identity: mallory(), devices: vec![device(66, 1)], ..scene.alice.clone() };
        eve.logs(&mut scene.log, Reason::Registration, None);
        scene.told(Step::FirstVersion, LookupError::Links)
    };
    let announced_ghost = {
        let mut scene = Scene::new();
        let haunted = Person { devices: vec![device(7, 0), device(66, 1)], ..scene.alice.clone() };
        haunted.logs(&mut scene.log, Reason::ResetPending, None);
        scene.told(Step::Announcement, LookupError::Links)
    };
    // A device was removed, and the version with it is shown as the one that an announcement leaves as it was.
    let older_base = {
        let mut scene = Scene::new().newcomer();
        let removed = Person { devices: vec![], ..scene.alice.clone() };
        removed.logs(&mut scene.log, Reason::Devices, Some(&scene.alice.identity));
        removed.logs(&mut scene.log, Reason::ResetPending, None);
        scene.lie(Step::Announcement, LookupError::Links, |answer, log| answer.base = Some(log.proven(1)))
    };
    let not_a_change = {
        let mut scene = Scene::new();
        let alice = scene.alice.clone();
        alice.logs(&mut scene.log, Reason::Devices, Some(&alice.identity));
        alice.logs(&mut scene.log, Reason::Devices, Some(&alice.identity));
        scene.lie(Step::LinkReason, LookupError::Links, |answer, log| answer.links = vec![log.proven(2)])
    };
    let silent_swap = {
        let mut scene = Scene::new();
        let before = scene.alice.identity.clone();
        let swapped = Person { identity: mallory(), ..scene.alice.clone() };
        swapped.logs(&mut scene.log, Reason::Devices, Some(&before));
        scene.told(Step::KeyReason, LookupError::Links)
    };
    let revived = {
        let mut scene = Scene::new();
        scene.alice.logs(&mut scene.log, Reason::Revocation, Some(&scene.alice.identity));
        scene.client.asks(&scene.log, &scene.alice.clone());
        scene.alice.logs(&mut scene.log, Reason::Devices, Some(&scene.alice.identity));
        scene.told(Step::Status, LookupError::Links)
    };
    vec![ghost, late_first, announced_ghost, older_base, not_a_change, silent_swap, revived]
}

fn of_resets() -> Vec<Lie> {
    let reset_after = |wait: Millis, announce: bool| {
        let mut scene = Scene::new();
        if announce {
            scene.alice.logs(&mut scene.log, Reason::ResetPending, None);
        } else {
            scene.alice.logs(&mut scene.log, Reason::Devices, Some(&scene.alice.identity));
        }
        scene.log.later(wait);
        let eve = Person { identity: mallory(), devices: vec![device(66, 2)], ..scene.alice.clone() };
        eve.logs(&mut scene.log, Reason::Reset, None);
        scene
    };
    // An announcement beside the version that everybody saw, shown to witnesses only.
    let hidden = {
        let mut scene = Scene::new();
        scene.alice.logs(&mut scene.log, Reason::Devices, Some(&scene.alice.identity));
        scene.client.asks(&scene.log, &scene.alice.clone());
        let (first, _) = scene.log.entries[1].clone();
        let mut other = SampleLog::new(3);
        scene.alice.registers(&mut other);
        let announced = scene.alice.logs(&mut other, Reason::ResetPending, None);
        assert_eq!(announced.prev, first.leaf_hash());
        let (_, contents) = other.entries[2].clone();
        scene.log.append(announced, contents);
        scene.log.later(DAY);
        let eve = Person { identity: mallory(), devices: vec![device(66, 2)], ..scene.alice.clone() };
        eve.logs(&mut scene.log, Reason::Reset, None);
        scene.lie(Step::OneChain, LookupError::TwoHistories, |answer, log| {
            answer.resets = vec![log.announced_by(3)];
        })
    };
    let error = LookupError::ResetNotAnnounced;
    let forged = reset_after(DAY, false).told(Step::ResetAnnounced, error.clone());
    let hasty = reset_after(Millis(DAY.0 - 1), true).told(Step::ResetDelay, error.clone());
    let unseen = reset_after(DAY, true).lie(Step::ResetSeen, error.clone(), |answer, log| {
        // Backdated: no witness had seen it then.
        answer.resets[0].seen = SignedCheckpoint::sign(&log.signer, answer.resets[0].seen.head());
    });
    let not_in_it = reset_after(DAY, true).lie(Step::ResetSeenIncluded, error.clone(), |answer, log| {
        let proof = log.consistency(2, log.size());
        let mut earlier = SampleLog::new(3);
        Person::new("alice", 7).registers(&mut earlier);
        answer.resets[0].seen = earlier.checkpoint(2);
        answer.resets[0].consistency = proof;
    });
    let elsewhere = reset_after(DAY, true).lie(Step::ResetSeenConsistent, error, |answer, log| {
        // A history of its own for the witnesses of that day.
        let mut other = SampleLog::new(3);
        Person::new("carol", 5).registers(&mut other);
        let (entry, contents) = log.entries[2].clone();
        other.append(entry, contents);
        answer.resets[0].seen = other.checkpoint(3);
        answer.resets[0].seen_inclusion = other.inclusion(2, 3);
    });
    vec![hidden, forged, hasty, unseen, not_in_it, elsewhere]
}

fn all() -> Vec<Lie> {
    [
        of_the_log(),
        of_the_config(),
        of_trust(),
        of_the_label(),
        of_the_entry(),
        of_the_signatures(),
        of_resets(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn each_lie_is_refused_and_passes_without_its_step() {
    for Lie { step, error, client, person, answer, now } in all() {
        assert_eq!(client.judges(&person, &answer, now), Err(error), "{step:?}");
        let fooled = without(step, || client.judges(&person, &answer, now));
        assert!(fooled.is_ok(), "{step:?} left out, still refused: {fooled:?}");
    }
}

#[test]
fn no_step_is_without_its_lie() {
    let met: BTreeSet<Step> = all().into_iter().map(|lie| lie.step).collect();
    let missing: Vec<Step> = Step::ALL.into_iter().filter(|step| !met.contains(step)).collect();
    assert_eq!(missing, []);
}

#[test]
fn nothing_that_is_missing_is_made_up() {
    let scene = || Scene::new().newcomer();
    let no_config = scene()
        .lie(Step::ConfigVersion, LookupError::ConfigVersion, |answer, _| answer.evidence.config = None);
    let no_value = scene().lie(Step::Commitment, LookupError::ValueUnreadable, |answer, _| {
        answer.latest.as_mut().unwrap().contents = None;
    });
    let garbage = scene().lie(Step::Commitment, LookupError::Commitment, |answer, _| {
        answer.latest.as_mut().unwrap().contents = Some((Opening::from_bytes([0; 16]), vec![1, 2, 3]));
    });
    let links =
        scene().lie(Step::LinkReason, LookupError::Links, |answer, log| answer.links = vec![log.proven(1)]);
    for Lie { error, client, person, answer, now, .. } in [no_config, no_value, garbage, links] {
        assert_eq!(client.judges(&person, &answer, now), Err(error));
    }
}
