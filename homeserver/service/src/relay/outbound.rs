//! What the driver of one peer's outbox reads and writes.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Domain, Incarnation, Seq, Timestamp};
use qpq_federation_proto::{
    Batch, Bounce, CallBudget, Cut, Kept, Lane, Row, RowAck, RowKind, SavedLink, StreamHead, StreamId,
};
use qpq_storage::{Backoff, Ban, OutboxHead, OutboxLane, OutboxRow, Pause, Peer, Stored, WriteTx};

use super::{expire, give_up::bury};
use crate::{Answered, Effects, Ground, Known, Refusal, WriteJob};

/// A peer with its queue, as the store has it.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// Its record.
    pub peer: Peer,
    /// The ban that keeps it out, if there is one.
    pub ban: Option<Ban>,
    /// That an admin told its queue to wait, if that is so.
    pub pause: Option<Pause>,
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
    Ok(Some(Resumed { peer: record, ban: known.ban, pause: known.pause, link, heads }))
}

/// The lanes to a peer that have rows waiting.
pub async fn waiting(ground: &Ground, peer: &Domain) -> Answered<Vec<StreamHead>> {
    Ok(ground.read().await?.outbox_heads(peer).await?.iter().map(head).collect())
}

pub(super) const fn stored_lane(lane: Lane) -> OutboxLane {
    OutboxLane { incarnation: lane.incarnation, stream: *lane.stream.as_bytes() }
}

pub(super) const fn lane(lane: OutboxLane) -> Lane {
    Lane { incarnation: lane.incarnation, stream: StreamId::from_bytes(lane.stream) }
}

pub(super) fn head(head: &OutboxHead) -> StreamHead {
    StreamHead { lane: lane(head.lane), accepted: head.acknowledged, chain: head.chain, last: head.last }
}

/// Loads the rows of a call, as many as fit into so many bytes. Rows whose time is over become tombstones first, so that none of them
/// leaves without its sender hearing of it.
pub async fn load(ground: &Arc<Ground>, peer: &Domain, cuts: &[Cut], bytes: usize) -> Answered<Vec<Batch>> {
    let loaded = read_rows(ground, peer, cuts, bytes).await?;
    let now = ground.now();
    let over = |row: &OutboxRow| row.row.expires_at.is_some_and(|end| end <= now);
    let rows = loaded.iter().flat_map(|loaded| match loaded {
        Loaded::Rows(_, rows) => rows.as_slice(),
        Loaded::Gap(..) => &[],
    });
    if !rows.into_iter().any(over) {
        return batches(loaded, now);
    }
    expire(ground).await?;
    batches(read_rows(ground, peer, cuts, bytes).await?, now)
}

/// What one cut turned out to be.
enum Loaded {
    Rows(Cut, Vec<OutboxRow>),
    Gap(Cut, Seq),
}

async fn read_rows(ground: &Ground, peer: &Domain, cuts: &[Cut], bytes: usize) -> Answered<Vec<Loaded>> {
    let mut tx = ground.read().await?;
    let mut budget = CallBudget::of(bytes);
    let mut loaded = Vec::with_capacity(cuts.len());
    for cut in cuts {
        let limit = cut.max_rows.min(budget.rows_left());
        if limit == 0 {
            break;
        }
        let of = stored_lane(cut.lane);
        let mut rows = tx.outbox_rows(peer, &of, cut.from, limit, budget.bytes_left()).await?;
        let first = rows.first().map(|row| row.seq);
        if first == Some(cut.from) {
            // Behind rows that were kept some may be gone, with a peering that had ended: they are the next cut's.
            let numbered = rows.iter().zip(cut.from.0..).take_while(|(row, seq)| row.seq.0 == *seq);
            let fitting = numbered.take_while(|(row, _)| budget.admits(row.row.payload.len())).count();
            rows.truncate(fitting);
            if !rows.is_empty() {
                loaded.push(Loaded::Rows(*cut, rows));
            }
            continue;
        }
        // They are gone: purged after the peer had them, or dropped with a peering that had ended.
        let lanes = tx.outbox_heads(peer).await?;
        let last = lanes.into_iter().find(|head| head.lane == of).map(|head| head.last);
        let through = first.map(|first| Seq(first.0.saturating_sub(1))).or(last);
        loaded
            .extend(through.filter(|through| *through >= cut.from).map(|through| Loaded::Gap(*cut, through)));
    }
    Ok(loaded)
}

fn batches(loaded: Vec<Loaded>, now: Timestamp) -> Answered<Vec<Batch>> {
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
        .map(|loaded| match loaded {
            Loaded::Rows(cut, rows) => {
                Batch::new(cut.lane.stream, cut.before, rows.into_iter().map(row).collect())
            }
            Loaded::Gap(cut, through) => Batch::gap(cut.lane.stream, cut.before, cut.from, through),
        })
        .collect::<Result<_, _>>()
        .map_err(|error| {
            tracing::error!(%error, "rows of the outbox make no batch");
            Refusal::new(qpq_core::ErrorCode::Internal, "the outbox holds rows that can't be sent")
        })
}

/// The peer has stored these rows: they are kept, not forgotten. What it says that it can't read is a dead letter.
pub async fn acknowledge(
    ground: &Arc<Ground>,
    peer: &Domain,
    kept: Vec<Kept>,
    bounces: Vec<Bounce>,
) -> Answered<()> {
    let unreadable = bounces.into_iter().filter(|bounce| bounce.ack == RowAck::Malformed).collect();
    let effects = Effects::default();
    let job = Acknowledge { ground: Arc::clone(ground), peer: peer.clone(), kept, unreadable, effects };
    ground.write(job).await
}

struct Acknowledge {
    ground: Arc<Ground>,
    peer: Domain,
    kept: Vec<Kept>,
    /// Its hub or home hears of every other refusal by a row of its own (docs/decisions/0005-refusals-travel-as-rows.md);
    /// of what nobody could read nobody knows whom to tell.
    unreadable: Vec<Bounce>,
    effects: Effects,
}

#[async_trait]
impl WriteJob for Acknowledge {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        self.effects = Effects::default();
        let now = self.ground.now();
        for bounce in &self.unreadable {
            let of = stored_lane(bounce.lane);
            let rows = tx.outbox_rows(&self.peer, &of, bounce.seq, 1, usize::MAX).await?;
            if let Some(row) = rows.into_iter().find(|row| row.seq == bounce.seq) {
                bury(&self.ground, tx, row.row, "the peer could not read it", &mut self.effects).await?;
            }
        }
        for kept in &self.kept {
            let of = stored_lane(kept.lane);
            tx.outbox_acknowledge(&self.peer, &of, kept.through, kept.chain.as_ref(), now).await?;
        }
        Ok(())
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
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
