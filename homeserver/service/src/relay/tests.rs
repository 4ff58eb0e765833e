//! The store's side of relaying.

use ed25519_dalek::SigningKey;
use qpq_core::{
    Digest, Domain, FederationKey, GroupId, Incarnation, MessageId, Millis, OsEntropy, Seq, Timestamp, limits,
};
use qpq_federation_proto::{
    Batch, BatchDigest, Cut, Kept, Lane, PeerHead, Position, Row, RowKind, SignedHeader, StreamAnswer,
    StreamId, StreamName,
};
use qpq_storage::{InboxHead, NewOutboxRow, Notice, ParkedRow};

use super::{
    Compared, Proven, RelayCall, accept, acknowledge, compare, expire, give_back_unpeered, load, prove,
};
use crate::{
    fixture::{Home, Person, peer},
    groups::records::GroupSubmit,
};

fn hub() -> Domain {
    "beta.test".parse().unwrap()
}

fn stream(group: &GroupId) -> StreamId {
    StreamId::of(&"alpha.test".parse().unwrap(), &hub(), &StreamName::Submissions(group.clone()))
}

/// What the home numbers now.
fn lane(home: &Home, group: &GroupId) -> Lane {
    Lane { incarnation: home.ground.incarnation(), stream: stream(group) }
}

/// Makes the hub a peer that signs with this key.
async fn knows_hub(home: &Home, key: &SigningKey) {
    let peer = peer(&hub(), key);
    home.writes(move |tx| {
        let peer = peer.clone();
        Box::pin(async move { tx.peer_store(&peer).await })
    })
    .await;
}

async fn queues(home: &Home, rows: Vec<NewOutboxRow>) {
    home.writes(move |tx| {
        let rows = rows.clone();
        Box::pin(async move { tx.outbox_append(&rows).await.map(drop) })
    })
    .await;
}

/// The rows of a lane from a position on, as a call would take them.
async fn loads(home: &Home, lane: Lane, from: u64, before: Option<Digest>) -> Vec<Batch> {
    let cut = Cut { lane, from: Seq(from), before, max_rows: 10 };
    load(&home.ground, &hub(), &[cut], limits::BATCH_BYTES).await.unwrap()
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
        request: None,
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
    let cut = Cut { lane: lane(&home, &group), from: Seq(1), before: None, max_rows: 10 };
    let batches = load(&home.ground, &hub(), &[cut], limits::BATCH_BYTES).await.unwrap();
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
    let cut = Cut { lane: lane(&home, &group), from: Seq(1), before: None, max_rows: 256 };
    let batches = load(&home.ground, &hub(), &[cut], limits::BATCH_BYTES).await.unwrap();
    let seqs: Vec<_> = batches.iter().flat_map(Batch::rows).map(|row| row.seq.0).collect();
    assert_eq!(seqs, [1, 2], "a mebibyte holds two of them");
}

/// Rows of the peer beta, as it would send them.
fn call(key: &SigningKey, stream: [u8; 16], kind: u16) -> RelayCall {
    let row = Row {
        seq: Seq(1),
        id: MessageId::from_bytes([1; 16]),
        kind: RowKind::from_number(kind),
        ttl: None,
        payload: vec![0; 64],
        request: None,
    };
    let batch = Batch::new(StreamId::from_bytes(stream), Some(Digest::ZERO), vec![row]).unwrap();
    let incarnation = Incarnation::from_slice(&[1; 16]).unwrap();
    let us: Domain = "alpha.test".parse().unwrap();
    let digests = vec![BatchDigest::of(&batch)];
    let header = SignedHeader::sign(key, hub(), us.clone(), incarnation, digests).unwrap();
    RelayCall {
        origin: hub(),
        destination: us,
        incarnation,
        signature: *header.signature(),
        batches: vec![batch],
    }
}

#[tokio::test]
async fn a_peer_can_not_fill_the_disk_with_streams_or_with_rows_that_nobody_knows() {
    let home = Home::open();
    let key = SigningKey::from_bytes(&[7; 32]);
    knows_hub(&home, &key).await;
    let parks = || call(&key, [1; 16], 999);
    let relays = async |call: RelayCall| accept(&home.ground, &hub(), call).await.unwrap().remove(0).1;
    assert!(matches!(relays(parks()).await, StreamAnswer::Applied { through: Seq(1), .. }));

    let heavy = usize::try_from(limits::PARKED_BYTES).unwrap() - 64;
    home.writes(move |tx| {
        let row = ParkedRow { seq: Seq(2), kind: 999, id: [2; 16], payload: vec![0; heavy] };
        Box::pin(async move { tx.inbox_park(&hub(), &[1; 16], &[row]).await })
    })
    .await;
    assert!(matches!(relays(call(&key, [2; 16], 999)).await, StreamAnswer::NotNow { .. }));
    assert!(matches!(relays(call(&key, [2; 16], 5)).await, StreamAnswer::Applied { .. }), "others go on");

    home.writes(move |tx| {
        Box::pin(async move {
            let head = InboxHead {
                incarnation: Incarnation::from_slice(&[1; 16]).unwrap(),
                last_applied: Seq(1),
                chain: Digest::ZERO,
                header: vec![],
                backed_up: Seq::ZERO,
            };
            for number in 2..limits::PEER_STREAMS {
                let mut stream = [9; 16];
                stream[..8].copy_from_slice(&number.to_be_bytes());
                tx.inbox_advance(&hub(), &stream, &head).await?;
            }
            Ok(())
        })
    })
    .await;
    assert!(matches!(relays(call(&key, [3; 16], 5)).await, StreamAnswer::NotNow { .. }));
    assert!(matches!(relays(parks()).await, StreamAnswer::Applied { .. }), "known streams are answered");
}

#[tokio::test]
async fn kept_rows_before_a_hole_go_out_and_the_hole_is_named() {
    let home = Home::open();
    let (anna, _opened) = home.joins("anna").await;
    knows_hub(&home, &SigningKey::from_bytes(&[7; 32])).await;
    let group = GroupId::random(hub(), &mut OsEntropy::new().unwrap());
    let (lane, at) = (lane(&home, &group), home.now());
    queues(&home, (1..=3).map(|id| submit(&anna, &group, id, None, at)).collect()).await;
    let kept = vec![Kept { lane, through: Seq(2), chain: None }];
    acknowledge(&home.ground, &hub(), kept, vec![]).await.unwrap();
    // What waits goes with the peering; numbers are not used twice.
    home.writes(|tx| Box::pin(async move { tx.peer_remove(&hub()).await.map(drop) })).await;
    assert_eq!(give_back_unpeered(&home.ground).await.unwrap(), 1);
    knows_hub(&home, &SigningKey::from_bytes(&[7; 32])).await;
    queues(&home, vec![submit(&anna, &group, 4, None, at)]).await;

    let seqs =
        |batches: &[Batch]| batches.iter().flat_map(Batch::rows).map(|row| row.seq.0).collect::<Vec<_>>();
    assert_eq!(seqs(&loads(&home, lane, 1, None).await), [1, 2]);
    let hole = loads(&home, lane, 3, None).await;
    assert!(seqs(&hole).is_empty() && hole.first().unwrap().last() == Seq(3));
    assert_eq!(seqs(&loads(&home, lane, 4, None).await), [4]);
}

#[tokio::test]
async fn a_chain_that_the_peer_told_proves_nothing() {
    let home = Home::open();
    let (anna, _opened) = home.joins("anna").await;
    let group = GroupId::random(hub(), &mut OsEntropy::new().unwrap());
    let (of, at) = (lane(&home, &group), home.now());
    queues(&home, (1..=3).map(|id| submit(&anna, &group, id, None, at)).collect()).await;
    let sent = loads(&home, of, 1, Some(Digest::ZERO)).await;
    let kept = vec![Kept { lane: of, through: Seq(3), chain: sent.first().unwrap().chain_after() }];
    acknowledge(&home.ground, &hub(), kept, vec![]).await.unwrap();

    let key = SigningKey::from_bytes(&[9; 32]);
    let shown = |batch: &Batch| {
        let (us, digests) = (home.ground.domain().clone(), vec![BatchDigest::of(batch)]);
        let header = SignedHeader::sign(&key, us, hub(), of.incarnation, digests).unwrap();
        vec![(of.stream, header.to_bytes())]
    };
    let judged = async |shown: Vec<_>| {
        let ours = FederationKey::from_bytes(key.verifying_key().to_bytes());
        prove(&home.ground, &ours, &hub(), &shown).await.unwrap()
    };
    // It says that it has lost rows, and names a chain of its choice where it stands.
    let position =
        Position { incarnation: of.incarnation, applied: Seq(1), chain: Digest::of(&[b"a lie".as_slice()]) };
    let head = PeerHead { stream: of.stream, at: position, backed_up: Seq::ZERO };
    let compared = compare(&home.ground, &hub(), vec![head], true).await.unwrap();
    assert!(matches!(compared, Compared::Settled { replayed: true, .. }));
    assert_eq!(judged(shown(sent.first().unwrap())).await, Proven::Nothing, "we did send that");

    // What we signed and don't hold is proof all the same.
    let row = |id| Row {
        seq: Seq(id),
        id: MessageId::from_bytes([99; 16]),
        kind: RowKind::GroupSubmit,
        ttl: None,
        payload: vec![1],
        request: None,
    };
    let other = Batch::new(of.stream, Some(Digest::ZERO), (1..=3).map(row).collect()).unwrap();
    assert!(matches!(judged(shown(&other)).await, Proven::Rollback(_)));
}
