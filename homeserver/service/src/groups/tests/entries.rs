//! Entries that come together are what they are one by one.

use qpq_core::{GroupId, Seq};
use qpq_federation_proto::{Row, RowKind};

use super::{Change, DeliveryBody, User, World, conversation, group, log, sends};
use crate::{Settings, relay::RowOutcome};

/// What bob's domain has of the group afterwards, and what it answers the hub.
async fn seen(bob: &User, group: &GroupId) -> Vec<String> {
    let mut tx = bob.site.ground.read().await.unwrap();
    let entries = tx.log_after(group, Seq::ZERO, 1_000, usize::MAX).await.unwrap();
    let mut seen: Vec<String> = entries
        .into_iter()
        .map(|entry| format!("{:?} {:?} {} {:?}", entry.seq, entry.id, entry.epoch, entry.body))
        .collect();
    seen.push(format!("{:?}", tx.group(group).await.unwrap()));
    seen.push(format!("{:?}", tx.members(group).await.unwrap()));
    seen.push(format!("{:?}", tx.backlogs(&[bob.mls.device.device]).await.unwrap()));
    drop(tx);
    seen.push(format!("{:?}", bob.site.notices(&bob.mls.device).await));
    let back = bob.site.take_outbox(group.hub()).await;
    seen.extend(back.into_iter().map(|row| format!("{:?} {:?}", row.id, row.kind)));
    seen
}

/// Applies the rows one by one and all together, on the same store.
async fn both_ways(bob: &User, group: &GroupId, rows: Vec<Row>) -> Vec<RowOutcome> {
    let entries: Vec<Row> = rows.into_iter().filter(|row| row.kind == RowKind::GroupEntry).collect();
    let copied = bob.site.copied();
    let mut singly = Vec::new();
    for row in &entries {
        singly.push(bob.site.apply(group.hub(), row.clone()).await);
    }
    let after = seen(bob, group).await;
    bob.site.put_back(&copied);
    assert_eq!(bob.site.apply_together(group.hub(), &entries).await, singly);
    assert_eq!(seen(bob, group).await, after);
    let again = bob.site.apply_together(group.hub(), &entries).await;
    let repeated =
        |(outcome, again): (&RowOutcome, RowOutcome)| again == RowOutcome::Known || again == *outcome;
    assert!(singly.iter().zip(again).all(repeated));
    singly
}

#[tokio::test]
async fn between_two_with_a_commit_and_a_full_queue() {
    let settings = Settings { mailbox_messages: 3, ..Settings::default() };
    let (_world, group, mut alice, bob) = conversation(settings).await;
    for id in 1..=2 {
        sends(&mut alice, &group, id, "hello").await;
    }
    alice.commits(&group, Change::default()).await;
    for id in 3..=6 {
        sends(&mut alice, &group, id, "hello").await;
    }
    let rows = alice.site.take_outbox(&bob.site.domain).await;
    let outcomes = both_ways(&bob, &group, rows).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == RowOutcome::Stored).count(), 4);
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, RowOutcome::Refused(_))).count(), 3);
}

#[tokio::test]
async fn in_a_larger_group_whose_reader_is_cut_off_on_the_way() {
    let settings = Settings { mailbox_messages: 3, submits_per_minute: 1_000, ..Settings::default() };
    let (world, group, mut alice, bob) = conversation(settings).await;
    let carol = world.user("carol@alpha.test", 3).await;
    alice.adds(&group, &[&carol]).await;
    world.relay().await;
    for id in 1..=6 {
        sends(&mut alice, &group, id, "hello").await;
    }
    let rows = alice.site.take_outbox(&bob.site.domain).await;
    assert!(both_ways(&bob, &group, rows).await.len() >= 6);
    let read = log(&bob, &group, 0).await;
    assert!(read.iter().any(|body| matches!(body, DeliveryBody::Application { .. })));
}

#[tokio::test]
async fn without_a_reader_here_they_are_refused() {
    let world = World::new(&["alpha.test", "beta.test"], Settings::default()).await;
    let mut alice = world.user("alice@alpha.test", 1).await;
    let bob = world.user("bob@beta.test", 2).await;
    let group = group("alpha.test");
    alice.creates(&group).await;
    alice.adds(&group, &[&bob]).await;
    for id in 1..=3 {
        sends(&mut alice, &group, id, "hello").await;
    }
    // The Welcome is not among them.
    let rows = alice.site.take_outbox(&bob.site.domain).await;
    let outcomes = both_ways(&bob, &group, rows).await;
    assert!(outcomes.len() >= 3 && outcomes.iter().all(|outcome| matches!(outcome, RowOutcome::Refused(_))));
}
