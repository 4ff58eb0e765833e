//! The proof that this database is older than what was sent from it.
//!
//! Whoever shows a header that we signed and that our database doesn't hold has shown that it was rolled back, that an older
//! copy was started, or that two copies run. Serving on would give numbers to other rows and tell clients what is not true
//! any more, so everything stops until an admin has acted. See `docs/decisions/0024-lives-and-evidence.md`.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Domain, FederationKey, Incarnation, Seq};
use qpq_federation_proto::{Lane, LaneHead, Proof, SignedHeader, StreamId, judge_evidence};
use qpq_storage::{Rollback, Stored, WriteTx};
use tracing::error;

use super::{
    compare::chain_at,
    outbound::{lane, stored_lane},
};
use crate::{Answered, Ground, WriteJob};

/// How far the logs that are ordered here go on behind what this database knows of them: further than anybody has written.
const LEAP: u64 = 1 << 32;

/// What a peer's evidence came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proven {
    /// It proves nothing: its claim doesn't count.
    Nothing,
    /// This database is older than what was sent from it; that is stored, and this server has to stop.
    Rollback(String),
}

/// Judges the headers that a peer shows for its claims about these streams.
pub async fn prove(
    ground: &Arc<Ground>,
    key: &FederationKey,
    peer: &Domain,
    shown: &[(StreamId, Vec<u8>)],
) -> Answered<Proven> {
    for (stream, evidence) in shown {
        let Some(proof) = judge(ground, key, peer, *stream, evidence).await? else { continue };
        let later = match proof {
            Proof::LaterLife(later) => Some(later),
            Proof::RolledBack { .. } => None,
        };
        let rollback = Rollback {
            shown_by: peer.clone(),
            stream: *stream.as_bytes(),
            evidence: evidence.clone(),
            later,
            at: ground.now(),
        };
        let words = words(&rollback);
        error!(peer.domain = %peer, %stream, cause = words, "this database is older than what was sent from it");
        ground.write(Note { rollback }).await?;
        ground.halt(&words);
        return Ok(Proven::Rollback(words));
    }
    Ok(Proven::Nothing)
}

/// What happened, for the admin.
pub fn words(rollback: &Rollback) -> String {
    let by = &rollback.shown_by;
    match rollback.later {
        Some(later) => format!(
            "`{by}` has shown a message that this domain signed in a later life of its database (begun {}): an older copy \
             was started, or a backup was put back by hand",
            later.time()
        ),
        None => format!(
            "`{by}` has shown a message that this domain signed and this database doesn't hold: it was put back to an older \
             state, or two copies of it run"
        ),
    }
}

async fn judge(
    ground: &Ground,
    key: &FederationKey,
    peer: &Domain,
    stream: StreamId,
    evidence: &[u8],
) -> Answered<Option<Proof>> {
    let ours = ground.incarnation();
    let mut tx = ground.read().await?;
    let of = stored_lane(Lane { incarnation: ours, stream });
    let found = tx.outbox_lanes(peer).await?.into_iter().find(|head| head.lane == of);
    let last = found.as_ref().map_or(Seq::ZERO, |head| head.last);
    let header = SignedHeader::from_bytes(evidence).ok();
    // Nobody makes us read rows for what we haven't signed.
    let header = header.filter(|header| header.verify(ground.domain(), peer, key, header.batches()).is_ok());
    let signed =
        header.and_then(|header| header.batches().iter().find(|line| line.stream == stream).cloned());
    let chain = match (found, signed) {
        (Some(head), Some(line)) if line.last <= last => {
            // From our own first row on: the chain that was stored may be one that the peer told us after it had lost rows,
            // and what is folded onto that proves nothing.
            let from = LaneHead { lane: lane(head.lane), accepted: Seq::ZERO, chain: None, last };
            chain_at(tx.as_mut(), peer, &from, line.last).await?
        }
        _ => None,
    };
    Ok(judge_evidence(evidence, (ground.domain(), ours, key), peer, stream, last, |_| chain))
}

struct Note {
    rollback: Rollback,
}

#[async_trait]
impl WriteJob for Note {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        tx.rollback_note(&self.rollback).await
    }
}

/// Begins a new life of a database that was rolled back: what waits is numbered anew under it, and the proof is done with.
/// For a server that doesn't run. Returns how many rows were numbered anew.
pub async fn begin_life(tx: &mut dyn WriteTx, incarnation: Incarnation) -> Stored<u64> {
    tx.vault_begin(incarnation).await?;
    tx.logs_leap(LEAP).await?;
    let moved = tx.outbox_renumber().await?;
    tx.rollback_clear().await?;
    Ok(moved)
}
