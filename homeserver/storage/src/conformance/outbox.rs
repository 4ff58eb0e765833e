//! Rows on their way to peers.

use qpq_core::{Incarnation, Millis, RequestId, Seq, Timestamp};

use super::{
    Failure, Outcome, Subject, conflicts,
    fixtures::{at, digest, elsewhere, here, message_id},
    read, same, write,
};
use crate::{
    Backoff, NewOutboxRow, OutboxDepth, OutboxHead, OutboxLane, OutboxRow, OutboxWeight, Page, Peer,
    QueueLine, StreamName, Vault, WaitingRow, Window,
};

const FIRST: StreamName = [1; 16];
const SECOND: StreamName = [2; 16];

/// The life that began at a second.
fn life(second: u8) -> Result<Incarnation, Failure> {
    let none = || Failure::Differs { what: "fixture", expected: String::new(), found: String::new() };
    super::small::incarnation(second).ok_or_else(none)
}

pub(super) fn vault(second: u8) -> Result<Vault, Failure> {
    Ok(Vault { domain: here()?, incarnation: life(second)?, created_at: at(1) })
}

pub(super) fn lane(second: u8, stream: StreamName) -> Result<OutboxLane, Failure> {
    Ok(OutboxLane { incarnation: life(second)?, stream })
}

fn row(stream: StreamName, number: u8) -> Result<NewOutboxRow, Failure> {
    Ok(NewOutboxRow {
        destination: elsewhere()?,
        stream,
        id: message_id(number),
        kind: 1,
        expires_at: Some(at(100 + u64::from(number))),
        payload: vec![number; 10],
        at: at(u64::from(number)),
        // Every other row follows from a request.
        request: number.is_multiple_of(2).then_some(RequestId::from_bytes([number; 16])),
    })
}

fn rows(stream: StreamName, numbers: std::ops::RangeInclusive<u8>) -> Result<Vec<NewOutboxRow>, Failure> {
    numbers.map(|number| row(stream, number)).collect()
}

async fn filled(subject: &dyn Subject, rows: &[NewOutboxRow]) -> Result<Vec<Seq>, Failure> {
    let mut tx = write(subject).await?;
    if tx.vault().await?.is_none() {
        tx.vault_create(&vault(1)?).await?;
    }
    let seqs = tx.outbox_append(rows).await?;
    tx.commit().await?;
    Ok(seqs)
}

async fn acknowledged(subject: &dyn Subject, through: u64, now: Timestamp) -> Outcome {
    let mut tx = write(subject).await?;
    tx.outbox_acknowledge(&elsewhere()?, &lane(1, FIRST)?, Seq(through), Some(&digest(4)), now).await?;
    tx.commit().await?;
    Ok(())
}

fn head(stream: StreamName, acknowledged: u64, last: u64) -> Result<OutboxHead, Failure> {
    let chain = (acknowledged > 0).then(|| digest(4));
    Ok(OutboxHead { lane: lane(1, stream)?, acknowledged: Seq(acknowledged), chain, last: Seq(last) })
}

async fn stored(subject: &dyn Subject, from: u64, limit: usize, bytes: usize) -> Result<Vec<u64>, Failure> {
    let rows =
        read(subject).await?.outbox_rows(&elsewhere()?, &lane(1, FIRST)?, Seq(from), limit, bytes).await?;
    Ok(rows.into_iter().map(|row| row.seq.0).collect())
}

/// Each stream counts for itself, from 1, without holes.
pub async fn rows_are_numbered_per_stream(subject: &mut dyn Subject) -> Outcome {
    let mixed = [row(FIRST, 1)?, row(SECOND, 2)?, row(FIRST, 3)?];
    same("first batch", filled(subject, &mixed).await?, vec![Seq(1), Seq(1), Seq(2)])?;
    same("second batch", filled(subject, &[row(FIRST, 4)?]).await?, vec![Seq(3)])?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    same("destinations", tx.outbox_destinations().await?, vec![elsewhere()?])?;
    let heads = tx.outbox_heads(&elsewhere()?).await?;
    same("heads", heads, vec![head(FIRST, 0, 3)?, head(SECOND, 0, 1)?])?;
    let found = tx.outbox_rows(&elsewhere()?, &lane(1, FIRST)?, Seq(2), 10, 1_000).await?;
    let expected =
        vec![OutboxRow { seq: Seq(2), row: row(FIRST, 3)? }, OutboxRow { seq: Seq(3), row: row(FIRST, 4)? }];
    same("rows", found, expected)
}

/// A page has at most so many rows and bytes, and at least one row.
pub async fn pages_are_cut(subject: &mut dyn Subject) -> Outcome {
    filled(subject, &rows(FIRST, 1..=5)?).await?;
    same("by count", stored(subject, 1, 3, 1_000).await?, vec![1, 2, 3])?;
    same("by bytes", stored(subject, 2, 10, 25).await?, vec![2, 3])?;
    same("at least one", stored(subject, 4, 10, 1).await?, vec![4])?;
    same("beyond the end", stored(subject, 6, 10, 1_000).await?, vec![])
}

/// The mark moves forward, never back, never beyond the last row; rows behind it are kept.
pub async fn acknowledging_moves_forward_only(subject: &mut dyn Subject) -> Outcome {
    filled(subject, &rows(FIRST, 1..=5)?).await?;
    acknowledged(subject, 3, at(50)).await?;
    acknowledged(subject, 2, at(60)).await?;
    let heads = read(subject).await?.outbox_heads(&elsewhere()?).await?;
    same("head", heads, vec![head(FIRST, 3, 5)?])?;
    same("rows are kept", stored(subject, 1, 10, 1_000).await?, vec![1, 2, 3, 4, 5])?;
    acknowledged(subject, 99, at(70)).await?;
    let mut tx = read(subject).await?;
    same("heads", tx.outbox_heads(&elsewhere()?).await?, vec![])?;
    same("destinations", tx.outbox_destinations().await?, vec![])?;
    drop(tx);
    same("numbering goes on", filled(subject, &[row(FIRST, 6)?]).await?, vec![Seq(6)])
}

async fn purged(subject: &dyn Subject, now: Timestamp, most: u64) -> Result<u64, Failure> {
    let mut tx = write(subject).await?;
    let gone = tx.outbox_purge(now, Millis::from_secs(100), most).await?;
    tx.commit().await?;
    Ok(gone)
}

/// Acknowledged rows go when they were kept long enough; waiting rows never.
pub async fn kept_rows_are_purged_by_age(subject: &mut dyn Subject) -> Outcome {
    filled(subject, &rows(FIRST, 1..=4)?).await?;
    acknowledged(subject, 1, at(50)).await?;
    acknowledged(subject, 3, at(60)).await?;
    same("early", purged(subject, at(150), 1_000).await?, 0)?;
    same("the first", purged(subject, at(151), 1_000).await?, 1)?;
    same("the others", purged(subject, at(161), 1_000).await?, 2)?;
    same("left", stored(subject, 1, 10, 1_000).await?, vec![4])?;
    same("waiting rows stay", purged(subject, at(9_999), 0).await?, 0)
}

/// The oldest kept rows beyond so many bytes go.
pub async fn kept_rows_are_purged_by_size(subject: &mut dyn Subject) -> Outcome {
    filled(subject, &rows(FIRST, 1..=4)?).await?;
    for through in 1..=3 {
        acknowledged(subject, through, at(50 + through)).await?;
    }
    same("within", purged(subject, at(60), 30).await?, 0)?;
    same("beyond", purged(subject, at(60), 20).await?, 1)?;
    same("left", stored(subject, 1, 10, 1_000).await?, vec![2, 3, 4])?;
    let kept = read(subject).await?.outbox_depth(&elsewhere()?).await?.kept;
    same("kept", kept, 2)
}

/// A waiting row that expires leaves a tombstone under its number; the row as it was is reported once.
pub async fn expired_rows_become_tombstones(subject: &mut dyn Subject) -> Outcome {
    let lasting = NewOutboxRow { expires_at: None, ..row(FIRST, 3)? };
    filled(subject, &[row(FIRST, 1)?, row(FIRST, 2)?, lasting.clone(), row(FIRST, 9)?]).await?;
    acknowledged(subject, 1, at(50)).await?;
    let mut tx = write(subject).await?;
    same("early", tx.outbox_expire(at(101), 7, b"gone", 10).await?, vec![])?;
    let expired = tx.outbox_expire(at(102), 7, b"gone", 10).await?;
    same("expired", expired, vec![OutboxRow { seq: Seq(2), row: row(FIRST, 2)? }])?;
    same("again", tx.outbox_expire(at(102), 7, b"gone", 10).await?, vec![])?;
    let found = tx.outbox_rows(&elsewhere()?, &lane(1, FIRST)?, Seq(1), 10, 1_000).await?;
    let tombstone = NewOutboxRow { kind: 7, payload: b"gone".to_vec(), expires_at: None, ..row(FIRST, 2)? };
    let expected = [row(FIRST, 1)?, tombstone, lasting, row(FIRST, 9)?];
    let expected: Vec<_> =
        expected.into_iter().zip(1..).map(|(row, seq)| OutboxRow { seq: Seq(seq), row }).collect();
    same("the stream has no hole", found, expected)
}

/// What waits and what is kept are told apart.
pub async fn depth_counts_what_waits(subject: &mut dyn Subject) -> Outcome {
    filled(subject, &rows(FIRST, 1..=4)?).await?;
    filled(subject, &rows(SECOND, 5..=5)?).await?;
    acknowledged(subject, 2, at(50)).await?;
    let mut tx = read(subject).await?;
    let expected = OutboxDepth { rows: 3, bytes: 30, oldest_at: Some(at(3)), kept: 2 };
    same("depth", tx.outbox_depth(&elsewhere()?).await?, expected)?;
    same("of all", tx.outbox_depth_of_all().await?, expected)?;
    same("of another", tx.outbox_depth(&"gamma.test".parse()?).await?, OutboxDepth::default())
}

/// The weight follows everything that changes what waits, without a look at the rows.
pub async fn the_weight_follows_the_queue(subject: &mut dyn Subject) -> Outcome {
    let weighs = async |subject: &dyn Subject, rows: u64, bytes: u64| -> Outcome {
        let mut tx = read(subject).await?;
        let weight = OutboxWeight { rows, bytes };
        same("weight", tx.outbox_weight(&elsewhere()?).await?, weight)?;
        let depth = tx.outbox_depth(&elsewhere()?).await?;
        same("depth", depth.weight(), weight)
    };
    weighs(subject, 0, 0).await?;
    filled(subject, &rows(FIRST, 1..=4)?).await?;
    filled(subject, &rows(SECOND, 5..=5)?).await?;
    weighs(subject, 5, 50).await?;
    acknowledged(subject, 3, at(50)).await?;
    acknowledged(subject, 2, at(51)).await?;
    weighs(subject, 2, 20).await?;
    let mut tx = write(subject).await?;
    tx.outbox_rewind(&elsewhere()?, &lane(1, FIRST)?, Seq(1), &digest(7)).await?;
    tx.commit().await?;
    weighs(subject, 4, 40).await?;
    let mut tx = write(subject).await?;
    tx.outbox_bury(&elsewhere()?, &lane(1, FIRST)?, Seq(2), 5, b"gone").await?;
    tx.commit().await?;
    weighs(subject, 4, 34).await?;
    let mut tx = write(subject).await?;
    tx.outbox_expire(at(103), 5, b"over", 9).await?;
    tx.vault_begin(life(2)?).await?;
    tx.outbox_renumber().await?;
    tx.commit().await?;
    subject.reopen().await?;
    weighs(subject, 4, 28).await?;
    let mut tx = write(subject).await?;
    same("another", tx.outbox_weight(&"gamma.test".parse()?).await?, OutboxWeight::default())?;
    same("all", tx.outbox_take(&elsewhere()?, 9).await?.len(), 4)?;
    tx.commit().await?;
    weighs(subject, 0, 0).await
}

/// Handshakes that wait for too long are found, the oldest first; tombstones, messages and what was acknowledged are not.
pub async fn handshakes_that_wait_too_long_are_found(subject: &mut dyn Subject) -> Outcome {
    let endless =
        |stream, id| -> Result<_, Failure> { Ok(NewOutboxRow { expires_at: None, ..row(stream, id)? }) };
    filled(subject, &[endless(FIRST, 1)?, endless(FIRST, 4)?, row(FIRST, 2)?, endless(FIRST, 9)?]).await?;
    filled(subject, &[endless(SECOND, 3)?]).await?;
    acknowledged(subject, 1, at(50)).await?;
    let waiting = |stream, seq, id| -> Result<_, Failure> {
        Ok(WaitingRow { lane: lane(1, stream)?, row: OutboxRow { seq: Seq(seq), row: endless(stream, id)? } })
    };
    let mut tx = write(subject).await?;
    let both = vec![waiting(SECOND, 1, 3)?, waiting(FIRST, 2, 4)?];
    same("overdue", tx.outbox_overdue(at(9), 5, 10).await?, both)?;
    same("at most", tx.outbox_overdue(at(9), 5, 1).await?, vec![waiting(SECOND, 1, 3)?])?;
    tx.outbox_bury(&elsewhere()?, &lane(1, SECOND)?, Seq(1), 5, b"gone").await?;
    same("left", tx.outbox_overdue(at(9), 5, 10).await?, vec![waiting(FIRST, 2, 4)?])?;
    same("later", tx.outbox_overdue(at(10), 5, 10).await?.len(), 2)
}

/// What waits is shown lane by lane, and what will never come as such.
pub async fn the_queue_is_shown_by_lane(subject: &mut dyn Subject) -> Outcome {
    filled(subject, &rows(FIRST, 1..=3)?).await?;
    filled(subject, &rows(SECOND, 4..=4)?).await?;
    acknowledged(subject, 1, at(50)).await?;
    let first =
        QueueLine { lane: lane(1, FIRST)?, next: Seq(2), rows: 2, bytes: 20, first: Some((1, at(2))) };
    let second =
        QueueLine { lane: lane(1, SECOND)?, next: Seq(1), rows: 1, bytes: 10, first: Some((1, at(4))) };
    let all = Window { offset: 0, limit: 10 };
    let page = read(subject).await?.outbox_queue(&elsewhere()?, all).await?;
    same("queue", page, Page { rows: vec![first.clone(), second.clone()], total: 2 })?;
    let page = read(subject).await?.outbox_queue(&elsewhere()?, Window { offset: 1, limit: 1 }).await?;
    same("a page", page, Page { rows: vec![second], total: 2 })?;
    let mut tx = write(subject).await?;
    tx.outbox_take(&elsewhere()?, 9).await?;
    let page = tx.outbox_queue(&elsewhere()?, Window { offset: 0, limit: 1 }).await?;
    same("a gap", page.rows, vec![QueueLine { rows: 0, bytes: 0, first: None, ..first }])
}

/// The backoff survives.
pub async fn backoff_is_stored(subject: &mut dyn Subject) -> Outcome {
    let backoff = Backoff { failures: 3, retry_at: Some(at(9)) };
    same("before", read(subject).await?.outbox_backoff(&elsewhere()?).await?, Backoff::default())?;
    let mut tx = write(subject).await?;
    tx.outbox_backoff_store(&elsewhere()?, &Backoff { failures: 1, retry_at: None }).await?;
    tx.outbox_backoff_store(&elsewhere()?, &backoff).await?;
    tx.commit().await?;
    subject.reopen().await?;
    same("after", read(subject).await?.outbox_backoff(&elsewhere()?).await?, backoff)
}

/// What waited is taken away a part at a time, but its numbers stay taken: the peer may have stored some already.
pub async fn what_waits_is_taken_away(subject: &mut dyn Subject) -> Outcome {
    let peer: Peer = super::peers::peer("beta.test", 1)?;
    filled(subject, &rows(FIRST, 1..=4)?).await?;
    acknowledged(subject, 2, at(50)).await?;
    let mut tx = write(subject).await?;
    tx.peer_store(&peer).await?;
    tx.outbox_backoff_store(&elsewhere()?, &Backoff { failures: 1, retry_at: None }).await?;
    same("removing", tx.peer_remove(&peer.domain).await?, true)?;
    same("again", tx.peer_remove(&peer.domain).await?, false)?;
    let waiting =
        |seq: u8| -> Result<_, Failure> { Ok(OutboxRow { seq: Seq(u64::from(seq)), row: row(FIRST, seq)? }) };
    same("the first", tx.outbox_take(&elsewhere()?, 1).await?, vec![waiting(3)?])?;
    let weight = OutboxWeight { rows: 1, bytes: 10 };
    same("what is left", tx.outbox_weight(&elsewhere()?).await?, weight)?;
    same("the others", tx.outbox_take(&elsewhere()?, 9).await?, vec![waiting(4)?])?;
    same("nothing more", tx.outbox_take(&elsewhere()?, 9).await?, vec![])?;
    same("heads", tx.outbox_heads(&elsewhere()?).await?, vec![head(FIRST, 2, 4)?])?;
    let left = tx.outbox_rows(&elsewhere()?, &lane(1, FIRST)?, Seq(3), 10, 1_000).await?;
    same("rows", left, vec![])?;
    same("backoff", tx.outbox_backoff(&elsewhere()?).await?, Backoff::default())?;
    same("depth", tx.outbox_depth(&elsewhere()?).await?, OutboxDepth { kept: 2, ..OutboxDepth::default() })?;
    same("the next number", tx.outbox_append(&[row(FIRST, 5)?]).await?, vec![Seq(5)])
}

/// What a destination has lost waits again, as far as it is kept.
pub async fn rewound_rows_wait_again(subject: &mut dyn Subject) -> Outcome {
    filled(subject, &rows(FIRST, 1..=5)?).await?;
    acknowledged(subject, 2, at(50)).await?;
    acknowledged(subject, 4, at(60)).await?;
    let mut tx = write(subject).await?;
    tx.outbox_rewind(&elsewhere()?, &lane(1, FIRST)?, Seq(3), &digest(7)).await?;
    tx.outbox_rewind(&elsewhere()?, &lane(1, FIRST)?, Seq(4), &digest(8)).await?;
    tx.outbox_rewind(&elsewhere()?, &lane(1, SECOND)?, Seq(0), &digest(8)).await?;
    tx.commit().await?;
    let mut tx = read(subject).await?;
    let rewound = OutboxHead { acknowledged: Seq(3), chain: Some(digest(7)), ..head(FIRST, 3, 5)? };
    same("forward it does nothing", tx.outbox_heads(&elsewhere()?).await?, vec![rewound])?;
    let depth = OutboxDepth { rows: 2, bytes: 20, oldest_at: Some(at(4)), kept: 3 };
    same("depth", tx.outbox_depth(&elsewhere()?).await?, depth)?;
    drop(tx);
    same("what is left of a note keeps its time", purged(subject, at(161), 1_000).await?, 3)?;
    same("left", stored(subject, 1, 10, 1_000).await?, vec![4, 5])?;
    acknowledged(subject, 5, at(300)).await?;
    let depth = read(subject).await?.outbox_depth(&elsewhere()?).await?;
    same("acknowledged anew", depth, OutboxDepth { kept: 2, ..OutboxDepth::default() })
}

/// What is safe at the destination need not be kept; what waits stays whatever it says.
pub async fn what_is_safe_elsewhere_is_forgotten(subject: &mut dyn Subject) -> Outcome {
    filled(subject, &rows(FIRST, 1..=5)?).await?;
    acknowledged(subject, 4, at(50)).await?;
    let mut tx = write(subject).await?;
    tx.outbox_forget(&elsewhere()?, &lane(1, FIRST)?, Seq(2)).await?;
    tx.commit().await?;
    same("left", stored(subject, 1, 10, 1_000).await?, vec![3, 4, 5])?;
    same("kept", read(subject).await?.outbox_depth(&elsewhere()?).await?.kept, 2)?;
    let mut tx = write(subject).await?;
    tx.outbox_forget(&elsewhere()?, &lane(1, FIRST)?, Seq(9)).await?;
    tx.commit().await?;
    same("what waits", stored(subject, 1, 10, 1_000).await?, vec![5])?;
    let depth = OutboxDepth { rows: 1, bytes: 10, oldest_at: Some(at(5)), kept: 0 };
    same("depth", read(subject).await?.outbox_depth(&elsewhere()?).await?, depth)
}

/// One waiting row becomes a tombstone; it is reported as it was, once.
pub async fn a_row_is_buried_once(subject: &mut dyn Subject) -> Outcome {
    filled(subject, &rows(FIRST, 1..=3)?).await?;
    acknowledged(subject, 1, at(50)).await?;
    let (peer, of) = (elsewhere()?, lane(1, FIRST)?);
    let mut tx = write(subject).await?;
    same("acknowledged", tx.outbox_bury(&peer, &of, Seq(1), 7, b"gone").await?, None)?;
    let was = tx.outbox_bury(&peer, &of, Seq(2), 7, b"gone").await?;
    same("as it was", was, Some(OutboxRow { seq: Seq(2), row: row(FIRST, 2)? }))?;
    same("again", tx.outbox_bury(&peer, &of, Seq(2), 7, b"gone").await?, None)?;
    same("unknown", tx.outbox_bury(&peer, &of, Seq(9), 7, b"gone").await?, None)?;
    same("of another life", tx.outbox_bury(&peer, &lane(2, FIRST)?, Seq(3), 7, b"gone").await?, None)?;
    let found = tx.outbox_rows(&peer, &of, Seq(2), 1, 1_000).await?;
    let tombstone = NewOutboxRow { kind: 7, payload: b"gone".to_vec(), expires_at: None, ..row(FIRST, 2)? };
    same("tombstone", found, vec![OutboxRow { seq: Seq(2), row: tombstone }])
}

async fn ids(subject: &dyn Subject, life: u8) -> Result<Vec<(u64, u8)>, Failure> {
    let rows =
        read(subject).await?.outbox_rows(&elsewhere()?, &lane(life, FIRST)?, Seq(1), 100, 10_000).await?;
    Ok(rows.into_iter().map(|row| (row.seq.0, row.row.id.as_bytes()[0])).collect())
}

/// A new life counts from 1; what waited in older ones is numbered anew before what is new.
pub async fn lives_number_for_themselves(subject: &mut dyn Subject) -> Outcome {
    conflicts("without a vault", write(subject).await?.outbox_append(&[row(FIRST, 1)?]).await)?;
    filled(subject, &rows(FIRST, 1..=4)?).await?;
    acknowledged(subject, 2, at(50)).await?;
    let mut tx = write(subject).await?;
    tx.vault_begin(life(2)?).await?;
    same("in the new life", tx.outbox_append(&[row(FIRST, 5)?]).await?, vec![Seq(1)])?;
    tx.commit().await?;
    let heads = read(subject).await?.outbox_heads(&elsewhere()?).await?;
    let newer = OutboxHead { lane: lane(2, FIRST)?, ..head(FIRST, 0, 1)? };
    same("the older first", heads, vec![head(FIRST, 2, 4)?, newer.clone()])?;
    let mut tx = write(subject).await?;
    same("moved", tx.outbox_renumber().await?, 2)?;
    same("again", tx.outbox_renumber().await?, 0)?;
    tx.commit().await?;
    same("kept rows stay", ids(subject, 1).await?, vec![(1, 1), (2, 2)])?;
    same("anew", ids(subject, 2).await?, vec![(1, 3), (2, 4), (3, 5)])?;
    let mut tx = read(subject).await?;
    same(
        "waiting",
        tx.outbox_heads(&elsewhere()?).await?,
        vec![OutboxHead { last: Seq(3), ..newer.clone() }],
    )?;
    let lanes = vec![OutboxHead { last: Seq(2), ..head(FIRST, 2, 2)? }, OutboxHead { last: Seq(3), ..newer }];
    same("all", tx.outbox_lanes(&elsewhere()?).await?, lanes)?;
    let depth = OutboxDepth { rows: 3, bytes: 30, oldest_at: Some(at(3)), kept: 2 };
    same("depth", tx.outbox_depth(&elsewhere()?).await?, depth)
}
