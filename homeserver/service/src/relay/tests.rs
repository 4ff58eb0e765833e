//! The store's side of relaying.

use qpq_core::{Domain, GroupId, MessageId, Millis, OsEntropy, Seq, Timestamp};
use qpq_federation_proto::{Batch, Cut, RowKind, StreamId, StreamName};
use qpq_storage::{NewOutboxRow, Notice};

use super::{expire, load};
use crate::{
    fixture::{Home, Person},
    groups::records::GroupSubmit,
};

fn hub() -> Domain {
    "beta.test".parse().unwrap()
}

fn stream(group: &GroupId) -> StreamId {
    StreamId::of(&"alpha.test".parse().unwrap(), &hub(), &StreamName::Submissions(group.clone()))
}

/// A message of a person, on its way to a hub elsewhere.
fn submit(
    person: &Person,
    group: &GroupId,
    id: u8,
    expires_at: Option<Timestamp>,
    at: Timestamp,
) -> NewOutboxRow {
    let submit =
        GroupSubmit { group: group.clone(), sender: person.device_address(), message: vec![1, 2, 3] };
    NewOutboxRow {
        destination: hub(),
        stream: *stream(group).as_bytes(),
        id: MessageId::from_bytes([id; 16]),
        kind: RowKind::GroupSubmit.number(),
        expires_at,
        payload: submit.to_bytes(),
        at,
    }
}

#[tokio::test]
async fn a_message_that_expires_on_its_way_becomes_a_tombstone_and_its_sender_hears_of_it() {
    let home = Home::open();
    let (anna, opened) = home.joins("anna").await;
    let group = GroupId::random(hub(), &mut OsEntropy::new().unwrap());
    let ends = home.now().after(Millis(10));
    let rows = [submit(&anna, &group, 1, Some(ends), home.now()), submit(&anna, &group, 2, None, home.now())];
    home.writes(move |tx| {
        let rows = rows.clone();
        Box::pin(async move { tx.outbox_append(&rows).await.map(drop) })
    })
    .await;
    home.wait(Millis(20));

    // Whoever loads them for sending sees the tombstone, not the message.
    let cut = Cut { stream: stream(&group), from: Seq(1), before: None, max_rows: 10 };
    let batches = load(&home.ground, &hub(), &[cut]).await.unwrap();
    let kinds: Vec<_> = batches.iter().flat_map(Batch::rows).map(|row| row.kind).collect();
    assert_eq!(kinds, [RowKind::Tombstone, RowKind::GroupSubmit]);

    let mut tx = home.ground.read().await.unwrap();
    let mailbox = tx.mailbox_after(&anna.device, Seq::ZERO, 10).await.unwrap();
    let refused: Vec<_> = mailbox
        .iter()
        .filter_map(|row| match &row.notice {
            Notice::Refused { group: of, id, .. } => Some((of.clone(), *id)),
            _ => None,
        })
        .collect();
    assert_eq!(refused, [(group, MessageId::from_bytes([1; 16]))]);
    assert_eq!(expire(&home.ground).await.unwrap(), 0, "nobody hears of it twice");
    drop(opened);
}

#[tokio::test]
async fn a_call_takes_what_fits_and_no_row_overtakes_another() {
    let home = Home::open();
    let (anna, _opened) = home.joins("anna").await;
    let group = GroupId::random(hub(), &mut OsEntropy::new().unwrap());
    let at = home.now();
    let mut rows: Vec<_> = (1..=6).map(|id| submit(&anna, &group, id, None, at)).collect();
    for row in &mut rows {
        row.payload = vec![0; 400 * 1024];
    }
    home.writes(move |tx| {
        let rows = rows.clone();
        Box::pin(async move { tx.outbox_append(&rows).await.map(drop) })
    })
    .await;
    let cut = Cut { stream: stream(&group), from: Seq(1), before: None, max_rows: 256 };
    let batches = load(&home.ground, &hub(), &[cut]).await.unwrap();
    let seqs: Vec<_> = batches.iter().flat_map(Batch::rows).map(|row| row.seq.0).collect();
    assert_eq!(seqs, [1, 2], "a mebibyte holds two of them");
}
