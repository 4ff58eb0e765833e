//! Accounts whose keys are logged: made, changed, shown and deleted through the use cases.

use qpq_core::{Address, ErrorCode, Millis};
use qpq_transparency_tree::{
    label::Label,
    lookup::{Asker, Binding, PinnedLog, Question, View, verify},
    value::Status,
};

use super::*;
use crate::{
    Caller, Opened, Settings, Views,
    fixture::{Home, Person},
    transparency::tests::{keys, opened},
};

/// A home with a log.
async fn home() -> Home {
    let home = Home::open();
    opened(&home, 3).await;
    home
}

/// What somebody of the same domain verifies about a user.
async fn verified(home: &Home, by: &Opened, user: &Address) -> (Option<Binding>, Vec<qpq_core::DeviceId>) {
    let views = Views::from([(user.clone(), View::default())]);
    let answers =
        home.use_cases.directory.resolve(&by.handle, std::slice::from_ref(user), None, &views).await;
    let answer = answers.unwrap().pop().unwrap().unwrap();
    let told = answer.lookup.unwrap();
    assert_eq!(told.log_key, *keys(1, 2).log().verifier());
    let question = Question { label: &Label::of(user), asker: Asker::Own, known: None };
    let verified = verify(&PinnedLog::first_seen(told.log_key), &question, &told.answer, home.now()).unwrap();
    (Some(verified.binding), answer.devices.iter().map(|device| device.device.device).collect())
}

async fn history(home: &Home, of: &Opened) -> OwnHistory {
    home.use_cases.own_keys.history(&of.handle, 0).await.unwrap()
}

/// Gives a session's account a device of which its own devices know nothing.
async fn has_row(home: &Home, of: &Opened, certificate: DeviceCertificate) {
    let (account, now) = (of.handle.account(), home.now());
    let device = Device { account, certificate, enrolled_at: now, last_seen_at: now, revoked_at: None };
    home.writes(move |tx| {
        let device = device.clone();
        Box::pin(async move { tx.device_enrol(&device, 9).await.map(drop) })
    })
    .await;
}

fn code<T>(answer: Answered<T>) -> ErrorCode {
    answer.map(drop).unwrap_err().code
}

#[tokio::test(start_paused = true)]
async fn an_account_and_its_devices_are_logged_with_their_making() {
    let home = home().await;
    let (alice, first) = home.joins("alice").await;
    let (binding, devices) = verified(&home, &first, &alice.address).await;
    let Some(Binding::Keys(value)) = binding else { panic!("{binding:?}") };
    assert_eq!((value.identity(), devices), (alice.identity_key(), vec![alice.device]));
    assert_eq!(value.account(), first.handle.account());

    let laptop = alice.with_new_device();
    let second = laptop.log_in(&home).await.unwrap();
    let (binding, devices) = verified(&home, &first, &alice.address).await;
    let Some(Binding::Keys(value)) = binding else { panic!("{binding:?}") };
    assert_eq!((value.devices().len(), devices.len()), (2, 2));
    // The same device again is nothing new.
    laptop.log_in(&home).await.unwrap();
    let told = history(&home, &second).await;
    assert_eq!((told.versions.len(), told.place.version, told.more), (2, 2, false));
    assert_eq!(history(&home, &first).await, told);
}

#[tokio::test(start_paused = true)]
async fn what_speaks_of_others_is_not_logged() {
    let home = home().await;
    let (alice, session) = home.joins("alice").await;
    let (mallory, _) = home.joins("mallory").await;
    let own = &home.use_cases.own_keys;
    let place = history(&home, &session).await.place;
    let devices = [alice.logged(0), mallory.logged(place.version)];
    let ghost = alice.binds(&place, Reason::Devices, &devices);
    assert_eq!(code(own.bind(&session.handle, ghost).await), ErrorCode::LogRefused);
    let stolen = Person { identity: mallory.identity.clone(), ..alice.clone() };
    let stolen = stolen.binds(&place, Reason::Devices, &[alice.logged(0)]);
    assert_eq!(code(own.bind(&session.handle, stolen).await), ErrorCode::LogRefused);
    let mut other = place.clone();
    other.account = AccountId::from_bytes([9; 16]);
    let other = alice.binds(&other, Reason::Devices, &[alice.logged(0)]);
    assert_eq!(code(own.bind(&session.handle, other).await), ErrorCode::LogRefused);
    for reason in [Reason::Rotation, Reason::Reset, Reason::Closure] {
        let devices: &[_] = if reason == Reason::Closure { &[] } else { &[alice.logged(0)] };
        let wrong_door = alice.binds(&place, reason, devices);
        assert_eq!(code(own.bind(&session.handle, wrong_door).await), ErrorCode::LogRefused);
    }
    assert_eq!(history(&home, &session).await.place, place, "nothing came of it");
}

#[tokio::test(start_paused = true)]
async fn accounts_from_before_the_log_come_into_it_later() {
    let home = Home::open();
    let (alice, session) = home.joins("alice").await;
    assert_eq!(code(home.use_cases.own_keys.history(&session.handle, 0).await), ErrorCode::NotFound);
    opened(&home, 3).await;
    let (binding, devices) = verified(&home, &session, &alice.address).await;
    assert_eq!(
        (binding, devices.len()),
        (Some(Binding::Absent), 1),
        "shown as it was, and proven to be unlogged"
    );
    let place = history(&home, &session).await.place;
    assert_eq!((place.version, place.value.is_none()), (0, true));
    let first = alice.binds(&place, Reason::Registration, &[alice.logged(0)]);
    home.use_cases.own_keys.bind(&session.handle, first).await.unwrap();
    let (binding, _) = verified(&home, &session, &alice.address).await;
    assert!(matches!(binding, Some(Binding::Keys(_))));
    // A revoked device is gone from the directory at once, and from the log when its owner says so.
    let laptop = alice.with_new_device();
    laptop.log_in(&home).await.unwrap();
    home.use_cases.devices.revoke_own(&session.handle, laptop.device).await.unwrap();
    let (binding, devices) = verified(&home, &session, &alice.address).await;
    let Some(Binding::Keys(value)) = binding else { panic!() };
    assert_eq!((value.devices().len(), devices.len()), (2, 1));
    let place = history(&home, &session).await.place;
    let fewer = alice.binds(&place, Reason::Devices, &[alice.logged(0)]);
    home.use_cases.own_keys.bind(&session.handle, fewer).await.unwrap();
    let (binding, _) = verified(&home, &session, &alice.address).await;
    let Some(Binding::Keys(value)) = binding else { panic!() };
    assert_eq!(value.devices().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_identity_key_comes_with_its_certificates() {
    let home = home().await;
    let (alice, session) = home.joins("alice").await;
    let own = &home.use_cases.own_keys;
    let place = history(&home, &session).await.place;
    let renewed = Person { identity: Person::new("x").identity, ..alice.clone() };
    let mut binding = renewed.binds(&place, Reason::Rotation, &[alice.logged(0)]);
    // The former key signs, too.
    let standing = qpq_transparency_tree::value::Standing {
        origin: &place.origin,
        label_id: place.label_id,
        version: place.version,
        prev: place.prev,
    };
    let message = qpq_transparency_tree::value::signed_bytes(&standing, &binding.value);
    binding.by_previous = Some(ed25519_dalek::Signer::sign(&alice.identity, &message).to_bytes());
    let new = Rekeying { binding, sealed_identity: vec![6; 48], certificates: vec![renewed.certificate()] };
    let uncertified = Rekeying { certificates: vec![alice.certificate()], ..new.clone() };
    assert_eq!(code(own.rekey(&session.handle, uncertified).await), ErrorCode::DeviceNotSigned);
    let fat = Rekeying { sealed_identity: vec![6; 2_000], ..new.clone() };
    assert_eq!(code(own.rekey(&session.handle, fat).await), ErrorCode::Malformed);
    own.rekey(&session.handle, new).await.unwrap();
    let (binding, devices) = verified(&home, &session, &alice.address).await;
    let Some(Binding::Keys(value)) = binding else { panic!() };
    assert_eq!((value.identity(), devices), (renewed.identity_key(), vec![alice.device]));
    let shown = home.use_cases.accounts.own(&session.handle).await.unwrap();
    assert_eq!(shown.keys.identity_key, renewed.identity_key());
    assert_eq!(shown.keys.devices, vec![renewed.certificate()]);
    // Who has only the former key changes nothing more.
    let place = history(&home, &session).await.place;
    let late = alice.binds(&place, Reason::Devices, &[alice.logged(0)]);
    assert_eq!(code(own.bind(&session.handle, late).await), ErrorCode::LogRefused);
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_announced_and_can_be_refused() {
    let home = home().await;
    let (alice, session) = home.joins("alice").await;
    let own = &home.use_cases.own_keys;
    let (place, from) = own.announce_reset(&session.handle).await.unwrap();
    assert_eq!(from, home.now().after(Millis::from_days(1)));
    home.wait(Millis::from_secs(60));
    let again = own.announce_reset(&session.handle).await.unwrap();
    assert_eq!(again, (place.clone(), from), "it is announced once");
    let lost = Person { identity: Person::new("x").identity, ..alice.clone() };
    let reset = |place: &LogPlace| Rekeying {
        binding: lost.binds(place, Reason::Reset, &[alice.logged(0)]),
        sealed_identity: vec![6; 48],
        certificates: vec![lost.certificate()],
    };
    assert_eq!(code(own.rekey(&session.handle, reset(&place)).await), ErrorCode::LogRefused, "too early");
    let no = alice.binds(&place, Reason::ResetCancelled, &[alice.logged(0)]);
    own.bind(&session.handle, no).await.unwrap();
    home.wait(Millis::from_days(2));
    let session = alice.log_in(&home).await.unwrap();
    let place = history(&home, &session).await.place;
    assert_eq!(code(own.rekey(&session.handle, reset(&place)).await), ErrorCode::LogRefused, "refused");
    let (place, _) = own.announce_reset(&session.handle).await.unwrap();
    home.wait(Millis::from_days(1));
    let session = alice.log_in(&home).await.unwrap();
    own.rekey(&session.handle, reset(&place)).await.unwrap();
    let (binding, _) = verified(&home, &session, &alice.address).await;
    let Some(Binding::Keys(value)) = binding else { panic!() };
    assert_eq!((value.identity(), value.status()), (lost.identity_key(), Status::Active));
}

#[tokio::test(start_paused = true)]
async fn nobody_fills_the_log_at_will() {
    let home = home().await;
    let (alice, session) = home.joins("alice").await;
    let own = &home.use_cases.own_keys;
    let place = history(&home, &session).await.place;
    let same = alice.binds(&place, Reason::Devices, &[alice.logged(0)]);
    assert_eq!(code(own.bind(&session.handle, same).await), ErrorCode::LogRefused, "nothing changed");
    // A device goes and comes back, again and again.
    let next = |place: &LogPlace| {
        let gone = place.value.as_ref().is_some_and(|signed| signed.value.devices().is_empty());
        let devices = if gone { vec![alice.logged(place.version)] } else { Vec::new() };
        alice.binds(place, Reason::Devices, &devices)
    };
    let mut logged = 0;
    let refused = loop {
        let place = history(&home, &session).await.place;
        match own.bind(&session.handle, next(&place)).await {
            Ok(_) => logged += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((logged, refused.code), (20, ErrorCode::RateLimited));
    assert_eq!(code(own.announce_reset(&session.handle).await), ErrorCode::RateLimited);
    home.wait(refused.retry_after.unwrap());
    own.announce_reset(&session.handle).await.unwrap();
    // Whoever announces resets at will takes the owner's no away from nobody.
    let place = history(&home, &session).await.place;
    let announced = place.value.as_ref().unwrap().value.devices().to_vec();
    let no = alice.binds(&place, Reason::ResetCancelled, &announced);
    own.bind(&session.handle, no).await.unwrap();
    home.wait(Millis::from_secs(600));
    let session = alice.log_in(&home).await.unwrap();
    let place = history(&home, &session).await.place;
    assert!(own.bind(&session.handle, next(&place)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_device_is_logged_with_a_certificate_by_the_key_that_counts() {
    let home = Home::open();
    let (alice, _) = home.joins("alice").await;
    opened(&home, 3).await;
    let session = alice.log_in(&home).await.unwrap();
    // The device's row says that another key certified it, as after a rotation that did not name it.
    let place = history(&home, &session).await.place;
    let ghost = alice.with_new_device();
    let stranger = Person { identity: Person::new("x").identity, ..ghost.clone() };
    has_row(&home, &session, stranger.certificate()).await;
    let own = &home.use_cases.own_keys;
    let both = alice.binds(&place, Reason::Registration, &[alice.logged(0), ghost.logged(0)]);
    assert_eq!(code(own.bind(&session.handle, both.clone()).await), ErrorCode::LogRefused);
    // It logs in, and brings the right one.
    ghost.log_in(&home).await.unwrap();
    own.bind(&session.handle, both).await.unwrap();
    let (_, devices) = verified(&home, &session, &alice.address).await;
    assert_eq!(devices.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_account_is_erased_and_its_name_waits_a_day() {
    let home = home().await;
    let (alice, _) = home.joins("alice").await;
    let (bob, bobs) = home.joins("bob").await;
    let root = Caller::uid(0, home.ground.new_request());
    let arguments = serde_json::json!({ "address": alice.address });
    home.actions.perform_value(&root, "user.delete", arguments).await.unwrap();
    let size = {
        let mut tx = home.ground.read().await.unwrap();
        let size = tx.kt_head().await.unwrap().unwrap().size;
        for index in 0..size {
            let contents = tx.kt_contents(index).await.unwrap();
            let told = contents.is_some_and(|contents| contents.label.starts_with(b"u/alice"));
            assert!(!told, "entry {index} still says whose it is");
        }
        size
    };
    assert_eq!(size, 4, "CONFIG, alice, bob, the end of alice");
    assert!(matches!(verified(&home, &bobs, &bob.address).await.0, Some(Binding::Keys(_))));
    let next = Person::new("alice");
    let refused = next.register(&home, "").await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after), (ErrorCode::NameTaken, Some(Millis::from_days(1))));
    home.wait(Millis::from_secs(3_600));
    let refused = next.register(&home, "").await.unwrap_err();
    assert_eq!(refused.retry_after, Some(Millis::from_secs(23 * 3_600)), "asking again doesn't begin anew");
    home.wait(Millis::from_secs(23 * 3_600));
    let opened = next.register(&home, "").await.unwrap();
    let (binding, _) = verified(&home, &opened, &next.address).await;
    let Some(Binding::Keys(value)) = binding else { panic!() };
    assert_eq!(value.identity(), next.identity_key());
}

#[tokio::test(start_paused = true)]
async fn a_device_that_no_version_names_is_in_no_directory() {
    let home = Home::with(Settings { registration: crate::RegistrationPolicy::Open, ..Settings::default() });
    let (alice, _) = home.joins("alice").await;
    opened(&home, 3).await;
    let session = alice.log_in(&home).await.unwrap();
    let place = history(&home, &session).await.place;
    let first = alice.binds(&place, Reason::Registration, &[alice.logged(0)]);
    home.use_cases.own_keys.bind(&session.handle, first).await.unwrap();
    // A device row that came some other way: the log's owner never named it.
    let ghost = alice.with_new_device();
    has_row(&home, &session, ghost.certificate()).await;
    let (_, devices) = verified(&home, &session, &alice.address).await;
    assert_eq!(devices, vec![alice.device]);
}
