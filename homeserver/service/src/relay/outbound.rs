//! What the driver of one peer's outbox reads and writes.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Domain, Incarnation, Timestamp};
use qpq_federation_proto::{Batch, CallBudget, Cut, Kept, Row, RowKind, SavedLink, StreamHead, StreamId};
use qpq_storage::{Backoff, Ban, OutboxHead, OutboxRow, Peer, Stored, WriteTx};

use super::expire;
use crate::{Answered, Ground, Known, Refusal, WriteJob};

/// A peer with its queue, as the store has it.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// Its record.
    pub peer: Peer,
    /// The ban that keeps it out, if there is one.
    pub ban: Option<Ban>,
    /// The state of its link.
    pub link: SavedLink,
    /// The streams that have rows waiting.
    pub heads: Vec<StreamHead>,
}

/// Takes a peer's queue up; `None` if it is no peer.
pub async fn resume(ground: &Ground, peer: &Domain) -> Answered<Option<Resumed>> {
    let mut tx = ground.read().await?;
    let known = Known::read(tx.as_mut(), peer, ground.now()).await?;
    let Some(record) = known.peer else { return Ok(None) };
    let backoff = tx.outbox_backoff(peer).await?;
    let heads = tx.outbox_heads(peer).await?.iter().map(head).collect();
    let link = SavedLink {
        failures: backoff.failures,
        retry_at: backoff.retry_at,
        stopped: record.refused.as_ref().and_then(|reason| reason.parse().ok()),
    };
    Ok(Some(Resumed { peer: record, ban: known.ban, link, heads }))
}

/// The streams to a peer that have rows waiting.
pub async fn waiting(ground: &Ground, peer: &Domain) -> Answered<Vec<StreamHead>> {
    Ok(ground.read().await?.outbox_heads(peer).await?.iter().map(head).collect())
}

fn head(head: &OutboxHead) -> StreamHead {
    StreamHead {
        stream: StreamId::from_bytes(head.stream),
        accepted: head.acknowledged,
        chain: head.chain,
        last: head.last,
    }
}

/// Loads the rows of a call, as many as fit. Rows whose time is over become tombstones first, so that none of them
/// leaves without its sender hearing of it.
pub async fn load(ground: &Arc<Ground>, peer: &Domain, cuts: &[Cut]) -> Answered<Vec<Batch>> {
    let loaded = read_rows(ground, peer, cuts).await?;
    let now = ground.now();
    let over = |row: &OutboxRow| row.row.expires_at.is_some_and(|end| end <= now);
    if !loaded.iter().flat_map(|(_, rows)| rows).any(over) {
        return batches(loaded, now);
    }
    expire(ground).await?;
    batches(read_rows(ground, peer, cuts).await?, now)
}

type Loaded = Vec<(Cut, Vec<OutboxRow>)>;

async fn read_rows(ground: &Ground, peer: &Domain, cuts: &[Cut]) -> Answered<Loaded> {
    let mut tx = ground.read().await?;
    let mut budget = CallBudget::new();
    let mut loaded = Vec::with_capacity(cuts.len());
    for cut in cuts {
        let limit = cut.max_rows.min(budget.rows_left());
        if limit == 0 {
            break;
        }
        let stream = cut.stream.as_bytes();
        let mut rows = tx.outbox_rows(peer, stream, cut.from, limit, budget.bytes_left()).await?;
        let fitting = rows.iter().take_while(|row| budget.admits(row.row.payload.len())).count();
        rows.truncate(fitting);
        if !rows.is_empty() {
            loaded.push((*cut, rows));
        }
    }
    Ok(loaded)
}

fn batches(loaded: Loaded, now: Timestamp) -> Answered<Vec<Batch>> {
    let row = |OutboxRow { seq, row }: OutboxRow| Row {
        seq,
        id: row.id,
        kind: RowKind::from_number(row.kind),
        ttl: row.expires_at.map(|end| end.since(now)),
        payload: row.payload,
        request: row.request,
    };
    loaded
        .into_iter()
        .map(|(cut, rows)| Batch::new(cut.stream, cut.before, rows.into_iter().map(row).collect()))
        .collect::<Result<_, _>>()
        .map_err(|error| {
            tracing::error!(%error, "rows of the outbox make no batch");
            Refusal::new(qpq_core::ErrorCode::Internal, "the outbox holds rows that can't be sent")
        })
}

/// The peer has stored these rows: they are kept, not forgotten.
pub async fn acknowledge(ground: &Arc<Ground>, peer: &Domain, kept: Vec<Kept>) -> Answered<()> {
    ground.write(Acknowledge { peer: peer.clone(), kept, now: ground.now() }).await
}

struct Acknowledge {
    peer: Domain,
    kept: Vec<Kept>,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for Acknowledge {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        for kept in &self.kept {
            let stream = kept.stream.as_bytes();
            tx.outbox_acknowledge(&self.peer, stream, kept.through, kept.chain.as_ref(), self.now).await?;
        }
        Ok(())
    }
}

/// Stores the state of a peer's link: its backoff, and why it is stopped if it is.
pub async fn save_link(ground: &Arc<Ground>, peer: &Domain, link: SavedLink) -> Answered<()> {
    ground.write(SaveLink { peer: peer.clone(), link }).await
}

struct SaveLink {
    peer: Domain,
    link: SavedLink,
}

#[async_trait]
impl WriteJob for SaveLink {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        if tx.peer(&self.peer).await?.is_none() {
            return Ok(());
        }
        let backoff = Backoff { failures: self.link.failures, retry_at: self.link.retry_at };
        tx.outbox_backoff_store(&self.peer, &backoff).await?;
        let stopped = self.link.stopped.map(|reason| reason.to_string());
        tx.peer_refuse(&self.peer, stopped.as_deref()).await
    }
}

/// Notes a higher incarnation of a peer; durable before its link is used.
pub async fn remember_incarnation(
    ground: &Arc<Ground>,
    peer: &Domain,
    incarnation: Incarnation,
) -> Answered<()> {
    ground.write(Remember { peer: peer.clone(), incarnation }).await
}

struct Remember {
    peer: Domain,
    incarnation: Incarnation,
}

#[async_trait]
impl WriteJob for Remember {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        tx.peer_incarnation(&self.peer, self.incarnation).await
    }
}
