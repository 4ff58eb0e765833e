//! What honest logs answer is believed, and means what it should.

use super::*;

#[test]
fn keys_are_found_and_followed() {
    let mut log = SampleLog::new(3);
    let mut alice = Person::new("alice", 7);
    alice.registers(&mut log);
    let mut client = Client::new(&log);
    let first = client.asks(&log, &alice);
    assert_eq!((first.change, keys(&first).devices()), (KeyChange::First, alice.devices.as_slice()));
    assert_eq!(
        first.trust,
        Trust {
            level: Level::Quorum,
            cosignatures: 3,
            at: log.now,
            stale: false,
            witness_silent: false,
            witnesses_changed: false
        }
    );

    alice.devices.push(device(8, 1));
    alice.logs(&mut log, Reason::Devices, Some(&alice.identity));
    Person::new("bob", 9).registers(&mut log);
    let second = client.asks(&log, &alice);
    assert_eq!((second.change, keys(&second).devices().len()), (KeyChange::Same, 2));
    assert_eq!(client.asks(&log, &alice).change, KeyChange::Same);

    let before = alice.identity.clone();
    alice.identity = Person::new("x", 17).identity;
    alice.logs(&mut log, Reason::Rotation, Some(&before));
    alice.logs(&mut log, Reason::Devices, Some(&alice.identity));
    assert_eq!(client.asks(&log, &alice).change, KeyChange::Rotated);
    let stranger = Client::new(&log).asks(&log, &alice);
    assert_eq!((stranger.change, stranger.label), (KeyChange::First, client.known));
}

#[test]
fn who_is_not_there_is_absent_until_they_are() {
    let mut log = SampleLog::new(2);
    let alice = Person::new("alice", 7);
    let mut client = Client::new(&log);
    let nobody = client.asks(&log, &alice);
    assert_eq!((nobody.binding, nobody.label, nobody.trust.level), (Binding::Absent, None, Level::Peer));
    alice.registers(&mut log);
    assert!(matches!(client.asks(&log, &alice).binding, Binding::Keys(_)));
}

#[test]
fn a_reset_is_announced_then_shown() {
    let mut log = SampleLog::new(3);
    let mut alice = Person::new("alice", 7);
    alice.registers(&mut log);
    let mut client = Client::new(&log);
    client.asks(&log, &alice);
    alice.logs(&mut log, Reason::ResetPending, None);
    let pending = client.asks(&log, &alice);
    assert_eq!((pending.change, keys(&pending).reason()), (KeyChange::Same, Reason::Registration));
    assert_eq!(client.asks(&log, &alice).change, KeyChange::Same);
    let stranger = Client::new(&log).asks(&log, &alice);
    assert_eq!(keys(&stranger).reason(), Reason::Registration);

    log.later(DAY);
    alice.identity = Person::new("x", 17).identity;
    alice.devices = vec![device(8, 2)];
    alice.logs(&mut log, Reason::Reset, None);
    let reset = client.asks(&log, &alice);
    assert_eq!((reset.change, keys(&reset).devices()), (KeyChange::Reset, alice.devices.as_slice()));
    assert_eq!(Client::new(&log).asks(&log, &alice).change, KeyChange::First);
}

#[test]
fn a_reset_between_two_looks_is_not_a_rotation() {
    let mut log = SampleLog::new(0);
    let mut alice = Person::new("alice", 7);
    alice.registers(&mut log);
    let mut client = Client::new(&log);
    client.asks(&log, &alice);
    alice.logs(&mut log, Reason::ResetPending, None);
    log.later(DAY);
    alice.identity = Person::new("x", 17).identity;
    alice.devices = vec![];
    alice.logs(&mut log, Reason::Reset, None);
    let before = alice.identity.clone();
    alice.identity = Person::new("x", 18).identity;
    alice.logs(&mut log, Reason::Rotation, Some(&before));
    assert_eq!(client.asks(&log, &alice).change, KeyChange::Reset);
}

#[test]
fn revoked_and_closed_accounts_have_no_devices() {
    let mut log = SampleLog::new(1);
    let alice = Person::new("alice", 7);
    alice.registers(&mut log);
    let mut client = Client::new(&log);
    client.asks(&log, &alice);
    alice.logs(&mut log, Reason::Revocation, Some(&alice.identity));
    let revoked = client.asks(&log, &alice);
    assert_eq!((keys(&revoked).status(), keys(&revoked).devices()), (Status::Revoked, &[][..]));
    alice.logs(&mut log, Reason::Closure, None);
    assert_eq!(client.asks(&log, &alice).binding, Binding::Closed);
    // Erased: opening and value are gone, the entry stays.
    let last = log.entries.len() - 1;
    for (_, contents) in &mut log.entries[1..] {
        *contents = None;
    }
    assert_eq!(client.asks(&log, &alice).binding, Binding::Closed);
    let stranger = Client::new(&log).asks(&log, &alice);
    assert_eq!(stranger.binding, Binding::Closed);
    assert_eq!(stranger.label.map(|label| (label.version, label.identity)), Some((2, None)));
    assert_eq!(log.entries[last].0.kind, Kind::Close);
}

#[test]
fn an_old_view_is_shown_as_old_and_then_refused() {
    let mut log = SampleLog::new(3);
    let alice = Person::new("alice", 7);
    alice.registers(&mut log);
    let client = Client::new(&log);
    let answer = log.answer(&alice.label, View::default());
    let at = |span| client.judges(&alice, &answer, log.now.after(span)).map(|verified| verified.trust.stale);
    assert_eq!(at(HOUR), Ok(false));
    assert_eq!(at(Millis(HOUR.0 + 1)), Ok(true));
    assert_eq!(at(DAY), Ok(true));
    assert_eq!(at(Millis(DAY.0 + 1)), Err(LookupError::Frozen(log.now)));
}

#[test]
fn a_silent_witness_stops_others_not_ones_own_users() {
    let mut log = SampleLog::new(3);
    let alice = Person::new("alice", 7);
    alice.registers(&mut log);
    let mut client = Client::new(&log);
    client.asks(&log, &alice);
    let mut silent = log.answer(&alice.label, client.view());
    silent.evidence.checkpoint = SignedCheckpoint::sign(&log.signer, log.head(log.size()));
    let refused = client.judges(&alice, &silent, log.now);
    assert_eq!(refused, Err(LookupError::Witnesses(PolicyRefusal::TooFew(0))));
    client.asker = Asker::Own;
    let served = client.judges(&alice, &silent, log.now).unwrap();
    assert!(served.trust.witness_silent && served.trust.level == Level::Logged);
    assert_eq!(served.log.level, Level::Quorum, "what was reached stays");
}

#[test]
fn a_closed_name_is_somebody_elses_after_a_reset() {
    let mut log = SampleLog::new(3);
    let mut alice = Person::new("alice", 7);
    alice.registers(&mut log);
    let mut client = Client::new(&log);
    client.asks(&log, &alice);
    alice.logs(&mut log, Reason::Closure, None);
    client.asks(&log, &alice);
    let mut stranger = Client::new(&log);
    stranger.asks(&log, &alice);
    // The announcement says nothing of whoever had the name.
    let (account, identity) = (qpq_core::AccountId::from_bytes([0; 16]), IdentityKey::from_bytes([0; 32]));
    let neutral = AccountValue::new(account, identity, Status::Closed, Reason::ResetPending, vec![]).unwrap();
    log.log(&alice, &SignedValue { value: neutral, by_previous: None, by_self: None });
    assert_eq!(client.asks(&log, &alice).binding, Binding::Closed);
    log.later(DAY);
    alice = Person { label: alice.label.clone(), devices: vec![device(8, 3)], ..Person::new("x", 33) };
    alice.logs(&mut log, Reason::Reset, None);
    for asker in [&mut client, &mut stranger] {
        let opened = asker.asks(&log, &alice);
        assert_eq!((opened.change, keys(&opened).devices()), (KeyChange::Reset, alice.devices.as_slice()));
    }
}

#[test]
fn other_witnesses_are_shown_and_ones_own_count_for_nothing() {
    let mut log = SampleLog::new(3);
    let alice = Person::new("alice", 7);
    alice.registers(&mut log);
    let mut client = Client::new(&log);
    assert!(!client.asks(&log, &alice).trust.witnesses_changed);
    log.witnesses = (4..=6).map(crate::sample::witness).collect();
    log.configure(&log.config());
    assert!(client.asks(&log, &alice).trust.witnesses_changed);
    assert!(!client.asks(&log, &alice).trust.witnesses_changed);

    let own = KeyName::of_witness(&"alpha.test".parse().unwrap());
    let keys: Vec<VerifierKey> = log.config().witnesses().to_vec();
    let own = VerifierKey::new(own, crate::key::Algorithm::CosignatureV1, *keys[0].public()).unwrap();
    assert_eq!(operators(&log.origin, &keys), 3);
    assert_eq!(operators(&log.origin, &[own, keys[1].clone(), keys[1].clone()]), 1);
}
