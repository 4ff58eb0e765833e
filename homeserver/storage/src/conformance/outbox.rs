//! Rows on their way to peers.

use qpq_core::{Millis, RequestId, Seq, Timestamp};

use super::{
    Failure, Outcome, Subject,
    fixtures::{at, digest, elsewhere, message_id},
    read, same, write,
};
use crate::{Backoff, NewOutboxRow, OutboxDepth, OutboxHead, OutboxRow, Peer, StreamName};

const FIRST: StreamName = [1; 16];
const SECOND: StreamName = [2; 16];

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
    let seqs = tx.outbox_append(rows).await?;
    tx.commit().await?;
    Ok(seqs)
}

async fn acknowledged(subject: &dyn Subject, through: u64, now: Timestamp) -> Outcome {
    let mut tx = write(subject).await?;
    tx.outbox_acknowledge(&elsewhere()?, &FIRST, Seq(through), Some(&digest(4)), now).await?;
    tx.commit().await?;
    Ok(())
}

fn head(stream: StreamName, acknowledged: u64, last: u64) -> OutboxHead {
    let chain = (acknowledged > 0).then(|| digest(4));
    OutboxHead { stream, acknowledged: Seq(acknowledged), chain, last: Seq(last) }
}

async fn stored(subject: &dyn Subject, from: u64, limit: usize, bytes: usize) -> Result<Vec<u64>, Failure> {
    let rows = read(subject).await?.outbox_rows(&elsewhere()?, &FIRST, Seq(from), limit, bytes).await?;
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
    same("heads", heads, vec![head(FIRST, 0, 3), head(SECOND, 0, 1)])?;
    let found = tx.outbox_rows(&elsewhere()?, &FIRST, Seq(2), 10, 1_000).await?;
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
    same("head", heads, vec![head(FIRST, 3, 5)])?;
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
    let found = tx.outbox_rows(&elsewhere()?, &FIRST, Seq(1), 10, 1_000).await?;
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

/// What waited for a removed peer is gone, and its positions are free again.
pub async fn removing_a_peer_drops_what_waits(subject: &mut dyn Subject) -> Outcome {
    let peer: Peer = super::peers::peer("beta.test", 1)?;
    filled(subject, &rows(FIRST, 1..=4)?).await?;
    acknowledged(subject, 2, at(50)).await?;
    let mut tx = write(subject).await?;
    tx.peer_store(&peer).await?;
    tx.outbox_backoff_store(&elsewhere()?, &Backoff { failures: 1, retry_at: None }).await?;
    same("removing", tx.peer_remove(&peer.domain).await?, true)?;
    same("again", tx.peer_remove(&peer.domain).await?, false)?;
    same("destinations", tx.outbox_destinations().await?, vec![])?;
    same("backoff", tx.outbox_backoff(&elsewhere()?).await?, Backoff::default())?;
    same("depth", tx.outbox_depth(&elsewhere()?).await?, OutboxDepth { kept: 2, ..OutboxDepth::default() })?;
    same("the next number", tx.outbox_append(&[row(FIRST, 5)?]).await?, vec![Seq(3)])
}
