//! Rows of kinds that an older version of this program did not know: what was parked is taken up once it is understood.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Domain, MessageId};
use qpq_federation_proto::{Row, RowKind};
use qpq_storage::{ReadTx, Stored, WriteTx};
use tracing::{info, warn};

use super::{RowOutcome, inbound::apply_row};
use crate::{Answered, Effects, Ground, WriteJob, peering};

/// Rows that are taken up in one transaction.
const BATCH: usize = 256;

/// Applies what is parked of peers and known now, each peer's in the order in which it came; returns how many rows. Called at
/// the start, before links are up, so that nothing newer overtakes them. Rows of a domain that is blocked, or no peer any more,
/// wait on.
pub async fn take_up(ground: &Arc<Ground>) -> Answered<u64> {
    let mut view = ground.read().await?;
    let mut waiting = Vec::new();
    for peer in view.peers().await? {
        if !known_kinds(view.as_mut(), &peer.domain).await?.is_empty() {
            waiting.push(peer.domain);
        }
    }
    drop(view);
    let mut all: u64 = 0;
    for origin in waiting {
        loop {
            let job =
                TakeUp { ground: Arc::clone(ground), origin: origin.clone(), effects: Effects::default() };
            let taken = ground.write(job).await?;
            if taken == 0 {
                break;
            }
            all = all.saturating_add(taken);
        }
    }
    if all > 0 {
        info!(rows = all, "rows that were parked until this version are taken up");
    }
    Ok(all)
}

/// The kinds that are parked for an origin and that this version knows.
async fn known_kinds(tx: &mut dyn ReadTx, origin: &Domain) -> Stored<Vec<u16>> {
    let parked = tx.inbox_parked(origin).await?.into_iter().map(|parked| parked.kind);
    Ok(parked.filter(|kind| !matches!(RowKind::from_number(*kind), RowKind::Unknown(_))).collect())
}

struct TakeUp {
    ground: Arc<Ground>,
    origin: Domain,
    effects: Effects,
}

#[async_trait]
impl WriteJob for TakeUp {
    type Output = u64;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<u64> {
        self.effects = Effects::default();
        let (us, now) = (self.ground.domain(), self.ground.now());
        if peering::why_not(tx, us, &self.origin, now).await?.is_some() {
            return Ok(0);
        }
        let kinds = known_kinds(tx, &self.origin).await?;
        let mut taken = 0;
        for (stream, parked) in tx.inbox_unpark(&self.origin, &kinds, BATCH).await? {
            let row = Row {
                seq: parked.seq,
                id: MessageId::from_bytes(parked.id),
                kind: RowKind::from_number(parked.kind),
                ttl: None,
                payload: parked.payload,
                request: None,
            };
            let outcome = apply_row(&self.ground, tx, &self.origin, &stream, &row, &mut self.effects).await?;
            if let RowOutcome::Refused(ack) = outcome {
                warn!(peer.domain = %self.origin, kind = parked.kind, ?ack, "a row that was parked goes nowhere");
            }
            taken += 1;
        }
        Ok(taken)
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}
