//! A queue for a peer has a bound, and nothing beyond it is silent: real MLS members on both sides.

use qpq_core::{ErrorCode, GroupId, Millis};
use qpq_federation_proto::{Lane, StreamId, StreamName};
use qpq_storage::Notice;

use super::{
    ApplicationSubmit, Change, DeliveryBody, SubmitAnswer, User, World, code, conversation, log, message_id,
    refusals, sends, submit,
};
use crate::{
    Settings,
    fixture::counted,
    relay::{expire, give_back_unpeered, give_up},
};

/// Room for a few messages; each is about 200 bytes, and a row counts 256 more.
const FEW: u64 = 2_000;

fn bounded(bytes: u64) -> Settings {
    Settings { peer_queue_bytes: bytes, submits_per_minute: 10_000, ..Settings::default() }
}

async fn waiting(user: &User, for_domain: &str) -> u64 {
    let mut tx = user.site.ground.read().await.unwrap();
    tx.outbox_weight(&for_domain.parse().unwrap()).await.unwrap().rows
}

async fn must_be_added_again(user: &User, group: &GroupId) -> bool {
    let notices = user.site.notices(&user.mls.device).await;
    notices.iter().any(|notice| matches!(notice, Notice::NeedsResync { group: of } if of == group))
}

/// Sends until one is refused; returns how many were taken.
async fn fills(user: &mut User, group: &GroupId) -> (u8, ErrorCode) {
    for id in 1..100 {
        if let Some(code) = code(&sends(user, group, id, "hello").await) {
            return (id - 1, code);
        }
    }
    panic!("the queue takes everything")
}

/// A third member, so that nobody can be refused for one domain's sake.
async fn larger(settings: Settings) -> (World, GroupId, User, User) {
    let (world, group, mut alice, bob) = Box::pin(conversation(settings)).await;
    let carol = world.user("carol@alpha.test", 3).await;
    alice.adds(&group, &[&carol]).await;
    assert_eq!(world.relay().await, []);
    (world, group, alice, bob)
}

/// Alice takes bob's old leaf out and adds his device again in one commit.
async fn takes_in_anew(world: &World, group: &GroupId, alice: &mut User, bob: &mut User) {
    let add = vec![bob.mls.key_package(84)];
    alice.commits(group, Change { add, remove: vec![1], ..Change::default() }).await;
    assert_eq!(world.relay().await, []);
    bob.mls.leave();
    bob.joins(group).await;
    assert_eq!(code(&sends(bob, group, 99, "back").await), None);
    assert_eq!(world.relay().await, []);
}

#[tokio::test]
async fn between_two_a_full_queue_refuses_at_the_hub_and_on_the_way_to_it() {
    let (world, group, mut alice, mut bob) = conversation(bounded(10_000)).await;
    for user in [&mut alice, &mut bob] {
        let (taken, code) = fills(user, &group).await;
        assert!(taken > 2, "{taken} messages were taken");
        assert_eq!(code, ErrorCode::MailboxFull);
        let hit = counted(&user.site.ground, "quicproquo_limits_hit_total{limit=\"peer-queue\"}");
        assert_eq!(hit, 1);
    }
    assert_eq!(world.relay().await, []);
    let room = sends(&mut alice, &group, 101, "there is room again").await;
    assert!(matches!(room, SubmitAnswer::AtHub { .. }), "{room:?}");
    let room = sends(&mut bob, &group, 101, "there is room again").await;
    assert!(matches!(room, SubmitAnswer::AtHome { .. }), "{room:?}");
}

#[tokio::test]
async fn in_a_larger_group_a_domain_without_room_is_left_behind_and_comes_back() {
    let (world, group, mut alice, mut bob) = larger(bounded(30_000)).await;
    let mut rows = Vec::new();
    for id in 1..100 {
        assert_eq!(code(&sends(&mut alice, &group, id, "hello").await), None, "the others are written to");
        rows.push(waiting(&alice, "beta.test").await);
    }
    let most = *rows.last().unwrap();
    assert!(most > 5 && rows.iter().filter(|rows| **rows == most).count() > 5, "it is bounded: {rows:?}");
    // A commit is none of theirs any more, either.
    alice.commits(&group, Change::default()).await;
    assert_eq!(waiting(&alice, "beta.test").await, most);
    assert!(!must_be_added_again(&bob, &group).await);
    assert_eq!(world.relay().await, []);
    assert!(must_be_added_again(&bob, &group).await);
    assert_eq!(code(&sends(&mut bob, &group, 50, "hello?").await), Some(ErrorCode::NeedsResync));
    takes_in_anew(&world, &group, &mut alice, &mut bob).await;
    alice.reads(&group).await;
    assert_eq!(code(&sends(&mut alice, &group, 120, "welcome back").await), None);
    assert_eq!(waiting(&alice, "beta.test").await, 1);
}

#[tokio::test]
async fn a_commit_that_finds_no_room_leaves_the_domain_behind() {
    let (world, group, mut alice, bob) = conversation(bounded(FEW)).await;
    let filled = fills(&mut alice, &group).await;
    assert_eq!(filled.1, ErrorCode::MailboxFull);
    alice.commits(&group, Change::default()).await;
    // Between two, nobody would read what is written now.
    let refused = sends(&mut alice, &group, 100, "hello").await;
    assert_eq!(code(&refused), Some(ErrorCode::PolicyRefused));
    world.relay().await;
    assert!(must_be_added_again(&bob, &group).await);
}

#[tokio::test]
async fn a_handshake_that_waits_for_too_long_leaves_the_domain_behind() {
    let settings = Settings { peer_queue_age: Millis(0), ..Settings::default() };
    let (world, group, mut alice, mut bob) = larger(settings).await;
    alice.commits(&group, Change::default()).await;
    let mut ended = 0;
    while ended == 0 {
        ended = expire(&alice.site.ground).await.unwrap();
    }
    assert_eq!(
        (ended, waiting(&alice, "beta.test").await),
        (1, 2),
        "its number is kept, and a row says what follows"
    );
    assert_eq!(expire(&alice.site.ground).await.unwrap(), 0, "a tombstone stays");
    assert_eq!(world.relay().await, []);
    assert!(must_be_added_again(&bob, &group).await);
    takes_in_anew(&world, &group, &mut alice, &mut bob).await;
}

#[tokio::test]
async fn what_ends_on_its_way_from_the_hub_is_told_if_nobody_else_reads_it() {
    for (accounts, told) in [(2, true), (3, false)] {
        let (_world, group, mut alice, _bob) = match accounts {
            2 => conversation(Settings::default()).await,
            _ => larger(Settings::default()).await,
        };
        let message = alice.mls.says("hello");
        let short = ApplicationSubmit { ttl: Some(Millis(1)), ..submit(1, &group, message) };
        alice.site.groups.submit(&alice.session, vec![short]).await.unwrap();
        // Everybody here has read it, and the log lets it go long before it ends.
        alice.reads(&group).await;
        alice.site.prunes().await;
        let mut ended = 0;
        while ended == 0 {
            ended = expire(&alice.site.ground).await.unwrap();
        }
        let expected: &[_] = if told { &[(message_id(1), ErrorCode::PeerUnreachable.number())] } else { &[] };
        assert_eq!(refusals(&alice).await, expected, "in a group of {accounts}");
    }
}

#[tokio::test]
async fn what_waited_for_a_domain_that_is_no_peer_any_more_is_given_back() {
    let (world, group, mut alice, mut bob) = conversation(Settings::default()).await;
    assert_eq!(code(&sends(&mut alice, &group, 1, "from the hub").await), None);
    assert_eq!(code(&sends(&mut bob, &group, 1, "to the hub").await), None);
    let (alpha, beta) = (world.site("alpha.test"), world.site("beta.test"));
    assert_eq!(give_back_unpeered(&alpha.ground).await.unwrap(), 0, "a peer keeps its queue");
    alpha.forget_peer(&beta.domain).await;
    beta.forget_peer(&alpha.domain).await;
    assert_eq!(give_back_unpeered(&alpha.ground).await.unwrap(), 1);
    assert_eq!(give_back_unpeered(&beta.ground).await.unwrap(), 1);
    let unreachable = ErrorCode::PeerUnreachable.number();
    assert_eq!(refusals(&alice).await, [(message_id(1), unreachable)]);
    assert_eq!(refusals(&bob).await, [(message_id(1), unreachable)]);
    assert_eq!((waiting(&alice, "beta.test").await, waiting(&bob, "alpha.test").await), (0, 0));
    // A peer again, beta meets a gap there, after which none of its devices follows: nobody writes to them unread.
    alpha.knows_peer(&beta.domain).await;
    let refused = sends(&mut alice, &group, 2, "hello?").await;
    assert_eq!(code(&refused), Some(ErrorCode::PolicyRefused), "{refused:?}");
}

#[tokio::test]
async fn the_copy_that_a_senders_own_domain_misses_is_no_message_that_was_lost() {
    let (world, group, _alice, mut bob) = conversation(Settings::default()).await;
    assert_eq!(code(&sends(&mut bob, &group, 1, "read by alice").await), None);
    let (alpha, beta) = (world.site("alpha.test"), world.site("beta.test"));
    for row in beta.take_outbox(&alpha.domain).await {
        alpha.apply(&beta.domain, row).await;
    }
    alpha.forget_peer(&beta.domain).await;
    assert_eq!(give_back_unpeered(&alpha.ground).await.unwrap(), 1);
    let mut tx = alpha.ground.read().await.unwrap();
    assert_eq!(tx.outbox_weight(&beta.domain).await.unwrap().rows, 0, "nothing is said to bob");
}

#[tokio::test]
async fn who_joined_after_a_handshake_that_is_given_up_is_left_behind_on_both_sides() {
    let (world, group, mut alice, mut bob) = larger(Settings::default()).await;
    alice.commits(&group, Change::default()).await;
    let add = vec![bob.mls.key_package(84)];
    alice.commits(&group, Change { add, remove: vec![1], ..Change::default() }).await;
    let (alpha, beta) = (world.site("alpha.test"), world.site("beta.test"));
    let stream = StreamId::of(&alpha.domain, &beta.domain, &StreamName::FanOut(group.clone()));
    let lane = Lane { incarnation: alpha.ground.incarnation(), stream };
    let mut tx = alpha.ground.read().await.unwrap();
    let first = tx.outbox_heads(&beta.domain).await.unwrap()[0].acknowledged.next();
    drop(tx);
    give_up(&alpha.ground, &beta.domain, lane, first).await.unwrap();
    let before = waiting(&alice, "beta.test").await;
    assert_eq!(code(&sends(&mut alice, &group, 1, "hello").await), None);
    assert_eq!(waiting(&alice, "beta.test").await, before, "nothing more of it is queued");
    assert_eq!(world.relay().await, []);
    assert!(must_be_added_again(&bob, &group).await);
    takes_in_anew(&world, &group, &mut alice, &mut bob).await;
}

#[tokio::test]
async fn who_is_removed_hears_of_it_although_the_queue_is_full() {
    let (world, group, mut alice, mut bob) = larger(bounded(30_000)).await;
    let second = world.user_device("bob@beta.test", 5, &bob).await;
    alice.adds(&group, &[&second]).await;
    assert_eq!(world.relay().await, []);
    for delivery in log(&bob, &group, 1).await {
        let DeliveryBody::Commit { commit, .. } = delivery else { panic!("a commit") };
        bob.mls.apply(&commit);
    }
    // Another conversation fills the queue.
    let mut anna = world.user("anna@alpha.test", 6).await;
    let talk = GroupId::new([9; 16], 1, "alpha.test".parse().unwrap());
    anna.creates(&talk).await;
    anna.adds(&talk, &[&bob]).await;
    assert_eq!(fills(&mut anna, &talk).await.1, ErrorCode::MailboxFull);
    bob.commits(&group, Change { remove: vec![3], ..Change::default() }).await;
    assert_eq!(world.relay().await, []);
    let notices = second.site.notices(&second.mls.device).await;
    assert!(matches!(notices.last(), Some(Notice::Removed { .. })), "{notices:?}");
    assert!(!must_be_added_again(&bob, &group).await);
}

#[tokio::test]
async fn who_was_removed_and_missed_it_for_too_long_hears_that_it_is_over() {
    let settings = Settings { peer_queue_age: Millis(0), ..Settings::default() };
    let (world, group, alice, mut bob) = larger(settings).await;
    let second = world.user_device("bob@beta.test", 5, &bob).await;
    let mut alice = alice;
    alice.adds(&group, &[&second]).await;
    assert_eq!(world.relay().await, []);
    for delivery in log(&bob, &group, 1).await {
        let DeliveryBody::Commit { commit, .. } = delivery else { panic!("a commit") };
        bob.mls.apply(&commit);
    }
    // The last commit that beta gets takes one of its devices out; it waits for too long.
    bob.commits(&group, Change { remove: vec![3], ..Change::default() }).await;
    while expire(&alice.site.ground).await.unwrap() == 0 {}
    assert_eq!(world.relay().await, []);
    assert!(must_be_added_again(&second, &group).await);
}

#[tokio::test]
async fn a_group_whose_other_members_are_all_behind_is_written_to_by_nobody() {
    let (world, group, mut alice, bob) = conversation(bounded(30_000)).await;
    let carol = world.user("carol@beta.test", 3).await;
    alice.adds(&group, &[&carol]).await;
    assert_eq!(world.relay().await, []);
    // All readers are at beta: what finds its queue full is refused.
    assert_eq!(fills(&mut alice, &group).await.1, ErrorCode::MailboxFull);
    alice.commits(&group, Change::default()).await;
    let refused = sends(&mut alice, &group, 101, "hello").await;
    assert_eq!(code(&refused), Some(ErrorCode::PolicyRefused), "{refused:?}");
    assert_eq!(world.relay().await, []);
    assert!(must_be_added_again(&bob, &group).await && must_be_added_again(&carol, &group).await);
}

#[tokio::test]
async fn only_its_own_hub_can_leave_a_domain_behind() {
    let (world, group, _alice, bob) = conversation(Settings::default()).await;
    let beta = world.site("beta.test");
    let said = crate::relay::Tombstone { reason: "quota".to_owned(), kind: 2, group: Some(group.clone()) };
    let row = |payload: Vec<u8>| qpq_federation_proto::Row {
        seq: qpq_core::Seq(1),
        id: message_id(7),
        kind: qpq_federation_proto::RowKind::Tombstone,
        ttl: None,
        payload,
        request: None,
    };
    beta.apply(&"gamma.test".parse().unwrap(), row(said.to_bytes())).await;
    beta.apply(&"alpha.test".parse().unwrap(), row(b"no message".to_vec())).await;
    assert!(!must_be_added_again(&bob, &group).await);
    beta.apply(&"alpha.test".parse().unwrap(), row(said.to_bytes())).await;
    assert!(must_be_added_again(&bob, &group).await);
}
