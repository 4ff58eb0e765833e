//! All versions under one name, and what could not have been next.

use ed25519_dalek::{Signer, SigningKey};
use qpq_core::{AccountId, Digest, IdentityKey, Millis};
use qpq_transparency_tree::{
    entry::{Entry, Kind},
    succession::RESET_DELAY,
    value::{AccountValue, LoggedDevice, Reason, SignedValue, Standing, Status, signed_bytes},
};
use serde_json::{Value, json};

use super::{
    hex,
    sample::{Person, SampleLog, device},
    values::described,
};

/// How many versions there are.
pub(crate) const STEPS: u32 = 11;

/// A log and the account in it.
pub(crate) struct History {
    pub(crate) log: SampleLog,
    pub(crate) alice: Person,
}

/// The first versions.
pub(crate) fn history(steps: u32) -> History {
    let mut history = History { log: SampleLog::new(1), alice: Person::new("alice", 7) };
    (0..steps).for_each(|step| history.live(step));
    history
}

impl History {
    fn live(&mut self, step: u32) {
        let Self { log, alice } = self;
        log.later(Millis(1_000));
        let before = alice.identity.clone();
        let (reason, signs) = match step {
            0 => (Reason::Registration, false),
            1 => {
                alice.devices.push(device(8, 1));
                (Reason::Devices, true)
            }
            2 => {
                alice.identity = SigningKey::from_bytes(&[17; 32]);
                (Reason::Rotation, true)
            }
            4 => (Reason::ResetCancelled, true),
            6 => {
                log.later(RESET_DELAY);
                alice.identity = SigningKey::from_bytes(&[18; 32]);
                alice.devices = vec![device(9, 6)];
                (Reason::Reset, false)
            }
            7 => (Reason::Revocation, true),
            8 => (Reason::Closure, false),
            9 => return self.announce_for_somebody_else(),
            10 => {
                log.later(RESET_DELAY);
                *alice = Person {
                    label: alice.label.clone(),
                    devices: vec![device(33, 10)],
                    ..Person::new("x", 33)
                };
                (Reason::Reset, false)
            }
            _ => (Reason::ResetPending, false),
        };
        alice.logs(log, reason, signs.then_some(&before));
    }

    /// The announcement after a closure, which says nothing of whoever had the name.
    fn announce_for_somebody_else(&mut self) {
        let (account, identity) = (AccountId::from_bytes([0; 16]), IdentityKey::from_bytes([0; 32]));
        let value =
            AccountValue::new(account, identity, Status::Closed, Reason::ResetPending, vec![]).unwrap();
        self.log.log(&self.alice, &SignedValue { value, by_previous: None, by_self: None });
    }

    /// What may come next, or not.
    fn next(mut self, signed: &SignedValue) -> (Entry, Vec<u8>) {
        let entry = self.log.log(&self.alice, signed);
        (entry, signed.to_bytes())
    }
}

/// The entries with their values.
fn life() -> (SampleLog, Vec<(Entry, Vec<u8>)>) {
    let History { log, alice } = history(STEPS);
    let label_id = log.label_id(&alice.label);
    let of_alice = log.entries.iter().filter(|(entry, _)| entry.label_id == label_id);
    let life = of_alice.map(|(entry, contents)| (*entry, contents.as_ref().unwrap().1.clone())).collect();
    (log, life)
}

/// The value of one version.
pub(crate) fn of_the_life(version: usize) -> Vec<u8> {
    life().1.swap_remove(version).1
}

pub(crate) fn versions() -> Value {
    let (log, life) = life();
    let version = |(entry, value): &(Entry, Vec<u8>)| {
        let signed = SignedValue::from_bytes(value).unwrap();
        json!({
            "entry": hex(&entry.to_bytes()),
            "value": described(&signed),
            "signed": is_signed(&signed).then(|| hex(&signed_bytes(&entry.standing(&log.origin), &signed.value))),
        })
    };
    json!({
        "origin": log.origin.as_str(),
        "label": Person::new("alice", 7).label.to_string(),
        "versions": life.iter().map(version).collect::<Vec<_>>(),
        "refused": refused(),
    })
}

const fn is_signed(signed: &SignedValue) -> bool {
    signed.by_previous.is_some() || signed.by_self.is_some()
}

/// What can't follow the version `after`.
fn case(name: &str, after: Option<u32>, (entry, value): &(Entry, Vec<u8>), error: &str) -> Value {
    json!({
        "name": name,
        "after": after,
        "entry": hex(&entry.to_bytes()),
        "value": hex(value),
        "error": error,
    })
}

fn refused() -> Vec<Value> {
    [of_the_entry(), of_the_value(), of_the_signatures()].concat()
}

/// A closure by the domain as the second version, sound in itself.
fn second() -> (Entry, Vec<u8>) {
    let history = history(1);
    let signed = history.alice.says(&history.log, Reason::Closure, None);
    history.next(&signed)
}

fn of_the_entry() -> Vec<Value> {
    let (entry, value) = second();
    let changed = |entry: Entry| (entry, value.clone());
    let gap = changed(Entry { version: 2, ..entry });
    let elsewhere = changed(Entry { prev: Digest::of(&[b"another entry"]), ..entry });
    let earlier = changed(Entry { time: entry.time.before(Millis(1_001)), ..entry });
    let kind = changed(Entry { kind: Kind::Revoke, ..entry });
    vec![
        case("a version is left out", Some(0), &gap, "Version"),
        case("it follows another entry", Some(0), &elsewhere, "Prev"),
        case("it is older than the one before", Some(0), &earlier, "Time"),
        case("a REVOKE entry of a value that is closed", Some(0), &kind, "Kind"),
    ]
}

fn of_the_value() -> Vec<Value> {
    let says = |steps: u32, reason: Reason, change: fn(&mut Person)| {
        let mut history = history(steps);
        let before = history.alice.identity.clone();
        change(&mut history.alice);
        let signed = history.alice.says(&history.log, reason, Some(&before));
        history.next(&signed)
    };
    let nothing = |_: &mut Person| {};
    let stranger = |alice: &mut Person| alice.account = AccountId::from_bytes([66; 16]);
    let new_key = |alice: &mut Person| alice.identity = SigningKey::from_bytes(&[66; 32]);
    let backdated = |alice: &mut Person| alice.devices.push(device(66, 0));
    let changed = |alice: &mut Person| {
        let [LoggedDevice { signature_key, .. }, ..] = alice.devices.as_mut_slice() else { return };
        *signature_key = device(66, 0).signature_key;
    };
    let early = {
        let mut history = history(6);
        history.log.later(Millis(RESET_DELAY.0 - 1));
        history.alice.identity = SigningKey::from_bytes(&[18; 32]);
        let signed = history.alice.says(&history.log, Reason::Reset, None);
        history.next(&signed)
    };
    vec![
        case("a rotation as the first version", None, &says(0, Reason::Rotation, nothing), "Reason"),
        case("a reset that wasn't announced", Some(0), &says(1, Reason::Reset, new_key), "Reason"),
        case("another account", Some(0), &says(1, Reason::ResetPending, stranger), "Account"),
        case("another key with a device change", Some(0), &says(1, Reason::Devices, new_key), "Identity"),
        case("a rotation to the same key", Some(0), &says(1, Reason::Rotation, nothing), "Identity"),
        case(
            "a device that was there before, it says",
            Some(1),
            &says(2, Reason::Devices, backdated),
            "Devices",
        ),
        case("a device with another key than before", Some(1), &says(2, Reason::Devices, changed), "Devices"),
        case("a reset a millisecond too early", Some(5), &early, "TooEarly"),
    ]
}

fn of_the_signatures() -> Vec<Value> {
    let with = |reason: Reason, by: Option<u8>, change: fn(&mut SignedValue)| {
        let mut history = history(1);
        history.alice.devices.push(device(66, 1));
        let by = by.map(|n| SigningKey::from_bytes(&[n; 32]));
        let mut signed = history.alice.says(&history.log, reason, by.as_ref());
        change(&mut signed);
        history.next(&signed)
    };
    let unchanged = |_: &mut SignedValue| {};
    let unsigned = |signed: &mut SignedValue| signed.by_self = None;
    vec![
        case(
            "a ghost device, signed by a stranger",
            Some(0),
            &with(Reason::Devices, Some(66), unchanged),
            "SignedByPrevious",
        ),
        case(
            "a device that the new key didn't sign for",
            Some(0),
            &with(Reason::Devices, Some(7), unsigned),
            "SignedBySelf",
        ),
        case("a signature for another log", Some(0), &of_another_log(), "SignedByPrevious"),
        case("a closure that half is signed", Some(0), &half_closed(), "SignedByPrevious"),
    ]
}

fn of_another_log() -> (Entry, Vec<u8>) {
    let mut history = history(1);
    let alice = history.alice.clone();
    let ours = std::mem::replace(&mut history.log.origin, "beta.test/kt/v1".parse().unwrap());
    let signed = alice.says(&history.log, Reason::Devices, Some(&alice.identity));
    history.log.origin = ours;
    history.next(&signed)
}

fn half_closed() -> (Entry, Vec<u8>) {
    let history = history(1);
    let alice = &history.alice;
    let identity = IdentityKey::from_bytes(alice.identity.verifying_key().to_bytes());
    let value = AccountValue::new(alice.account, identity, Status::Closed, Reason::Closure, vec![]).unwrap();
    let label_id = history.log.label_id(&alice.label);
    let (version, prev) = history.log.standing(label_id);
    let origin = &history.log.origin;
    let standing = Standing { origin, label_id, version, prev };
    let by_self = alice.identity.sign(&signed_bytes(&standing, &value)).to_bytes();
    history.next(&SignedValue { value, by_previous: None, by_self: Some(by_self) })
}
