//! The store on a real disk: what is kept, what a crash leaves, what others can read.

mod conversations;
mod logs;

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use ed25519_dalek::SigningKey;
use qpq_core::{
    Cursor, DeviceCertificate, GroupId, IdentityKey, Incarnation, Millis, Secret, SeededEntropy, Seq,
    SessionId, Timestamp,
};

use super::*;
use crate::mls::{
    Content, NewGroup, StockKind, Suite, new_key_package,
    testing::{certificate, device, group_id, message_id, now},
};

const ALICE: &str = "alice@alpha.test";
const BOB: &str = "bob@beta.test";

fn raw(n: u8) -> StoreKey {
    StoreKey::from_raw([n; 32])
}

async fn open(home: &Path) -> Store {
    Store::create(home, Unlock::Key(&raw(7))).await.unwrap()
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn account() -> Account {
    let device = device(ALICE, 1);
    Account {
        address: ALICE.parse().unwrap(),
        server: "127.0.0.1:7443".to_owned(),
        trust: ServerTrust::Ca(vec![1, 2, 3]),
        identity: Secret::new([5; 32]),
        signature: device.secret(),
        certificate: certificate(&device),
        suite: Suite::Classical,
    }
}

fn record(state: GroupState) -> GroupRecord {
    GroupRecord { id: group_id(), name: None, peer: Some(BOB.parse().unwrap()), state, since: at(3) }
}

fn message(id: u8, text: &str) -> NewMessage {
    NewMessage {
        group: group_id(),
        id: message_id(id),
        sender: device(BOB, 2).address().clone(),
        text: text.to_owned(),
        sent_at: at(10),
        received_at: at(11),
        epoch: 4,
    }
}

#[tokio::test]
async fn the_passphrase_opens_what_it_closed_and_another_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().join("new").join("home");
    let passphrase = Secret::new("correct horse".to_owned());
    assert!(matches!(
        Store::open(&home, Unlock::Passphrase(&passphrase)).await,
        Err(StoreError::Missing { .. })
    ));
    let store = Store::create(&home, Unlock::Passphrase(&passphrase)).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.save_account(&account()).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;

    let wrong = Secret::new("battery staple".to_owned());
    let refused = Store::open(&home, Unlock::Passphrase(&wrong)).await.unwrap_err();
    assert!(matches!(refused, StoreError::WrongPassphrase { .. }), "{refused:?}");
    assert!(refused.to_string().starts_with("the passphrase doesn't open the store in"));

    let store = Store::open(&home, Unlock::Passphrase(&passphrase)).await.unwrap();
    assert!(store.begin().await.unwrap().account().await.unwrap().is_some());
    assert_eq!(std::fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&home).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}

#[tokio::test]
async fn files_that_others_can_read_are_refused() {
    let home = tempfile::tempdir().unwrap();
    open(home.path()).await.close().await;
    let database = home.path().join("store.db");
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = Store::open(home.path(), Unlock::Key(&raw(7))).await.unwrap_err();
    assert!(matches!(refused, StoreError::Permissions { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    sqlx::query("PRAGMA user_version = 99").execute(tx.sql()).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    let refused = Store::open(home.path(), Unlock::Key(&raw(7))).await.unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 99, .. }), "{refused:?}");
}

#[tokio::test]
async fn account_and_session_come_back_as_they_were() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    assert!(tx.account().await.unwrap().is_none());
    tx.save_account(&account()).await.unwrap();
    let session = SessionState {
        session: SessionId::from_bytes([1; 16]),
        token: Secret::new([2; 32]),
        offered: Some(Secret::new([3; 32])),
        resumption_expires_at: at(5),
        session_expires_at: at(6),
        incarnation: Incarnation::begin(at(9), &mut SeededEntropy::new(1)),
    };
    tx.save_session(Some(&session)).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;

    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let (read, wrote) = (tx.account().await.unwrap().unwrap(), account());
    assert_eq!((&read.address, &read.server, &read.trust), (&wrote.address, &wrote.server, &wrote.trust));
    assert_eq!(read.certificate.signature_key, wrote.certificate.signature_key);
    assert_eq!(read.device().signature_key(), wrote.device().signature_key());
    assert_eq!((read.identity.expose(), read.suite), (wrote.identity.expose(), wrote.suite));
    let read = tx.session().await.unwrap().unwrap();
    assert_eq!((read.session, read.token.expose()), (session.session, session.token.expose()));
    assert_eq!(read.offered.map(|token| *token.expose()), Some([3; 32]));
    assert_eq!((read.incarnation, read.session_expires_at), (session.incarnation, at(6)));
    tx.save_session(None).await.unwrap();
    assert!(tx.session().await.unwrap().is_none());
}

#[tokio::test]
async fn a_transaction_that_is_dropped_did_not_happen() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    tx.save_account(&account()).await.unwrap();
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    assert!(tx.account().await.unwrap().is_none());
    tx.save_account(&account()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(store.begin().await.unwrap().account().await.unwrap().is_some());
}

#[tokio::test]
async fn an_identity_key_is_pinned_and_a_change_waits_for_the_user() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let bob = BOB.parse().unwrap();
    let signer = SigningKey::from_bytes(&[1; 32]);
    let (old, new) = (IdentityKey::from_bytes([1; 32]), IdentityKey::from_bytes([2; 32]));
    assert_eq!(tx.see_identity(&bob, &old, at(1)).await.unwrap(), IdentitySeen::First);
    assert_eq!(tx.see_identity(&bob, &old, at(2)).await.unwrap(), IdentitySeen::Same);
    let phone = device(BOB, 2);
    let issued = DeviceCertificate::issue(&signer, phone.address().clone(), phone.signature_key(), at(1));
    tx.save_certificates(std::slice::from_ref(&issued)).await.unwrap();
    assert_eq!(tx.certificate(phone.address()).await.unwrap(), Some(issued.clone()));
    assert_eq!(tx.certificates(&bob).await.unwrap(), [issued]);
    assert_eq!(tx.accept_identity(&bob, at(3)).await.unwrap(), None);

    assert_eq!(tx.see_identity(&bob, &new, at(4)).await.unwrap(), IdentitySeen::Changed { pinned: old });
    assert_eq!(tx.see_identity(&bob, &new, at(5)).await.unwrap(), IdentitySeen::Changed { pinned: old });
    assert_eq!(tx.see_identity(&bob, &old, at(6)).await.unwrap(), IdentitySeen::Same);
    let known = tx.identity(&bob).await.unwrap().unwrap();
    assert_eq!((known.key, known.pending), (old, Some((new, at(4)))));
    assert_eq!(tx.accept_identity(&bob, at(7)).await.unwrap(), Some(new));
    assert_eq!(
        tx.identities().await.unwrap(),
        [PinnedIdentity { address: bob.clone(), key: new, since: at(7), pending: None }]
    );
    assert!(tx.certificates(&bob).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_proven_key_replaces_the_pinned_one_and_what_was_pending() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let (bob, carol) = (BOB.parse().unwrap(), "carol@beta.test".parse().unwrap());
    let [old, shown, proven] = [1, 2, 3].map(|n| IdentityKey::from_bytes([n; 32]));
    let signer = SigningKey::from_bytes(&[1; 32]);
    let issued = [BOB, "carol@beta.test"].map(|user| {
        let phone = device(user, 2);
        DeviceCertificate::issue(&signer, phone.address().clone(), phone.signature_key(), at(1))
    });
    tx.save_certificates(&issued).await.unwrap();
    tx.see_identity(&bob, &old, at(1)).await.unwrap();
    tx.see_identity(&bob, &shown, at(2)).await.unwrap();
    tx.replace_identity(&bob, &proven, at(3)).await.unwrap();
    assert_eq!(
        tx.identity(&bob).await.unwrap(),
        Some(PinnedIdentity { address: bob.clone(), key: proven, since: at(3), pending: None })
    );
    assert!(tx.certificates(&bob).await.unwrap().is_empty());
    assert_eq!(tx.certificates(&carol).await.unwrap(), issued[1..]);
    assert_eq!(tx.see_identity(&bob, &proven, at(4)).await.unwrap(), IdentitySeen::Same);
    // Of one who was never seen it is the first.
    tx.replace_identity(&carol, &proven, at(5)).await.unwrap();
    assert_eq!(tx.identity(&carol).await.unwrap().map(|known| known.key), Some(proven));
}

#[tokio::test]
async fn key_packages_are_kept_until_uploaded_and_joined() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let alice = device(ALICE, 1);
    let made = [
        new_key_package(&alice, Suite::Classical, StockKind::OneTime, now()).unwrap(),
        new_key_package(&alice, Suite::Classical, StockKind::LastResort, now()).unwrap(),
    ];
    tx.add_key_packages(&made).await.unwrap();
    let [one_time, last_resort] = made;
    let waiting = tx.key_packages_to_upload().await.unwrap();
    assert_eq!(waiting.len(), 2);
    assert!(
        waiting.iter().any(|row| row.key_package == one_time.key_package && row.kind == StockKind::OneTime)
    );
    tx.mark_key_packages_uploaded(std::slice::from_ref(&one_time.secret.reference)).await.unwrap();
    assert_eq!(tx.key_packages_to_upload().await.unwrap().len(), 1);
    tx.forget_uploads().await.unwrap();
    assert_eq!(tx.key_packages_to_upload().await.unwrap().len(), 2);
    assert_eq!(tx.last_resort_until().await.unwrap(), Some(last_resort.secret.expires_at));
    let both = [one_time.secret.reference.clone(), last_resort.secret.reference];
    let found = tx.key_package_secrets(&both).await.unwrap();
    assert_eq!(found[0].private.expose(), one_time.secret.private.expose());
    assert_eq!(found[1].kind, StockKind::LastResort);
    tx.delete_key_package(&both[0]).await.unwrap();
    assert_eq!(tx.key_package_secrets(&both).await.unwrap().len(), 1);
    assert_eq!(tx.purge_key_packages(now()).await.unwrap(), 0);
    assert_eq!(tx.purge_key_packages(now().after(Millis::from_days(90))).await.unwrap(), 1);
    assert_eq!(tx.last_resort_until().await.unwrap(), None);
}

#[tokio::test]
async fn a_group_goes_through_its_states() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let id = group_id();
    let bob = BOB.parse().unwrap();
    tx.save_group_record(&record(GroupState::Creating)).await.unwrap();
    let new = NewGroup { group_info: vec![1], ratchet_tree: vec![2] };
    tx.save_group_creation(&id, &new).await.unwrap();
    assert_eq!(tx.group_creation(&id).await.unwrap(), Some(new));
    tx.group_created(&id).await.unwrap();
    assert_eq!(tx.group_creation(&id).await.unwrap(), None);
    assert_eq!(tx.group(&id).await.unwrap(), Some(record(GroupState::Active)));
    assert_eq!(tx.groups_with(&bob).await.unwrap().len(), 1);
    tx.set_group_name(&id, "garden").await.unwrap();
    let resync = GroupState::NeedsResync { reason: "too far behind".to_owned() };
    tx.set_group_state(&id, &resync).await.unwrap();
    assert!(tx.groups_with(&bob).await.unwrap().is_empty());
    let named = GroupRecord { name: Some("garden".to_owned()), ..record(resync) };
    assert_eq!(tx.groups().await.unwrap(), [named]);
    tx.set_group_state(&id, &GroupState::Active).await.unwrap();
    tx.set_group_peer(&id, None).await.unwrap();
    assert!(tx.groups_with(&bob).await.unwrap().is_empty());
}

#[tokio::test]
async fn positions_move_forward_until_a_new_incarnation() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let mut entropy = SeededEntropy::new(2);
    let (first, second) = (Incarnation::begin(at(1), &mut entropy), Incarnation::begin(at(2), &mut entropy));
    let cursor = |incarnation, seq| Cursor { incarnation, seq: Seq(seq) };
    let feed = Feed::Group(group_id());
    assert_eq!(tx.position(&feed).await.unwrap(), None);
    for (incarnation, seq, expected) in
        [(first, 5, cursor(first, 5)), (first, 3, cursor(first, 5)), (second, 1, cursor(second, 1))]
    {
        tx.set_position(&feed, cursor(incarnation, seq)).await.unwrap();
        assert_eq!(tx.position(&feed).await.unwrap(), Some(expected));
    }
    tx.set_position(&Feed::Mailbox, cursor(first, 9)).await.unwrap();
    let all = tx.positions().await.unwrap();
    assert_eq!(all, [(Feed::Mailbox, cursor(first, 9)), (feed.clone(), cursor(second, 1))]);
    tx.delete_position(&feed).await.unwrap();
    assert_eq!(tx.position(&feed).await.unwrap(), None);
}

#[tokio::test]
async fn a_message_is_stored_once_and_shown_once() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.record_received(&message(1, "one")).await.unwrap(), Recorded::New);
    assert_eq!(tx.record_received(&message(1, "one, encrypted again")).await.unwrap(), Recorded::Duplicate);
    assert_eq!(tx.record_received(&message(2, "two")).await.unwrap(), Recorded::New);
    // An id belongs to its sender: nobody can make another's message count as seen.
    let other = NewMessage { sender: device(ALICE, 1).address().clone(), ..message(1, "mine") };
    assert_eq!(tx.record_received(&other).await.unwrap(), Recorded::New);
    let unread = tx.unread(2).await.unwrap();
    assert_eq!(unread.iter().map(|m| m.message.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    tx.mark_read(unread[1].place).await.unwrap();
    assert_eq!(tx.unread(10).await.unwrap()[0].message, other);
    assert_eq!(tx.messages(&group_id()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_a_homeserver_may_have_lost_is_queued_again_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let ours = group_id();
    let over = GroupId::new([9; 16], 1, ours.hub().clone());
    let elsewhere = GroupId::new([8; 16], 1, "elsewhere.test".parse().unwrap());
    for (id, state) in
        [(&ours, GroupState::Active), (&over, GroupState::Removed), (&elsewhere, GroupState::Active)]
    {
        tx.save_group_record(&GroupRecord { id: id.clone(), ..record(state) }).await.unwrap();
    }
    // In the log long ago, there lately, at home, given up; in a group that is over; in the log of a hub elsewhere, at home on
    // the way there.
    let groups = [&ours, &ours, &ours, &ours, &over, &elsewhere, &elsewhere];
    for (n, group) in (1..).zip(groups) {
        let new = NewOutgoing {
            id: message_id(n),
            target: Target::Group(group.clone()),
            content: Content::text("text".to_owned(), at(1)),
        };
        tx.enqueue(&new).await.unwrap();
        tx.set_encrypted(&message_id(n), &[n], 3).await.unwrap();
    }
    for (n, when) in [(1, 10), (2, 20), (5, 20), (6, 20)] {
        tx.mark_at_hub(&message_id(n), &[n], at(when)).await.unwrap();
    }
    tx.mark_at_home(&message_id(3), &[3], at(21)).await.unwrap();
    tx.mark_at_home(&message_id(7), &[7], at(22)).await.unwrap();
    tx.mark_failed(&message_id(4), "not allowed").await.unwrap();
    tx.forget_ciphertexts(at(20)).await.unwrap();
    assert_eq!(tx.offer_again(ours.hub(), at(20)).await.unwrap(), 3);
    let queued = tx.queued(10).await.unwrap();
    let offered = |n: u8, reach| (message_id(n), Some((vec![n], 3)), Some(reach));
    let seen: Vec<_> = queued.into_iter().map(|row| (row.id, row.encrypted, row.offered)).collect();
    let expected = [offered(2, Reach::Hub), offered(3, Reach::Home), offered(7, Reach::Home)];
    assert_eq!(seen, expected);
    // It was accepted when it was accepted; what never left a log is left there.
    tx.mark_at_hub(&message_id(3), &[3], at(30)).await.unwrap();
    tx.mark_failed(&message_id(2), "the homeserver has forgotten the group").await.unwrap();
    tx.mark_at_home(&message_id(7), &[7], at(30)).await.unwrap();
    assert!(tx.queued(10).await.unwrap().is_empty());
    for (n, when) in [(1, 10), (2, 20), (3, 21), (5, 20), (6, 20)] {
        let known = tx.outgoing(&message_id(n)).await.unwrap().unwrap();
        assert_eq!((known.state, known.offered), (OutgoingState::AtHub { at: at(when) }, None), "{n}");
    }
    let known = tx.outgoing(&message_id(7)).await.unwrap().unwrap();
    assert_eq!(known.state, OutgoingState::AtHome { at: at(22) });
}

#[tokio::test]
async fn a_message_on_its_way_out_keeps_its_id_and_its_text() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let new = |id: u8| NewOutgoing {
        id: message_id(id),
        target: Target::User(BOB.parse().unwrap()),
        content: Content::text(format!("text {id}"), at(1)),
    };
    for id in [2, 1, 2] {
        tx.enqueue(&new(id)).await.unwrap();
    }
    let queued = tx.queued(10).await.unwrap();
    assert_eq!(queued.iter().map(|m| m.id).collect::<Vec<_>>(), [message_id(2), message_id(1)]);
    let id = message_id(2);
    tx.set_target_group(&id, &group_id()).await.unwrap();
    tx.set_encrypted(&id, b"ciphertext", 3).await.unwrap();
    let known = tx.outgoing(&id).await.unwrap().unwrap();
    assert_eq!(known.target, Target::Group(group_id()));
    assert_eq!(known.to_user, Some(BOB.parse().unwrap()));
    assert_eq!((known.encrypted, known.attempts), (Some((b"ciphertext".to_vec(), 3)), 1));

    tx.mark_at_home(&id, b"ciphertext", at(5)).await.unwrap();
    assert_eq!(tx.at_home().await.unwrap()[0].state, OutgoingState::AtHome { at: at(5) });
    assert_eq!(tx.queued(10).await.unwrap().len(), 1);
    tx.requeue(&id, at(6), true).await.unwrap();
    let known = tx.outgoing(&id).await.unwrap().unwrap();
    assert_eq!((known.state, known.encrypted, known.not_before), (OutgoingState::Queued, None, at(6)));
    assert_eq!(known.content, new(2).content);
    tx.set_encrypted(&id, b"again", 4).await.unwrap();
    tx.requeue(&id, at(7), false).await.unwrap();
    assert!(tx.outgoing(&id).await.unwrap().unwrap().encrypted.is_some());
    tx.mark_at_hub(&id, b"again", at(8)).await.unwrap();
    // A late answer from home changes nothing any more.
    tx.mark_at_home(&id, b"again", at(9)).await.unwrap();
    tx.mark_failed(&id, "late").await.unwrap();
    tx.requeue(&id, at(9), true).await.unwrap();
    assert_eq!(tx.outgoing(&id).await.unwrap().unwrap().state, OutgoingState::AtHub { at: at(8) });
    tx.mark_failed(&message_id(1), "not allowed").await.unwrap();
    let failed = tx.outgoing(&message_id(1)).await.unwrap().unwrap();
    assert_eq!(failed.state, OutgoingState::Failed { reason: "not allowed".to_owned() });
    assert!(tx.queued(10).await.unwrap().is_empty());
    let long = NewOutgoing { content: Content::text("x".repeat(300_000), at(1)), ..new(3) };
    assert!(matches!(tx.enqueue(&long).await, Err(StoreError::Content { .. })));
}
