//! What a client does about keys that don't count, without a homeserver.

use ed25519_dalek::SigningKey;
use qpq_core::{AccountId, DeviceCertificate, DeviceId, Digest, Millis, SignatureKey, limits};
use qpq_transparency_tree::{
    LogSigner,
    entry::{Entry, Kind},
    label::LabelId,
    value::{LoggedDevice, Reason, SignedValue},
};

use super::{
    chain::Place,
    sign::{named, with_devices},
    *,
};
use crate::{
    identity::Identity,
    mls::Content,
    store::{AlarmKind, GroupRecord, GroupState, NewOutgoing, OwnCheck, OwnVersion, Target},
    testing::{Somebody, conversation, id},
};

fn bob() -> Address {
    "bob@beta.test".parse().unwrap()
}

fn label(status: Status) -> KnownLabel {
    KnownLabel { version: 1, leaf: Digest::of(&[b"leaf"]), status, identity: None }
}

async fn pin_log(somebody: &Somebody, domain: &str) {
    let origin = KeyName::of_log(&domain.parse().unwrap());
    let signer = LogSigner::new(origin, SigningKey::from_bytes(&[5; 32]));
    let mut tx = somebody.client.inner.store.begin().await.unwrap();
    let (log, now) = (PinnedLog::first_seen(signer.verifier().clone()), somebody.client.now());
    tx.save_log(&log, now, now).await.unwrap();
    tx.commit().await.unwrap();
}

fn keys(of: &Somebody) -> UserKeys {
    let account = of.client.me().unwrap().account.clone();
    let identity = Identity::from_bytes(*account.identity.expose()).public();
    UserKeys { address: account.address, identity, devices: vec![account.certificate], lookup: None }
}

/// Whether alice's queued message would go out now.
async fn goes_out(alice: &Somebody) -> bool {
    let prepared = alice.client.prepare(&crate::outbox::Waiting::default()).await.unwrap();
    !prepared.submits.is_empty()
}

#[tokio::test]
async fn conversations_stop_with_whoever_revoked_their_key_until_it_counts_again() {
    let (alice, bob_) = (Somebody::called("alice@alpha.test").await, Somebody::called("bob@beta.test").await);
    alice.knows(&bob_).await;
    let mut talk = conversation(&alice, &bob_).await;
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    let (name, peer, since) = (Some("team".to_owned()), None, alice.client.now());
    tx.save_group_record(&GroupRecord { id: talk.id.clone(), name, peer, state: GroupState::Active, since })
        .await
        .unwrap();
    tx.save_group(&mut talk.alice).await.unwrap();
    let content = Content::text("hello", since);
    tx.enqueue(&NewOutgoing { id: id(1), target: Target::Group(talk.id.clone()), content }).await.unwrap();
    tx.commit().await.unwrap();
    alice.client.prove(&talk.id).await.unwrap();
    alice.client.inner.live.set(true);

    for status in [Status::Revoked, Status::Closed] {
        let mut tx = alice.client.inner.store.begin().await.unwrap();
        tx.save_label(&bob(), &label(status)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!goes_out(&alice).await, "{status:?}");
        let refused = alice.client.send(&talk.id.to_string(), "and this").await.unwrap_err();
        let typed = match status {
            Status::Revoked => matches!(refused, ClientError::KeysRevoked { .. }),
            _ => matches!(refused, ClientError::Closed { .. }),
        };
        assert!(typed, "{refused:?}");
    }
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    tx.save_label(&bob(), &label(Status::Active)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(goes_out(&alice).await, "it was kept, and goes out");
}

#[tokio::test]
async fn nothing_goes_out_of_an_account_whose_own_key_is_revoked() {
    let alice = Somebody::called("alice@alpha.test").await;
    alice.client.may_send().await.unwrap();
    let me = alice.client.me().unwrap();
    let identity = Identity::from_bytes(*me.account.identity.expose()).public();
    let value = AccountValue::new(
        AccountId::from_bytes([1; 16]),
        identity,
        Status::Revoked,
        Reason::Revocation,
        vec![],
    );
    let counts = Some(SignedValue { value: value.unwrap(), by_previous: None, by_self: None });
    let entry = Entry {
        kind: Kind::Revoke,
        label_id: LabelId::from_bytes([2; 32]),
        version: 0,
        time: alice.client.now(),
        prev: Digest::ZERO,
        commitment: Digest::ZERO,
    };
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    tx.save_own_version(&OwnVersion { entry, reason: Reason::Revocation, devices: 0, counts }).await.unwrap();
    tx.commit().await.unwrap();
    let refused = alice.client.may_send().await.unwrap_err();
    assert!(matches!(refused, ClientError::OwnKeyRevoked), "{refused:?}");
}

#[tokio::test]
async fn a_domain_that_shows_its_log_for_one_user_shows_it_for_all() {
    let (alice, bob_) = (Somebody::called("alice@alpha.test").await, Somebody::called("bob@beta.test").await);
    let keys = keys(&bob_);
    let mut asked = alice.client.asking(&[bob()]).await.unwrap();
    alice.client.judge(&asked, &[(bob(), &keys)]).await.unwrap();
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    assert_eq!(alice.client.in_log(&mut tx, &bob()).await.unwrap(), InLog::NoLog);
    drop(tx);
    asked.shown.insert(KeyName::of_log(bob().domain()));
    let refused = alice.client.judge(&asked, &[(bob(), &keys)]).await.unwrap_err();
    assert!(matches!(refused, ClientError::LogWithheld { .. }) && refused.is_about_keys(), "{refused:?}");
}

#[tokio::test]
async fn whoever_a_log_does_not_have_is_shown_as_unlogged() {
    let alice = Somebody::called("alice@alpha.test").await;
    pin_log(&alice, "beta.test").await;
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    assert_eq!(alice.client.in_log(&mut tx, &bob()).await.unwrap(), InLog::Unlogged);
    tx.save_label(&bob(), &label(Status::Active)).await.unwrap();
    assert_eq!(alice.client.in_log(&mut tx, &bob()).await.unwrap(), InLog::Logged);
}

#[tokio::test]
async fn who_can_not_look_at_the_own_keys_for_a_day_sends_nothing() {
    let alice = Somebody::called("alice@alpha.test").await;
    let now = alice.client.now();
    for (since, pinned, expected) in [
        (Millis::from_days(2), false, None),
        (Millis::from_secs(80_000), true, None),
        (Millis::from_days(2), true, Some(AlarmKind::Unlooked)),
    ] {
        if pinned {
            pin_log(&alice, "alpha.test").await;
        }
        let looked_at = now.before(since);
        let mut tx = alice.client.inner.store.begin().await.unwrap();
        tx.save_own_check(&OwnCheck { checked_at: looked_at, looked_at, alarm: None }).await.unwrap();
        tx.commit().await.unwrap();
        // Nobody answers here: it is the same as an answer of "later".
        alice.client.keep_own_keys(Care::Usual).await.unwrap_err();
        let mut tx = alice.client.inner.store.begin().await.unwrap();
        let alarm = tx.own_check().await.unwrap().unwrap().alarm;
        assert_eq!(alarm.map(|alarm| alarm.kind), expected);
    }
    let refused = alice.client.may_send().await.unwrap_err();
    assert!(matches!(refused, ClientError::OwnKeys { .. }), "{refused:?}");
}

fn device(n: u8) -> LoggedDevice {
    let signature_key = SignatureKey::from_bytes([n; 32]);
    LoggedDevice { device: DeviceId::from_bytes([n; 16]), signature_key, added_in: 0 }
}

fn place(of: &Somebody, devices: Vec<LoggedDevice>) -> Place {
    let me = of.client.me().unwrap();
    let identity = Identity::from_bytes(*me.account.identity.expose()).public();
    let account = AccountId::from_bytes([1; 16]);
    let before = AccountValue::new(account, identity, Status::Active, Reason::Devices, devices).unwrap();
    Place {
        origin: KeyName::of_log(me.address().domain()),
        label_id: LabelId::from_bytes([2; 32]),
        version: 7,
        prev: Digest::of(&[b"before"]),
        account,
        before: Some(before),
    }
}

fn certificate(of: &Somebody, device: &LoggedDevice) -> DeviceCertificate {
    let own = of.client.me().unwrap().account.certificate.clone();
    let mut certificate = DeviceCertificate { signature_key: device.signature_key, ..own };
    certificate.device.device = device.device;
    certificate
}

#[tokio::test]
async fn the_next_version_has_this_device_and_none_that_was_ended() {
    let alice = Somebody::called("alice@alpha.test").await;
    let account = alice.client.me().unwrap().account.clone();
    let own = &account.certificate;
    let all: Vec<_> = (1..=3).map(device).collect();
    let active = [own.clone(), certificate(&alice, &all[0]), certificate(&alice, &all[2])];
    let signed = with_devices(&account, &place(&alice, all.clone()), &active).unwrap().unwrap();
    let added = LoggedDevice { added_in: 7, ..named(own, &place(&alice, vec![])) };
    let mut expected = vec![all[0], all[2], added];
    expected.sort_unstable_by_key(|device| device.device);
    assert_eq!(signed.value.devices(), expected);
    // Nothing is left to be said then.
    let after = place(&alice, expected);
    assert_eq!(with_devices(&account, &after, &active).unwrap(), None);

    // A set that is full has no room for another one, which is no error that comes back for ever.
    let full: Vec<_> = (1..=u8::try_from(limits::DEVICES_PER_ACCOUNT).unwrap()).map(device).collect();
    let active: Vec<_> = full.iter().map(|device| certificate(&alice, device)).collect();
    assert_eq!(with_devices(&account, &place(&alice, full), &active).unwrap(), None);
}
