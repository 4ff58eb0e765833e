//! What waits for a device has a bound: by messages, by bytes and by time.

use qpq_core::{ErrorCode, Millis};
use qpq_storage::Notice;

use super::{Change, SubmitAnswer, User, code, conversation, log, message_id, refusals, sends};
use crate::{Settings, fixture::counted};

#[tokio::test]
async fn between_two_a_full_queue_refuses_and_says_when() {
    let settings = Settings { mailbox_messages: 3, ..Settings::default() };
    let (world, group, mut alice, mut bob) = conversation(settings).await;
    // Bob never reads: his domain takes three and refuses the fourth, which comes back to alice.
    for id in 1..=4 {
        assert_eq!(code(&sends(&mut alice, &group, id, "hello").await), None);
    }
    assert_eq!(world.relay().await.len(), 1);
    assert_eq!(refusals(&alice).await, [(message_id(4), ErrorCode::MailboxFull.number())]);
    assert_eq!(log(&bob, &group, 1).await.len(), 3);
    assert_eq!(counted(&bob.site.ground, "quicproquo_limits_hit_total{limit=\"mailbox\"}"), 1);
    // Alice never reads either; what bob sends meets her queue at the hub, and what she sent herself doesn't count.
    for id in 1..=4 {
        assert_eq!(code(&sends(&mut bob, &group, id, "hello").await), None);
    }
    world.relay().await;
    assert!(refusals(&bob).await.iter().all(|(_, code)| *code == ErrorCode::MailboxFull.number()));
    assert!(!refusals(&bob).await.is_empty());
    let again = sends(&mut bob, &group, 4, "the refused id may come again").await;
    assert!(matches!(again, SubmitAnswer::AtHome { .. }));
}

#[tokio::test]
async fn in_a_larger_group_the_slow_device_is_cut_off_and_comes_back_by_remove_and_add() {
    let settings = Settings { mailbox_messages: 3, submits_per_minute: 1_000, ..Settings::default() };
    let (world, group, mut alice, mut bob) = conversation(settings).await;
    let carol = world.user("carol@alpha.test", 3).await;
    alice.adds(&group, &[&carol]).await;
    world.relay().await;
    for id in 1..=5 {
        assert_eq!(code(&sends(&mut alice, &group, id, "hello").await), None);
    }
    assert_eq!(world.relay().await, []);
    let told =
        |notices: Vec<Notice>| notices.iter().any(|notice| matches!(notice, Notice::NeedsResync { .. }));
    assert!(told(bob.site.notices(&bob.mls.device).await));
    assert!(told(carol.site.notices(&carol.mls.device).await));
    let refused = sends(&mut bob, &group, 1, "hello?").await;
    assert_eq!(code(&refused), Some(ErrorCode::NeedsResync));
    alice.reads(&group).await;
    // Alice removes bob's old leaf and adds his device again in one commit.
    let add = vec![bob.mls.key_package(84)];
    alice.commits(&group, Change { add, remove: vec![1], ..Change::default() }).await;
    assert_eq!(world.relay().await, []);
    // A device that joins anew leaves its old state behind.
    bob.mls.leave();
    bob.joins(&group).await;
    assert_eq!(code(&sends(&mut bob, &group, 2, "back").await), None);
    assert_eq!(world.relay().await, []);
    let after = sends(&mut alice, &group, 9, "welcome back").await;
    assert_eq!(code(&after), None);
}

#[tokio::test]
async fn bytes_fill_a_queue_like_messages_do() {
    let (_, group, mut alice, _) = conversation(Settings::default()).await;
    let one = alice.mls.says("hello").len();
    let settings = Settings { mailbox_bytes: u64::try_from(3 * one).unwrap(), ..Settings::default() };
    drop((group, alice));
    let (world, group, mut alice, bob) = conversation(settings).await;
    for id in 1..=4 {
        assert_eq!(code(&sends(&mut alice, &group, id, "hello").await), None);
    }
    assert_eq!(world.relay().await.len(), 1);
    assert_eq!(refusals(&alice).await, [(message_id(4), ErrorCode::MailboxFull.number())]);
    bob.reads(&group).await;
    assert_eq!(code(&sends(&mut alice, &group, 5, "hello").await), None);
    assert_eq!(world.relay().await, []);
}

#[tokio::test]
async fn who_stays_away_from_a_larger_group_for_too_long_is_cut_off() {
    let settings = Settings { mailbox_age: Millis(0), ..Settings::default() };
    let (world, group, mut alice, bob) = conversation(settings).await;
    let absent = async |user: &User| crate::cut_off_absent(&user.site.ground).await.unwrap();
    assert_eq!(code(&sends(&mut alice, &group, 1, "between two nobody is").await), None);
    world.relay().await;
    let stored = bob.site.ground.now();
    while bob.site.ground.now() <= stored {
        tokio::task::yield_now().await;
    }
    assert_eq!(absent(&bob).await, 0);
    let carol = world.user("carol@alpha.test", 3).await;
    alice.adds(&group, &[&carol]).await;
    alice.reads(&group).await;
    world.relay().await;
    let stored = bob.site.ground.now();
    while bob.site.ground.now() <= stored {
        tokio::task::yield_now().await;
    }
    assert_eq!(absent(&bob).await, 1);
    assert_eq!(absent(&bob).await, 0);
    let notices = bob.site.notices(&bob.mls.device).await;
    assert!(notices.iter().any(|notice| matches!(notice, Notice::NeedsResync { .. })));
    // Carol has joined and has nothing to read; alice has read everything.
    assert_eq!(absent(&alice).await, 0);
}
