use ed25519_dalek::SigningKey;

use super::*;
use crate::{
    entry::Kind,
    sample::{Person, SampleLog, device},
    value::ValueError,
};

/// A log, a person, and the versions of that person so far.
struct Story {
    log: SampleLog,
    alice: Person,
    last: Option<Predecessor>,
}

impl Story {
    fn new() -> Self {
        Self { log: SampleLog::new(0), alice: Person::new("alice", 7), last: None }
    }

    fn registered() -> Self {
        let mut story = Self::new();
        assert_eq!(story.tries(Reason::Registration, None), Ok(()));
        story
    }

    /// Logs what the person says, and judges it.
    fn tries(&mut self, reason: Reason, previous: Option<&SigningKey>) -> Result<(), SuccessionError> {
        let signed = self.alice.says(&self.log, reason, previous);
        self.tries_as(&signed)
    }

    fn tries_as(&mut self, signed: &SignedValue) -> Result<(), SuccessionError> {
        let entry = self.log.log(&self.alice, signed);
        let judged = judge(&self.log.origin, self.last.as_ref(), &entry, signed);
        if judged.is_ok() {
            let (version, leaf, time) = (entry.version, entry.leaf_hash(), entry.time);
            let value = Some(signed.value.clone());
            self.last = Some(Predecessor { version, leaf, time, seen_by: None, value });
        }
        judged
    }

    fn own(&mut self, reason: Reason) -> Result<(), SuccessionError> {
        let identity = self.alice.identity.clone();
        self.tries(reason, Some(&identity))
    }

    /// Gives the person another identity key and says so.
    fn with_new_key(&mut self, n: u8, reason: Reason, signs: bool) -> Result<(), SuccessionError> {
        let before = std::mem::replace(&mut self.alice.identity, SigningKey::from_bytes(&[n; 32]));
        self.tries(reason, signs.then_some(&before))
    }
}

#[test]
fn an_account_lives_and_ends() {
    let mut story = Story::registered();
    story.alice.devices.push(device(9, 1));
    assert_eq!(story.own(Reason::Devices), Ok(()));
    assert_eq!(story.with_new_key(21, Reason::Rotation, true), Ok(()));
    assert_eq!(story.tries(Reason::ResetPending, None), Ok(()));
    assert_eq!(story.own(Reason::ResetCancelled), Ok(()));
    assert_eq!(story.tries(Reason::ResetPending, None), Ok(()));
    story.log.later(RESET_DELAY);
    assert_eq!(story.with_new_key(22, Reason::Reset, false), Ok(()));
    assert_eq!(story.own(Reason::Revocation), Ok(()));
    assert_eq!(story.own(Reason::Closure).map_err(|_| ()), Err(()), "its own signature is missing");
}

#[test]
fn a_reset_needs_its_announcement_and_its_day() {
    let mut story = Story::registered();
    let early = story.with_new_key(22, Reason::Reset, false);
    let registration = Some(Reason::Registration);
    assert_eq!(early, Err(SuccessionError::Reason { previous: registration, next: Reason::Reset }));

    let mut story = Story::registered();
    assert_eq!(story.tries(Reason::ResetPending, None), Ok(()));
    story.log.later(Millis(RESET_DELAY.0 - 1));
    assert_eq!(story.with_new_key(22, Reason::Reset, false), Err(SuccessionError::TooEarly));
}

#[test]
fn nothing_but_an_answer_follows_an_announcement() {
    for reason in [Reason::Devices, Reason::Revocation, Reason::ResetPending] {
        let mut story = Story::registered();
        assert_eq!(story.tries(Reason::ResetPending, None), Ok(()));
        let identity = story.alice.identity.clone();
        let previous = (reason != Reason::ResetPending).then_some(&identity);
        let refused = story.tries(reason, previous);
        let pending = Some(Reason::ResetPending);
        assert_eq!(refused, Err(SuccessionError::Reason { previous: pending, next: reason }));
    }
}

#[test]
fn who_signs_what() {
    let thief = SigningKey::from_bytes(&[66; 32]);
    let mut story = Story::registered();
    assert_eq!(story.tries(Reason::Devices, None), Err(SuccessionError::SignedByPrevious));
    let mut story = Story::registered();
    assert_eq!(story.tries(Reason::Devices, Some(&thief)), Err(SuccessionError::SignedByPrevious));
    let mut story = Story::registered();
    let mut unsigned = story.alice.says(&story.log, Reason::Devices, Some(&story.alice.identity));
    unsigned.by_self = None;
    assert_eq!(story.tries_as(&unsigned), Err(SuccessionError::SignedBySelf));
    let mut story = Story::registered();
    assert_eq!(story.tries(Reason::ResetPending, Some(&thief)), Err(SuccessionError::SignedByPrevious));
    let mut story = Story::new();
    assert_eq!(story.tries(Reason::Registration, Some(&thief)), Err(SuccessionError::SignedByPrevious));
    let mut story = Story::registered();
    let stolen = Person { identity: thief, ..story.alice.clone() };
    let signed = stolen.says(&story.log, Reason::Registration, None);
    assert!(matches!(story.tries_as(&signed), Err(SuccessionError::Reason { .. })));
}

#[test]
fn keys_and_devices_change_only_where_the_reason_says_so() {
    let mut story = Story::registered();
    assert_eq!(story.with_new_key(22, Reason::Devices, true), Err(SuccessionError::Identity));
    let mut story = Story::registered();
    assert_eq!(story.own(Reason::Rotation), Err(SuccessionError::Identity));
    let mut story = Story::registered();
    story.alice.devices.push(device(9, 0));
    assert_eq!(story.own(Reason::Devices), Err(SuccessionError::Devices), "older than it is");
    let mut story = Story::registered();
    story.alice.devices.push(device(9, 1));
    assert_eq!(story.tries(Reason::ResetPending, None), Err(SuccessionError::Devices));
    let mut story = Story::registered();
    story.alice.account = qpq_core::AccountId::from_bytes([99; 16]);
    assert_eq!(story.own(Reason::Devices), Err(SuccessionError::Account));
}

#[test]
fn a_revoked_key_comes_back_by_a_reset_only() {
    let mut story = Story::registered();
    assert_eq!(story.own(Reason::Revocation), Ok(()));
    let refused = story.own(Reason::Devices);
    assert!(matches!(refused, Err(SuccessionError::Reason { .. })), "{refused:?}");
    let mut story = Story::registered();
    assert_eq!(story.own(Reason::Revocation), Ok(()));
    story.alice.devices = vec![];
    let revived = story.tries(Reason::ResetPending, None);
    assert!(matches!(revived, Err(SuccessionError::Reason { .. })), "active again: {revived:?}");
}

#[test]
fn numbers_times_and_predecessors_have_no_gaps() {
    let mut story = Story::registered();
    let signed = story.alice.says(&story.log, Reason::Devices, Some(&story.alice.identity));
    let entry = story.log.log(&story.alice, &signed);
    let judged = |entry: &Entry| judge(&story.log.origin, story.last.as_ref(), entry, &signed);
    assert_eq!(judged(&entry), Ok(()));
    assert_eq!(judged(&Entry { version: 2, ..entry }), Err(SuccessionError::Version));
    assert_eq!(judged(&Entry { version: 0, ..entry }), Err(SuccessionError::Version));
    assert_eq!(judged(&Entry { prev: Digest::ZERO, ..entry }), Err(SuccessionError::Prev));
    let earlier = entry.time.before(Millis(1));
    assert_eq!(judged(&Entry { time: earlier, ..entry }), Err(SuccessionError::Time));
    assert_eq!(judged(&Entry { kind: Kind::Close, ..entry }), Err(SuccessionError::Kind));
    assert_eq!(judge(&story.log.origin, None, &entry, &signed), Err(SuccessionError::Version));
}

#[test]
fn a_closed_name_is_opened_by_a_reset_and_nobody_objects() {
    let mut story = Story::registered();
    assert_eq!(story.tries(Reason::Closure, None), Ok(()));
    let before = story.last.clone().unwrap().value.unwrap();
    let closed =
        |reason| AccountValue::new(before.account(), before.identity(), Status::Closed, reason, vec![]);
    assert_eq!(closed(Reason::Devices), Err(ValueError::Status));
    let pending =
        SignedValue { value: closed(Reason::ResetPending).unwrap(), by_previous: None, by_self: None };
    assert_eq!(story.tries_as(&pending), Ok(()));
    let cancelled =
        SignedValue { value: closed(Reason::ResetCancelled).unwrap(), by_previous: None, by_self: None };
    assert!(matches!(story.tries_as(&cancelled), Err(SuccessionError::Reason { .. })));
    let mut story = Story::registered();
    assert_eq!(story.tries(Reason::Closure, None), Ok(()));
    assert_eq!(story.tries_as(&pending), Ok(()));
    story.log.later(RESET_DELAY);
    story.alice =
        Person { devices: vec![device(8, 3)], label: story.alice.label.clone(), ..Person::new("x", 33) };
    assert_eq!(story.tries(Reason::Reset, None), Ok(()));
}

#[test]
fn what_was_erased_is_not_needed_to_open_the_name_again() {
    let mut story = Story::registered();
    assert_eq!(story.tries(Reason::Closure, None), Ok(()));
    story.last = story.last.take().map(|last| Predecessor { value: None, ..last });
    let (account, identity) = (qpq_core::AccountId::from_bytes([0; 16]), IdentityKey::from_bytes([0; 32]));
    let neutral = AccountValue::new(account, identity, Status::Closed, Reason::ResetPending, vec![]).unwrap();
    let neutral = SignedValue { value: neutral, by_previous: None, by_self: None };
    assert_eq!(story.tries_as(&neutral), Ok(()));
    story.log.later(RESET_DELAY);
    story.alice =
        Person { devices: vec![device(8, 3)], label: story.alice.label.clone(), ..Person::new("x", 33) };
    assert_eq!(story.tries(Reason::Reset, None), Ok(()));
}

#[test]
fn a_day_begins_when_witnesses_have_seen_the_announcement() {
    let mut story = Story::registered();
    assert_eq!(story.tries(Reason::ResetPending, None), Ok(()));
    let seen = story.last.as_ref().map(|last| last.time.after(Millis(5_000)));
    story.last = story.last.take().map(|last| Predecessor { seen_by: seen, ..last });
    assert_eq!(story.own(Reason::ResetCancelled), Ok(()), "a no needs no waiting");
    assert_eq!(story.tries(Reason::ResetPending, None), Ok(()));
    story.last = story.last.take().map(|last| Predecessor { seen_by: seen, ..last });
    story.log.later(RESET_DELAY);
    assert_eq!(story.with_new_key(22, Reason::Reset, false), Err(SuccessionError::TooEarly));
}
