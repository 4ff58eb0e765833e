//! What a peer has of our streams, compared with what we have recorded: what it has lost waits again, an answer that was
//! lost is made good, and what contradicts us is named for whoever asks for evidence.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{Digest, Domain, Incarnation, MessageId, Seq, Timestamp, limits};
use qpq_federation_proto::{
    Finding, Lane, LaneHead, PeerHead, Position, Row, RowKind, StreamHead, StreamId, chain, heads_digest,
    reconcile,
};
use qpq_storage::{Lost, OutboxHead, ReadTx, Stored, StreamGap, WriteTx};
use tracing::{info, warn};

use super::{
    GAPS,
    outbound::{head, lane, stored_lane},
};
use crate::{Answered, Ground, WriteJob};

/// Rows whose ids are read at once to follow a chain.
const ROWS: usize = 256;

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Everything that followed from it is stored.
    Settled {
        /// The lanes that have rows waiting now.
        heads: Vec<StreamHead>,
        /// Whether the peer had lost rows, which wait again.
        replayed: bool,
    },
    /// Nothing was changed: the peer had lost rows, and it is too early to send them again.
    TooEarly,
    /// Nothing was changed: these of its claims need evidence.
    Doubts(Vec<StreamId>),
}

/// What we have heard of a peer's heads, in the form in which its `hello` names them: how many streams, and their digest.
pub async fn heard_of(ground: &Ground, peer: &Domain) -> Answered<(u64, Digest)> {
    let lanes = ground.read().await?.outbox_lanes(peer).await?;
    let mut newest: BTreeMap<StreamId, Position> = BTreeMap::new();
    // Older lives come first, so the last one counts.
    for head in lanes.iter().filter(|head| head.acknowledged > Seq::ZERO) {
        let Lane { incarnation, stream } = lane(head.lane);
        let chain = head.chain.unwrap_or(Digest::ZERO);
        newest.insert(stream, Position { incarnation, applied: head.acknowledged, chain });
    }
    Ok(heads_digest(newest.into_iter()))
}

/// Compares all that a peer says it has with all that was sent to it. `may_replay`: whether rows may be sent again now.
pub async fn compare(
    ground: &Arc<Ground>,
    peer: &Domain,
    heads: Vec<PeerHead>,
    may_replay: bool,
) -> Answered<Compared> {
    let ours = ground.incarnation();
    ground.write(Compare { peer: peer.clone(), ours, heads, may_replay, now: ground.now() }).await
}

struct Compare {
    peer: Domain,
    ours: Incarnation,
    heads: Vec<PeerHead>,
    may_replay: bool,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for Compare {
    type Output = Compared;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Compared> {
        let lanes = tx.outbox_lanes(&self.peer).await?;
        let known: Vec<LaneHead> = lanes.iter().map(known).collect();
        let findings = reconcile(self.ours, &known, &self.heads);
        let known: BTreeMap<Lane, LaneHead> = known.into_iter().map(|head| (head.lane, head)).collect();
        let doubts = self.doubts(tx, &known, &findings).await?;
        if !doubts.is_empty() {
            return Ok(Compared::Doubts(doubts));
        }
        let replays = findings.iter().filter(|finding| is_replay(finding, &known)).count();
        if replays > 0 && !self.may_replay {
            return Ok(Compared::TooEarly);
        }
        for finding in findings {
            self.settle(tx, &known, finding).await?;
        }
        if replays > 0 {
            info!(peer.domain = %self.peer, streams = replays, "a peer has lost rows, which are sent again");
        }
        let heads = tx.outbox_heads(&self.peer).await?.iter().map(head).collect();
        Ok(Compared::Settled { heads, replayed: replays > 0 })
    }
}

impl Compare {
    /// What is in doubt at once, and what shows only in the rows.
    async fn doubts(
        &self,
        tx: &mut dyn WriteTx,
        known: &BTreeMap<Lane, LaneHead>,
        findings: &[Finding],
    ) -> Stored<Vec<StreamId>> {
        let mut doubts = Vec::new();
        for finding in findings {
            match finding {
                Finding::Doubt { stream } => doubts.push(*stream),
                Finding::Confirm { lane, through, chain } if lane.incarnation == self.ours => {
                    let Some(from) = known.get(lane) else { continue };
                    let ours = chain_at(tx, &self.peer, from, *through).await?;
                    if ours.is_some_and(|ours| ours != *chain) {
                        doubts.push(lane.stream);
                    }
                }
                Finding::Confirm { .. }
                | Finding::Rewind { .. }
                | Finding::Finished { .. }
                | Finding::BackedUp { .. } => {}
            }
        }
        Ok(doubts)
    }

    async fn settle(
        &self,
        tx: &mut dyn WriteTx,
        known: &BTreeMap<Lane, LaneHead>,
        finding: Finding,
    ) -> Stored<()> {
        let peer = &self.peer;
        match finding {
            Finding::Rewind { lane, to, chain } => {
                tx.outbox_rewind(peer, &stored_lane(lane), to, &chain).await?;
                match known.get(&lane) {
                    Some(head) => self.note_gap(tx, head, to).await,
                    None => Ok(()),
                }
            }
            Finding::Confirm { lane, through, chain } => {
                tx.outbox_acknowledge(peer, &stored_lane(lane), through, Some(&chain), self.now).await
            }
            Finding::Finished { lane } => {
                tx.outbox_acknowledge(peer, &stored_lane(lane), Seq(u64::MAX), None, self.now).await
            }
            Finding::BackedUp { lane, through } => tx.outbox_forget(peer, &stored_lane(lane), through).await,
            Finding::Doubt { .. } => Ok(()),
        }
    }

    /// Rows that the peer needs again and that are forgotten here.
    async fn note_gap(&self, tx: &mut dyn WriteTx, head: &LaneHead, to: Seq) -> Stored<()> {
        let LaneHead { lane, last, .. } = *head;
        let left = tx.outbox_rows(&self.peer, &stored_lane(lane), to.next(), 1, usize::MAX).await?;
        let through = left.first().map_or(last, |row| Seq(row.seq.0.saturating_sub(1)));
        if through <= to {
            return Ok(());
        }
        let first = to.next();
        warn!(peer.domain = %self.peer, stream = %lane.stream, %first, %through, "a peer has lost rows that are forgotten here");
        let gap = StreamGap {
            lost: Lost::Ours,
            domain: self.peer.clone(),
            stream: *lane.stream.as_bytes(),
            first,
            through,
            at: self.now,
        };
        tx.gap_note(&gap, GAPS).await
    }
}

fn is_replay(finding: &Finding, known: &BTreeMap<Lane, LaneHead>) -> bool {
    match finding {
        Finding::Rewind { lane, to, .. } => known.get(lane).is_some_and(|head| head.accepted > *to),
        Finding::Confirm { .. }
        | Finding::Finished { .. }
        | Finding::BackedUp { .. }
        | Finding::Doubt { .. } => false,
    }
}

fn known(head: &OutboxHead) -> LaneHead {
    LaneHead { lane: lane(head.lane), accepted: head.acknowledged, chain: head.chain, last: head.last }
}

/// Our chain after a row that is not acknowledged yet, or after the last that is; `None` where it isn't known.
pub(super) async fn chain_at<T: ReadTx + ?Sized>(
    tx: &mut T,
    peer: &Domain,
    from: &LaneHead,
    at: Seq,
) -> Stored<Option<Digest>> {
    let start = if from.accepted == Seq::ZERO { Some(Digest::ZERO) } else { from.chain };
    let Some(mut reached) = start.filter(|_| at >= from.accepted) else { return Ok(None) };
    let mut next = from.accepted.next();
    while next <= at {
        let rows = tx.outbox_rows(peer, &stored_lane(from.lane), next, ROWS, limits::BATCH_BYTES).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        for row in rows.into_iter().take_while(|row| row.seq <= at) {
            if row.seq != next {
                return Ok(None);
            }
            reached = chain(&reached, &named(next, row.row.id));
            next = next.next();
        }
    }
    Ok(Some(reached))
}

/// As much of a row as the chain names.
const fn named(seq: Seq, id: MessageId) -> Row {
    Row { seq, id, kind: RowKind::Tombstone, ttl: None, payload: Vec::new(), request: None }
}
