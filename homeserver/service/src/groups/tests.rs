//! Groups over domains: real MLS members on both sides, stores in memory.

#[expect(dead_code, reason = "the hub's tests use more of it")]
#[path = "../../../hub/tests/hub/member.rs"]
mod member;

mod backlogs;
mod consent;
mod entries;
mod quotas;
mod world;

use futures::future::join_all;
use member::Change;
use qpq_core::{ErrorCode, GroupId, MessageId, Seq};
use qpq_federation_proto::{Row, RowKind};
use qpq_storage::Notice;
use world::{User, World, group};

use super::{
    ApplicationSubmit, SubmitAnswer,
    records::{GroupEntry, SubmitRefused},
};
use crate::{CommitAnswer, DeliveryBody, Page, Refusal, Settings, fixture::counted, relay::RowOutcome};

/// Apart from those that the members' commits use.
fn message_id(n: u8) -> MessageId {
    MessageId::from_bytes([n | 0x80; 16])
}

fn submit(id: u8, group: &GroupId, message: Vec<u8>) -> ApplicationSubmit {
    ApplicationSubmit { id: message_id(id), group: group.clone(), message, ttl: None }
}

async fn sends(user: &mut User, group: &GroupId, id: u8, text: &str) -> SubmitAnswer {
    let message = user.mls.says(text);
    let answers =
        user.site.groups.submit(&user.session, vec![submit(id, group, message)]).await.unwrap().answers;
    answers.into_iter().next().unwrap()
}

async fn log(user: &User, group: &GroupId, after: u64) -> Vec<DeliveryBody> {
    let Page { deliveries, .. } = user.site.groups.log(&user.session, group, Seq(after), 0).await.unwrap();
    deliveries.into_iter().map(|delivery| delivery.body).collect()
}

fn code(answer: &SubmitAnswer) -> Option<ErrorCode> {
    match answer {
        SubmitAnswer::Refused(refusal) => Some(refusal.code),
        SubmitAnswer::AtHub { .. } | SubmitAnswer::AtHome { .. } => None,
    }
}

async fn refusals(user: &User) -> Vec<(MessageId, u16)> {
    let notices = user.site.notices(&user.mls.device).await;
    let refused = notices.into_iter().filter_map(|notice| match notice {
        Notice::Refused { id, code, .. } => Some((id, code)),
        _ => None,
    });
    refused.collect()
}

/// Alice's group, hubbed at alpha, with bob from beta in it.
async fn conversation(settings: Settings) -> (World, GroupId, User, User) {
    let world = World::new(&["alpha.test", "beta.test"], settings).await;
    let mut alice = world.user("alice@alpha.test", 1).await;
    let mut bob = world.user("bob@beta.test", 2).await;
    let group = group("alpha.test");
    alice.creates(&group).await;
    alice.adds(&group, &[&bob]).await;
    assert_eq!(world.relay().await, []);
    bob.joins(&group).await;
    (world, group, alice, bob)
}

#[tokio::test]
async fn two_domains_talk_both_ways() {
    let (world, group, mut alice, mut bob) = conversation(Settings::default()).await;
    assert!(matches!(
        sends(&mut alice, &group, 1, "hello bob").await,
        SubmitAnswer::AtHub { seq: Seq(2), .. }
    ));
    assert!(matches!(sends(&mut bob, &group, 1, "hello alice").await, SubmitAnswer::AtHome { .. }));
    assert_eq!(world.relay().await, []);
    let at_bob = log(&bob, &group, 1).await;
    let [DeliveryBody::Application { message: first, .. }, DeliveryBody::Application { message: second, .. }] =
        at_bob.as_slice()
    else {
        panic!("bob's log holds both messages")
    };
    assert_eq!(bob.mls.hears(first), "hello bob");
    assert_eq!(log(&alice, &group, 2).await.len(), 1);
    assert_eq!(alice.mls.hears(second), "hello alice");
}

#[tokio::test]
async fn commits_at_once_have_one_winner_and_nobody_forks() {
    let (world, group, mut alice, mut bob) = conversation(Settings::default()).await;
    let mut carol = world.user("carol@beta.test", 3).await;
    alice.adds(&group, &[&carol]).await;
    world.relay().await;
    let DeliveryBody::Commit { commit, .. } = log(&bob, &group, 1).await.remove(0) else {
        panic!("a commit")
    };
    bob.mls.apply(&commit);
    carol.joins(&group).await;
    let mut users = [alice, bob, carol];
    let offers: Vec<_> = users.iter_mut().map(|user| user.offers(&group, Change::default())).collect();
    let answers =
        join_all(users.iter().zip(offers).map(|(user, offer)| user.site.groups.commit(&user.session, offer)))
            .await;
    let won: Vec<bool> =
        answers.iter().map(|answer| matches!(answer, Ok(CommitAnswer::Accepted { .. }))).collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    for (answer, won) in answers.iter().zip(&won) {
        assert!(
            *won || matches!(answer, Ok(CommitAnswer::WrongEpoch { current: 3, seq: Seq(3) })),
            "{answer:?}"
        );
    }
    world.relay().await;
    for (user, won) in users.iter_mut().zip(won) {
        let DeliveryBody::Commit { commit, .. } = log(user, &group, 2).await.remove(0) else {
            panic!("a commit")
        };
        if won {
            user.mls.won();
        } else {
            user.mls.lost();
            user.mls.apply(&commit);
        }
    }
    let states: Vec<_> =
        users.iter_mut().map(|user| user.mls.group().epoch_authenticator().as_slice().to_vec()).collect();
    assert!(states.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn a_repeat_gets_the_same_answer_also_after_a_restart() {
    let (world, group, mut alice, mut bob) = conversation(Settings::default()).await;
    let commit = alice.offers(&group, Change::default());
    let message = bob.mls.says("once");
    let home = &bob.site.groups;
    let queued = home.submit(&bob.session, vec![submit(9, &group, message.clone())]).await.unwrap().answers;
    assert_eq!(home.submit(&bob.session, vec![submit(9, &group, message)]).await.unwrap().answers, queued);
    let other = bob.mls.says("twice");
    let reused = home.submit(&bob.session, vec![submit(9, &group, other)]).await.unwrap().answers;
    assert_eq!(code(&reused[0]), Some(ErrorCode::IdReused));
    world.relay().await;
    assert_eq!(log(&alice, &group, 1).await.len(), 1);

    let answer = alice.site.groups.commit(&alice.session, commit.clone()).await.unwrap();
    assert!(matches!(answer, CommitAnswer::Accepted { .. }));
    let restarted = alice.site.restarted_groups();
    assert_eq!(restarted.commit(&alice.session, commit.clone()).await.unwrap(), answer);
    let changed = crate::CommitSubmit { welcome: vec![1], ..commit };
    let refused = restarted.commit(&alice.session, changed).await.unwrap();
    assert!(matches!(refused, CommitAnswer::Refused(refusal) if refusal.code == ErrorCode::IdReused));
    alice.mls.won();
    // A group that was only in the old memory goes on from the store.
    let next = alice.offers(&group, Change::default());
    let next = restarted.commit(&alice.session, next).await.unwrap();
    assert!(matches!(next, CommitAnswer::Accepted { .. }), "{next:?}");
}

#[tokio::test]
async fn a_removed_device_hears_of_it_and_is_done() {
    let (world, group, mut alice, mut bob) = conversation(Settings::default()).await;
    let second = world.user_device("alice@alpha.test", 5, &alice).await;
    alice.adds(&group, &[&second]).await;
    world.relay().await;
    alice.commits(&group, Change { remove: vec![2], ..Change::default() }).await;
    world.relay().await;
    let notices = second.site.notices(&second.mls.device).await;
    assert!(notices.iter().any(|notice| matches!(notice, Notice::Removed { .. })));
    let entries = log(&second, &group, 2).await;
    assert!(matches!(entries.as_slice(), [DeliveryBody::Commit { .. }]));
    let message = bob.mls.says("hello");
    let answers =
        second.site.groups.submit(&second.session, vec![submit(1, &group, message)]).await.unwrap().answers;
    assert_eq!(code(&answers[0]), Some(ErrorCode::NotMember));
}

#[tokio::test]
async fn an_old_epoch_is_refused_and_the_sender_told() {
    let (world, group, mut alice, mut bob) = conversation(Settings::default()).await;
    for _ in 0..6 {
        alice.commits(&group, Change::default()).await;
    }
    assert!(matches!(sends(&mut bob, &group, 1, "late").await, SubmitAnswer::AtHome { .. }));
    assert_eq!(world.relay().await.len(), 1);
    assert_eq!(refusals(&bob).await, [(message_id(1), ErrorCode::EpochTooOld.number())]);
    let again = sends(&mut bob, &group, 1, "encrypted again, the same id").await;
    assert!(matches!(again, SubmitAnswer::AtHome { .. }));
}

#[tokio::test]
async fn a_message_that_never_reached_its_hub_comes_back_and_may_be_sent_again() {
    let (_world, group, alice, mut bob) = conversation(Settings::default()).await;
    drop(alice);
    let message = bob.mls.says("hello");
    let short = ApplicationSubmit { ttl: Some(qpq_core::Millis(1)), ..submit(1, &group, message) };
    let home = &bob.site.groups;
    let queued = home.submit(&bob.session, vec![short]).await.unwrap().answers;
    assert!(matches!(queued.as_slice(), [SubmitAnswer::AtHome { .. }]));
    let deadline = bob.site.ground.now().after(qpq_core::Millis::from_secs(5));
    while refusals(&bob).await.is_empty() && bob.site.ground.now() < deadline {
        crate::relay::expire(&bob.site.ground).await.unwrap();
    }
    assert_eq!(refusals(&bob).await, [(message_id(1), ErrorCode::PeerUnreachable.number())]);
    let other = bob.mls.says("encrypted again");
    let again = home.submit(&bob.session, vec![submit(1, &group, other)]).await.unwrap().answers;
    assert!(matches!(again.as_slice(), [SubmitAnswer::AtHome { .. }]));
}

#[tokio::test]
async fn nobody_speaks_for_another_domain() {
    let (world, group, mut alice, mut bob) = conversation(Settings::default()).await;
    let (alpha, beta) = (world.site("alpha.test"), world.site("beta.test"));
    let commit = alice.offers(&group, Change::default());
    let refused = alpha.groups.commit_from_peer(&beta.domain, &alice.mls.device, commit).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::PolicyRefused);
    let refused = alpha.groups.tree_for_peer(&beta.domain, &alice.mls.device, &group, 1).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::PolicyRefused);
    // Beta sends an entry of a log that alpha orders.
    let entry = GroupEntry {
        group: group.clone(),
        seq: Seq(99),
        epoch: 1,
        at: beta.ground.now(),
        message: bob.mls.says("forged"),
        committer: None,
        removed: vec![],
        accounts: 2,
    };
    let row = Row {
        seq: Seq(1),
        id: message_id(7),
        kind: RowKind::GroupEntry,
        ttl: None,
        payload: entry.to_bytes(),
        request: None,
    };
    assert!(matches!(alpha.apply(&beta.domain, row).await, RowOutcome::Refused(_)));
    assert_eq!(log(&alice, &group, 1).await.len(), 0);
}

#[tokio::test]
async fn who_is_no_peer_can_not_be_added_or_reached() {
    let (world, group, mut alice, mut bob) = conversation(Settings::default()).await;
    let (alpha, beta) = (world.site("alpha.test"), world.site("beta.test"));
    let carol = world.user("carol@beta.test", 3).await;
    alpha.forget_peer(&beta.domain).await;
    beta.forget_peer(&alpha.domain).await;
    let add = vec![carol.mls.key_package(84)];
    let offer = alice.offers(&group, Change { add, ..Change::default() });
    let refused = alpha.groups.commit(&alice.session, offer).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::PolicyRefused);
    assert_eq!(code(&sends(&mut bob, &group, 1, "hello").await), Some(ErrorCode::PolicyRefused));
    // The hub's own user hears it too, instead of writing to somebody who may never come back.
    assert_eq!(code(&sends(&mut alice, &group, 1, "hello").await), Some(ErrorCode::PolicyRefused));
}

#[tokio::test]
async fn a_device_that_its_account_did_not_sign_is_refused() {
    let (world, group, mut alice, _bob) = conversation(Settings::default()).await;
    let _carol = world.user("carol@beta.test", 3).await;
    let impostor = member::Member::new("carol@beta.test", 4, member::CLASSICAL);
    let add = vec![impostor.key_package(84)];
    let offer = alice.offers(&group, Change { add, ..Change::default() });
    let answer = alice.site.groups.commit(&alice.session, offer).await.unwrap();
    assert!(matches!(answer, CommitAnswer::Refused(refusal) if refusal.code == ErrorCode::DeviceNotSigned));
}

#[tokio::test]
async fn a_group_is_made_once_by_its_creator_here() {
    let world = World::new(&["alpha.test"], Settings::default()).await;
    let mut alice = world.user("alice@alpha.test", 1).await;
    let mut mallory = world.user("mallory@alpha.test", 2).await;
    let id = group("alpha.test");
    let (info, tree) = alice.mls.create(&id);
    let groups = &alice.site.groups;
    assert_eq!(groups.create(&alice.session, &id, info.clone(), &tree).await, Ok(Seq::ZERO));
    assert_eq!(groups.create(&alice.session, &id, info.clone(), &tree).await, Ok(Seq::ZERO));
    let stolen = groups.create(&mallory.session, &id, info, &tree).await.unwrap_err();
    assert_eq!(stolen.code, ErrorCode::NotAllowed);
    let (info, tree) = mallory.mls.create(&id);
    let taken = groups.create(&mallory.session, &id, info, &tree).await.unwrap_err();
    assert_eq!(taken.code, ErrorCode::GroupExists);
    let elsewhere = group("beta.test");
    let mut again = world.user("dora@alpha.test", 3).await;
    let (info, tree) = again.mls.create(&elsewhere);
    assert_eq!(
        groups.create(&again.session, &elsewhere, info, &tree).await.unwrap_err().code,
        ErrorCode::NotAllowed
    );
}

#[tokio::test]
async fn too_many_submits_are_refused_with_a_time() {
    let settings = Settings { submits_per_minute: 4, ..Settings::default() };
    let world = World::new(&["alpha.test"], settings).await;
    let mut alice = world.user("alice@alpha.test", 1).await;
    let id = group("alpha.test");
    alice.creates(&id).await;
    for n in 0..3 {
        assert_eq!(code(&sends(&mut alice, &id, n, "note to self").await), None);
    }
    let SubmitAnswer::Refused(refusal) = sends(&mut alice, &id, 9, "one too many").await else {
        panic!("refused")
    };
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    assert!(refusal.retry_after.is_some());
    assert_eq!(counted(&alice.site.ground, "quicproquo_limits_hit_total{limit=\"submits\"}"), 1);
}

#[tokio::test]
async fn a_hub_has_no_say_about_what_a_device_sent_elsewhere() {
    let world = World::new(&["alpha.test", "beta.test", "evil.test"], Settings::default()).await;
    let mut alice = world.user("alice@alpha.test", 1).await;
    let mut bob = world.user("bob@beta.test", 2).await;
    let mut eve = world.user("eve@evil.test", 3).await;
    let (id, theirs) = (group("alpha.test"), group("evil.test"));
    alice.creates(&id).await;
    alice.adds(&id, &[&bob, &eve]).await;
    assert_eq!(world.relay().await, []);
    bob.joins(&id).await;
    eve.creates(&theirs).await;
    let message = bob.mls.says("hello");
    let queued =
        bob.site.groups.submit(&bob.session, vec![submit(1, &id, message.clone())]).await.unwrap().answers;
    let refused = |group: &GroupId, sender: Option<&User>| SubmitRefused {
        group: group.clone(),
        sender: sender.map(|user| user.mls.device.clone()),
        refusal: Refusal::new(ErrorCode::NotAllowed, "no"),
    };
    let row = |record: &SubmitRefused, id| Row {
        seq: Seq(1),
        id,
        kind: RowKind::SubmitRefused,
        ttl: None,
        payload: record.to_bytes(),
        request: None,
    };
    // Of a group that bob isn't in.
    let forged = row(&refused(&theirs, Some(&bob)), message_id(1));
    let evil = world.site("evil.test").domain.clone();
    assert!(matches!(bob.site.apply(&evil, forged).await, RowOutcome::Refused(_)));
    assert_eq!(refusals(&bob).await, []);
    let again = bob.site.groups.submit(&bob.session, vec![submit(1, &id, message)]).await.unwrap().answers;
    assert_eq!(again, queued, "the submit is still known");
    assert_eq!(world.relay().await, []);

    // A member's domain can't hand a commit back, nor give another reason than a full queue.
    let commit = alice.offers(&id, Change::default());
    let answer = alice.site.groups.commit(&alice.session, commit.clone()).await.unwrap();
    let forged = row(&refused(&id, None), commit.id);
    assert_eq!(alice.site.apply(&evil, forged).await, RowOutcome::Stored);
    assert_eq!(refusals(&alice).await, []);
    assert_eq!(alice.site.groups.commit(&alice.session, commit).await.unwrap(), answer);
    alice.mls.won();
    assert!(matches!(sends(&mut alice, &id, 2, "hello").await, SubmitAnswer::AtHub { .. }));
    let forged = row(&refused(&id, None), message_id(2));
    assert_eq!(alice.site.apply(&evil, forged).await, RowOutcome::Stored);
    assert_eq!(refusals(&alice).await, [(message_id(2), ErrorCode::MailboxFull.number())]);
}

#[tokio::test]
async fn a_log_is_kept_only_where_somebody_reads_it() {
    let world = World::new(&["alpha.test", "beta.test"], Settings::default()).await;
    let (alpha, beta) = (world.site("alpha.test"), world.site("beta.test"));
    let mut alice = world.user("alice@alpha.test", 1).await;
    let id = group("alpha.test");
    alice.creates(&id).await;
    let entry = GroupEntry {
        group: id.clone(),
        seq: Seq(1),
        epoch: 0,
        at: alpha.ground.now(),
        message: alice.mls.says("to nobody there"),
        committer: None,
        removed: vec![],
        accounts: 2,
    };
    let row = Row {
        seq: Seq(1),
        id: message_id(7),
        kind: RowKind::GroupEntry,
        ttl: None,
        payload: entry.to_bytes(),
        request: None,
    };
    assert!(matches!(beta.apply(&alpha.domain, row).await, RowOutcome::Refused(_)));
    let mut tx = beta.ground.read().await.unwrap();
    assert_eq!(tx.group(&id).await.unwrap(), None);
}

#[tokio::test]
async fn a_commit_that_comes_again_before_it_is_durable_has_not_lost_to_itself() {
    let (_world, group, mut alice, _bob) = conversation(Settings::default()).await;
    let commit = alice.offers(&group, Change::default());
    // Two hubs in memory over one store: the first caller's is forgotten while its write is still on its way.
    let other = alice.site.restarted_groups();
    let groups = alice.site.groups.clone();
    let (first, second) =
        tokio::join!(groups.commit(&alice.session, commit.clone()), other.commit(&alice.session, commit));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(matches!(first, CommitAnswer::Accepted { .. }), "{first:?}");
    assert_eq!(first, second);
    alice.mls.won();
    let next = alice.offers(&group, Change::default());
    let next = other.commit(&alice.session, next).await.unwrap();
    assert!(matches!(next, CommitAnswer::Accepted { .. }), "{next:?}");
}

#[tokio::test]
async fn a_member_who_took_anothers_device_id_is_not_taken_for_it() {
    let (world, group, mut alice, mut bob) = conversation(Settings::default()).await;
    // The device id of a user follows from its number here.
    let mallory = world.user("mallory@alpha.test", 2).await;
    assert_eq!(mallory.mls.device.device, bob.mls.device.device);
    alice.adds(&group, &[&mallory]).await;
    world.relay().await;
    let DeliveryBody::Commit { commit, .. } = log(&bob, &group, 1).await.remove(0) else {
        panic!("a commit")
    };
    bob.mls.apply(&commit);
    bob.commits(&group, Change::default()).await;
}
