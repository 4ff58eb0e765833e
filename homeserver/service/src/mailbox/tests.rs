//! Feeds: in order, once, from where the device stands.

use std::time::Duration;

use qpq_core::{DeviceId, ErrorCode, GroupId, Incarnation, Seq, Timestamp};
use qpq_storage::{EntryBody, Feed, LogEntry, Notice};
use tokio::time::timeout;

use crate::{
    Delivery, DeliveryBody, Effects, FeedPosition, Feeder, Opened,
    fixture::{Home, Person},
};

fn group(n: u8) -> GroupId {
    GroupId::new([n; 16], 1, "alpha.test".parse().unwrap())
}

/// Puts notices into a device's mailbox, named by the groups they speak of.
async fn notify(home: &Home, device: DeviceId, names: std::ops::Range<u8>) {
    home.writes(move |tx| {
        let notices: Vec<_> = names.clone().map(|n| (device, Notice::Removed { group: group(n) })).collect();
        Box::pin(async move { tx.mailbox_append(&notices, Timestamp::from_millis(1)).await.map(drop) })
    })
    .await;
    let mut effects = Effects::default();
    effects.wake(device, Feed::Mailbox);
    home.ground.follow(effects);
}

/// Makes a group of one device and logs messages of a given size in it.
async fn converse(home: &Home, person: &Person, id: GroupId, messages: u64, bytes: usize) {
    let device = person.device_address();
    let known = home.ground.read().await.unwrap().group(&id).await.unwrap().is_some();
    let woken = id.clone();
    home.writes(move |tx| {
        let (id, device) = (id.clone(), device.clone());
        Box::pin(async move {
            let now = Timestamp::from_millis(1);
            if !known {
                let group = qpq_storage::Group {
                    id: id.clone(),
                    epoch: 0,
                    last_seq: Seq::ZERO,
                    application_count: 0,
                    accounts: 1,
                    created_at: now,
                };
                assert!(tx.group_create(&group, &device, &[], &[]).await?);
            }
            let entry = |n: u64| LogEntry {
                seq: Seq::ZERO,
                id: qpq_core::MessageId::from_bytes(u128::from(n).to_be_bytes()),
                epoch: 0,
                at: now,
                expires_at: None,
                body: EntryBody::Application { message: vec![7; bytes] },
            };
            let entries: Vec<_> = (0..messages).map(entry).collect();
            tx.log_append(&id, &entries).await.map(drop)
        })
    })
    .await;
    let mut effects = Effects::default();
    effects.wake(person.device, Feed::Group(woken));
    home.ground.follow(effects);
}

async fn batch(feeder: &mut Feeder) -> Vec<Delivery> {
    timeout(Duration::from_secs(5), feeder.next()).await.expect("something waits").unwrap().unwrap()
}

async fn nothing(feeder: &mut Feeder) {
    assert!(timeout(Duration::from_secs(5), feeder.next()).await.is_err(), "nothing should wait");
}

fn named(deliveries: &[Delivery]) -> Vec<u8> {
    deliveries
        .iter()
        .map(|delivery| match &delivery.body {
            DeliveryBody::Removed { group } => group.random_part()[0],
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn acknowledge(home: &Home, opened: &Opened, delivery: &Delivery) {
    home.use_cases
        .mailboxes
        .acknowledge(&opened.handle, std::slice::from_ref(&delivery.position))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn everything_comes_once_in_order_and_a_new_subscription_starts_where_it_was_acknowledged() {
    let home = Home::open();
    let (alice, opened) = home.joins("alice").await;
    notify(&home, alice.device, 0..3).await;
    let mut feeder = home.use_cases.mailboxes.subscribe(&opened.handle).unwrap();
    let first = batch(&mut feeder).await;
    assert_eq!(named(&first), [0, 1, 2]);
    nothing(&mut feeder).await;
    notify(&home, alice.device, 3..5).await;
    assert_eq!(named(&batch(&mut feeder).await), [3, 4]);
    nothing(&mut feeder).await;

    acknowledge(&home, &opened, &first[1]).await;
    let mut second = home.use_cases.mailboxes.subscribe(&opened.handle).unwrap();
    assert_eq!(feeder.next().await.unwrap(), None, "the first one was replaced");
    assert_eq!(named(&batch(&mut second).await), [2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_bounded_and_a_busy_group_keeps_nobody_waiting() {
    let home = Home::open();
    let (alice, opened) = home.joins("alice").await;
    converse(&home, &alice, group(1), 600, 10).await;
    converse(&home, &alice, group(2), 2, 10).await;
    let mut feeder = home.use_cases.mailboxes.subscribe(&opened.handle).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 602 {
        let deliveries = batch(&mut feeder).await;
        assert!(deliveries.len() <= qpq_core::limits::BATCH_ITEMS);
        seen.extend(deliveries.into_iter().map(|delivery| delivery.position));
    }
    nothing(&mut feeder).await;
    for (n, count) in [(1, 600), (2, 2)] {
        let feed = Feed::Group(group(n));
        let seqs: Vec<u64> = seen.iter().filter(|p| p.feed == feed).map(|p| p.cursor.seq.0).collect();
        let first = seqs[0];
        assert_eq!(seqs, (first..first + count).collect::<Vec<_>>());
    }
    let small = seen.iter().position(|position| position.feed == Feed::Group(group(2))).unwrap();
    assert!(small < 2 * qpq_core::limits::BATCH_ITEMS, "the small group had its turn");
}

#[tokio::test(start_paused = true)]
async fn large_messages_make_small_batches() {
    let home = Home::open();
    let (alice, opened) = home.joins("alice").await;
    converse(&home, &alice, group(1), 10, 250 * 1024).await;
    let mut feeder = home.use_cases.mailboxes.subscribe(&opened.handle).unwrap();
    let mut count = 0;
    while count < 10 {
        let deliveries = batch(&mut feeder).await;
        let bytes: usize = deliveries.iter().map(Delivery::size).sum();
        assert!(bytes <= qpq_core::limits::BATCH_BYTES + 256 * 1024);
        count += deliveries.len();
    }
    assert_eq!(count, 10);
}

#[tokio::test(start_paused = true)]
async fn fetching_pages_through_and_ignores_positions_of_another_life() {
    let home = Home::open();
    let (alice, opened) = home.joins("alice").await;
    notify(&home, alice.device, 0..5).await;
    let mailboxes = &home.use_cases.mailboxes;
    let page = mailboxes.fetch(&opened.handle, &[], 2).await.unwrap();
    assert_eq!((named(&page.deliveries), page.more), (vec![0, 1], true));
    let after = page.deliveries[1].position.clone();
    let page = mailboxes.fetch(&opened.handle, std::slice::from_ref(&after), 0).await.unwrap();
    assert_eq!((named(&page.deliveries), page.more), (vec![2, 3, 4], false));

    let mut other = qpq_core::SeededEntropy::new(1);
    let elsewhere = FeedPosition::new(Feed::Mailbox, Incarnation::begin(home.now(), &mut other), Seq(4));
    mailboxes.acknowledge(&opened.handle, std::slice::from_ref(&elsewhere)).await.unwrap();
    let page = mailboxes.fetch(&opened.handle, &[elsewhere], 0).await.unwrap();
    assert_eq!(named(&page.deliveries), [0, 1, 2, 3, 4]);

    mailboxes.acknowledge(&opened.handle, &[after]).await.unwrap();
    let page = mailboxes.fetch(&opened.handle, &[], 0).await.unwrap();
    assert_eq!(named(&page.deliveries), [2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_with_its_session() {
    let home = Home::open();
    let (alice, opened) = home.joins("alice").await;
    let mut feeder = home.use_cases.mailboxes.subscribe(&opened.handle).unwrap();
    let revoke = home.use_cases.devices.revoke(alice.device);
    let (end, done) = tokio::join!(feeder.next(), revoke);
    assert_eq!(end.unwrap(), None);
    done.unwrap();
    let refused = home.use_cases.mailboxes.subscribe(&opened.handle).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Revoked);
}
