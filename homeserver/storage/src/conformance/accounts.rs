//! Accounts, devices, sessions.

use qpq_core::{AccountId, DeviceCertificate, Digest, IdentityKey, SessionId, SignatureKey};

use super::{
    Failure, Outcome, Subject, conflicts,
    fixtures::{
        account, at, device, device_address, device_id, digest, enrol, group_id, group_of, message, waiting,
    },
    read, same,
    small::token,
    write,
};
use crate::{
    Account, AccountCreated, Device, DeviceEnrolled, Feed, KeyPackageStock, Notice, Rekey, Resumed, Session,
    StoredKeyPackage,
};

/// Everything of an account and its device comes back, also after a restart.
pub async fn an_account_reads_back(subject: &mut dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    let (account, device) = (account("alice", 1)?, device("alice", 1, 1)?);
    same("by name", tx.account_named(&account.localpart).await?, Some(account.clone()))?;
    same("by id", tx.account(&account.id).await?, Some(account.clone()))?;
    same("devices", tx.devices(&account.id).await?, vec![device.clone()])?;
    same("device", tx.device(&device_id(1)).await?, Some(device))?;
    same("another", tx.account(&AccountId::from_bytes([9; 16])).await?, None)
}

/// The second account of a name is refused; an id that exists is a contradiction.
pub async fn a_name_is_taken_once(subject: &mut dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    let mut tx = write(subject).await?;
    let taken = tx.account_create(&account("alice", 2)?, &device("alice", 2, 2)?, None).await?;
    same("the same name", taken, AccountCreated::NameTaken)?;
    same("its device", tx.device(&device_id(2)).await?, None)?;
    let conflict = tx.account_create(&account("bob", 3)?, &device("bob", 3, 1)?, None).await;
    conflicts("the same device", conflict)
}

/// A token's uses are taken with the accounts, and only with them.
pub async fn a_token_makes_as_many_accounts_as_it_says(subject: &mut dyn Subject) -> Outcome {
    use AccountCreated::{Created, NameTaken, TokenRefused};
    let mut tx = write(subject).await?;
    tx.registration_token_create(&token(1, Some(2)), &digest(1)).await?;
    let id = token(1, None).id;
    let mut outcomes = Vec::new();
    for (name, number) in [("alice", 1), ("alice", 2), ("bob", 3), ("carol", 4)] {
        let made =
            tx.account_create(&account(name, number)?, &device(name, number, number)?, Some(&id)).await?;
        outcomes.push(made);
    }
    same("outcomes", outcomes, vec![Created, NameTaken, Created, TokenRefused])?;
    let used = tx.registration_token(&digest(1)).await?.map(|token| token.used);
    same("used", used, Some(2))
}

/// With a bad token, a taken name and a free one are told apart by nobody.
pub async fn a_token_is_judged_before_the_name(subject: &mut dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    let mut tx = write(subject).await?;
    let id = token(1, None).id;
    let made = tx.account_create(&account("alice", 2)?, &device("alice", 2, 2)?, Some(&id)).await?;
    same("unknown token", made, AccountCreated::TokenRefused)?;
    tx.registration_token_create(
        &crate::RegistrationToken { expires_at: Some(at(1)), ..token(1, None) },
        &digest(1),
    )
    .await?;
    let made = tx.account_create(&account("bob", 2)?, &device("bob", 2, 2)?, Some(&id)).await?;
    same("expired token", made, AccountCreated::TokenRefused)
}

/// Names in order, page by page.
pub async fn accounts_are_paged_by_name(subject: &mut dyn Subject) -> Outcome {
    for (name, number) in [("carol", 1), ("alice", 2), ("bob", 3)] {
        enrol(subject, name, number).await?;
    }
    let mut tx = read(subject).await?;
    same("first", tx.accounts(None, 2).await?, vec![account("alice", 2)?, account("bob", 3)?])?;
    same("rest", tx.accounts(Some(&"bob".parse()?), 2).await?, vec![account("carol", 1)?])
}

/// The same device is known again; the same id with another key or account is taken.
pub async fn devices_are_found_again(subject: &mut dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    enrol(subject, "bob", 2).await?;
    let mut tx = write(subject).await?;
    let known = device("alice", 1, 1)?;
    same("the same", tx.device_enrol(&known, 16).await?, DeviceEnrolled::Known)?;
    let mut certified_anew = known.clone();
    certified_anew.certificate.certified_at = at(77);
    certified_anew.certificate.signature = [77; 64];
    same("certified anew", tx.device_enrol(&certified_anew, 16).await?, DeviceEnrolled::Known)?;
    let found = tx.device(&known.certificate.device.device).await?.map(|device| device.certificate);
    same("its certificate", found, Some(certified_anew.certificate))?;
    same("as before", tx.device_enrol(&known, 16).await?, DeviceEnrolled::Known)?;
    let mut other_key = known.clone();
    other_key.certificate.signature_key = SignatureKey::from_bytes([77; 32]);
    same("another key", tx.device_enrol(&other_key, 16).await?, DeviceEnrolled::Taken)?;
    same("another account", tx.device_enrol(&device("bob", 2, 1)?, 16).await?, DeviceEnrolled::Taken)?;
    same("a new one", tx.device_enrol(&device("alice", 1, 5)?, 16).await?, DeviceEnrolled::New)?;
    same("devices", tx.devices(&account("alice", 1)?.id).await?, vec![known, device("alice", 1, 5)?])?;
    let strayed = tx.device_enrol(&device("dave", 9, 9)?, 16).await;
    conflicts("of no account", strayed)
}

/// Only active devices count.
pub async fn devices_are_limited(subject: &mut dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    let mut tx = write(subject).await?;
    same("second", tx.device_enrol(&device("alice", 1, 2)?, 2).await?, DeviceEnrolled::New)?;
    same("third", tx.device_enrol(&device("alice", 1, 3)?, 2).await?, DeviceEnrolled::TooMany)?;
    tx.device_revoke(&device_id(1), at(5)).await?;
    same("third again", tx.device_enrol(&device("alice", 1, 3)?, 2).await?, DeviceEnrolled::New)
}

/// A revoked device's id never comes back; its belongings are gone.
pub async fn revoked_devices_stay_revoked(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let group = group_of(subject, 1, std::slice::from_ref(&alice)).await?;
    furnish(subject, 1).await?;
    let mut tx = write(subject).await?;
    tx.log_append(&group, &[message(1)]).await?;
    same("revoking", tx.device_revoke(&alice.device, at(50)).await?, true)?;
    same("again", tx.device_revoke(&alice.device, at(51)).await?, false)?;
    tx.commit().await?;
    let mut tx = write(subject).await?;
    let revoked = tx.device(&alice.device).await?.and_then(|device| device.revoked_at);
    same("when", revoked, Some(at(50)))?;
    same("enrolling again", tx.device_enrol(&device("alice", 1, 1)?, 16).await?, DeviceEnrolled::Revoked)?;
    same("feeds", tx.feeds(&alice.device).await?, vec![])?;
    same("backlog", waiting(tx.as_mut(), &[alice.device]).await?, vec![0])?;
    same("notices", tx.mailbox_after(&alice.device, qpq_core::Seq::ZERO, 10).await?, vec![])?;
    same("stock", tx.key_package_stock(&alice.device, at(0)).await?, KeyPackageStock::default())?;
    same("sessions", tx.sessions(None, 10).await?, vec![])
}

/// Devices of the whole domain, oldest first, page by page.
pub async fn devices_are_paged_by_age(subject: &mut dyn Subject) -> Outcome {
    for (name, number) in [("carol", 3), ("alice", 1), ("bob", 2)] {
        enrol(subject, name, number).await?;
    }
    let mut tx = read(subject).await?;
    let ids = |devices: Vec<Device>| -> Vec<_> {
        devices.into_iter().map(|device| device.certificate.device.device).collect()
    };
    same("first", ids(tx.all_devices(None, 2).await?), vec![device_id(1), device_id(2)])?;
    same("rest", ids(tx.all_devices(Some(&device_id(2)), 2).await?), vec![device_id(3)])?;
    same("end", ids(tx.all_devices(Some(&device_id(3)), 2).await?), vec![])
}

fn session(number: u8, device: u8) -> Session {
    Session {
        id: SessionId::from_bytes([number; 16]),
        account: AccountId::from_bytes([device; 16]),
        device: device_id(device),
        opened_at: at(10 + u64::from(number)),
        resumed_at: at(10 + u64::from(number)),
        resumable_until: at(100),
    }
}

async fn opened(subject: &dyn Subject, number: u8, device: u8, token: &Digest) -> Result<Session, Failure> {
    let mut tx = write(subject).await?;
    tx.session_open(&session(number, device), token).await?;
    tx.commit().await?;
    Ok(session(number, device))
}

/// Gives a device a session, a KeyPackage and a notice.
async fn furnish(subject: &dyn Subject, device: u8) -> Outcome {
    opened(subject, device, device, &digest(device)).await?;
    let package = StoredKeyPackage {
        device: device_id(device),
        reference: digest(device),
        message: vec![1; 10],
        not_after: at(1_000),
        last_resort: false,
    };
    let mut tx = write(subject).await?;
    tx.key_packages_upload(&[package], 10).await?;
    let notice = Notice::Removed { group: group_id(1)? };
    tx.mailbox_append(&[(device_id(device), notice)], at(1)).await?;
    tx.commit().await?;
    Ok(())
}

/// The token is used up by the resumption, its successor works, the session stays the same.
pub async fn a_resumption_token_works_once(subject: &mut dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    let opened = opened(subject, 1, 1, &digest(1)).await?;
    let seen = read(subject).await?.device(&device_id(1)).await?.map(|device| device.last_seen_at);
    same("last seen", seen, Some(opened.opened_at))?;
    let mut tx = write(subject).await?;
    let resumed = tx.session_resume(&digest(1), &digest(2), at(50), at(200)).await?;
    let expected = Session { resumed_at: at(50), resumable_until: at(200), ..opened };
    same("resumed", resumed, Resumed::Resumed(expected.clone()))?;
    tx.commit().await?;
    let mut tx = write(subject).await?;
    let again = tx.session_resume(&digest(1), &digest(3), at(51), at(200)).await?;
    same("the old token", again, Resumed::Unknown)?;
    same("session", tx.session(&expected.id).await?, Some(expected))?;
    let next = tx.session_resume(&digest(2), &digest(3), at(51), at(200)).await?;
    same("the new token", matches!(next, Resumed::Resumed(_)), true)
}

/// Too late is told apart from unknown.
pub async fn an_old_resumption_token_is_expired(subject: &mut dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    opened(subject, 1, 1, &digest(1)).await?;
    let mut tx = write(subject).await?;
    same("late", tx.session_resume(&digest(1), &digest(2), at(100), at(200)).await?, Resumed::Expired)?;
    same("unknown", tx.session_resume(&digest(9), &digest(2), at(50), at(200)).await?, Resumed::Unknown)
}

/// A revoked session can't be resumed.
pub async fn revoking_ends_sessions(subject: &mut dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    enrol(subject, "bob", 2).await?;
    let first = opened(subject, 1, 1, &digest(1)).await?;
    let second = opened(subject, 2, 2, &digest(2)).await?;
    let mut tx = write(subject).await?;
    same("all", tx.sessions(None, 10).await?, vec![second.clone(), first.clone()])?;
    same("of one", tx.sessions(Some(&first.account), 10).await?, vec![first.clone()])?;
    same("revoking", tx.session_revoke(&first.id).await?, true)?;
    same("again", tx.session_revoke(&first.id).await?, false)?;
    same("session", tx.session(&first.id).await?, None)?;
    same("token", tx.session_resume(&digest(1), &digest(3), at(20), at(200)).await?, Resumed::Unknown)?;
    conflicts("a device of nobody", tx.session_open(&session(3, 9), &digest(4)).await)
}

/// Sessions that can't be resumed any more go.
pub async fn sessions_expire(subject: &mut dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    opened(subject, 1, 1, &digest(1)).await?;
    let mut tx = write(subject).await?;
    same("early", tx.sessions_expire(at(99)).await?, 0)?;
    same("late", tx.sessions_expire(at(100)).await?, 1)?;
    same("left", tx.sessions(None, 10).await?, vec![])
}

/// Nothing of a deleted account is left, its name is free, others keep theirs.
pub async fn deleting_an_account_takes_all_along(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let bob = enrol(subject, "bob", 2).await?;
    let group = group_of(subject, 1, &[alice.clone(), bob.clone()]).await?;
    furnish(subject, 1).await?;
    furnish(subject, 2).await?;
    let mut tx = write(subject).await?;
    same("deleting", tx.account_delete(&account("alice", 1)?.id).await?, true)?;
    same("again", tx.account_delete(&account("alice", 1)?.id).await?, false)?;
    tx.log_append(&group, &[message(1)]).await?;
    tx.commit().await?;
    let mut tx = write(subject).await?;
    same("account", tx.account_named(&"alice".parse()?).await?, None)?;
    same("device", tx.device(&alice.device).await?, None)?;
    same("sessions", tx.sessions(None, 10).await?.len(), 1)?;
    same("feeds", tx.feeds(&alice.device).await?, vec![])?;
    same("stock", tx.key_package_stock(&alice.device, at(0)).await?, KeyPackageStock::default())?;
    same("stock of the other", tx.key_package_stock(&bob.device, at(0)).await?.one_time, 1)?;
    same("backlogs", waiting(tx.as_mut(), &[alice.device, bob.device]).await?, vec![0, 1])?;
    let left = tx.member(&group, &alice.device).await?.and_then(|member| member.left_seq);
    same("membership", left, Some(qpq_core::Seq(1)))?;
    let feed = tx.feed(&bob.device, &Feed::Group(group)).await?.map(|feed| feed.last.0);
    same("the other reads on", feed, Some(2))?;
    let again = tx.account_create(&account("alice", 3)?, &device("alice", 3, 3)?, None).await?;
    same("the name is free", again, AccountCreated::Created)
}

fn rekey(certificates: Vec<DeviceCertificate>) -> Rekey {
    Rekey { identity_key: IdentityKey::from_bytes([90; 32]), sealed_identity: vec![91; 70], certificates }
}

/// The device with another key's certificate.
fn certified(device: &Device) -> Device {
    let device = device.clone();
    let certificate =
        DeviceCertificate { certified_at: at(60), signature: [92; 64], ..device.certificate.clone() };
    Device { certificate, ..device }
}

/// Key, sealed private half and certificates change together, also after a restart; all else stays, and so do devices that
/// are revoked or not named.
pub async fn another_identity_key_brings_its_certificates(subject: &mut dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    enrol(subject, "bob", 2).await?;
    let mut tx = write(subject).await?;
    for number in [3, 4, 5] {
        tx.device_enrol(&device("alice", 1, number)?, 16).await?;
    }
    tx.device_revoke(&device_id(4), at(50)).await?;
    tx.commit().await?;
    let session = opened(subject, 1, 1, &digest(1)).await?;
    let mut tx = write(subject).await?;
    let alice = account("alice", 1)?;
    let named =
        [1, 3, 4].map(|number| device("alice", 1, number).map(|device| certified(&device).certificate));
    let rekey = rekey(named.into_iter().collect::<Result<_, _>>()?);
    same("rekeying", tx.account_rekey(&alice.id, &rekey).await?, true)?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    let expected = Account {
        identity_key: rekey.identity_key,
        sealed_identity: rekey.sealed_identity.clone(),
        ..alice.clone()
    };
    same("by name", tx.account_named(&alice.localpart).await?, Some(expected.clone()))?;
    same("by id", tx.account(&alice.id).await?, Some(expected))?;
    let devices = vec![
        Device { last_seen_at: session.opened_at, ..certified(&device("alice", 1, 1)?) },
        certified(&device("alice", 1, 3)?),
        Device { revoked_at: Some(at(50)), ..device("alice", 1, 4)? },
        device("alice", 1, 5)?,
    ];
    same("devices", tx.devices(&alice.id).await?, devices)?;
    same("session", tx.session(&session.id).await?, Some(session))?;
    let bob = account("bob", 2)?;
    same("another account", tx.account(&bob.id).await?, Some(bob.clone()))?;
    same("its device", tx.devices(&bob.id).await?, vec![device("bob", 2, 2)?])
}

/// A certificate for a device that is not the account's, or not as it is stored, is a contradiction; nothing changes then.
pub async fn another_identity_key_is_for_ones_own_devices(subject: &mut dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    enrol(subject, "bob", 2).await?;
    let (alice, own) = (account("alice", 1)?, certified(&device("alice", 1, 1)?).certificate);
    let another = certified(&device("bob", 2, 2)?).certificate;
    let renamed = DeviceCertificate { device: device_address("alice", 2)?, ..another.clone() };
    let moved = DeviceCertificate { device: device_address("bob", 1)?, ..own.clone() };
    let other_key = DeviceCertificate { signature_key: SignatureKey::from_bytes([77; 32]), ..own.clone() };
    let unknown = certified(&device("alice", 1, 9)?).certificate;
    for (what, wrong) in [
        ("another account's device", another),
        ("another account's device under one's own name", renamed),
        ("one's own device under another name", moved),
        ("another signature key", other_key),
        ("an unknown device", unknown),
    ] {
        let mut tx = write(subject).await?;
        conflicts(what, tx.account_rekey(&alice.id, &rekey(vec![own.clone(), wrong])).await)?;
        conflicts(what, tx.commit().await)?;
    }
    let mut tx = read(subject).await?;
    same("account", tx.account(&alice.id).await?, Some(alice.clone()))?;
    same("device", tx.devices(&alice.id).await?, vec![device("alice", 1, 1)?])?;
    same("another's device", tx.device(&device_id(2)).await?, Some(device("bob", 2, 2)?))
}

/// Without the account there is nothing to give a key to; whose devices are named does not matter then.
pub async fn another_identity_key_of_nobody_changes_nothing(subject: &mut dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    let mut tx = write(subject).await?;
    let rekey = rekey(vec![certified(&device("alice", 1, 1)?).certificate]);
    same("unknown", tx.account_rekey(&AccountId::from_bytes([9; 16]), &rekey).await?, false)?;
    tx.commit().await?;
    let mut tx = read(subject).await?;
    let alice = account("alice", 1)?;
    same("account", tx.account(&alice.id).await?, Some(alice))?;
    same("device", tx.device(&device_id(1)).await?, Some(device("alice", 1, 1)?))
}
