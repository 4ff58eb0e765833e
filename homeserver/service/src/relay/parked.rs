//! Rows of kinds that an older version of this program did not know: what was parked is taken up once it is understood.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::MessageId;
use qpq_federation_proto::{Row, RowKind};
use qpq_storage::{Stored, Unparked, WriteTx};
use tracing::{info, warn};

use super::{RowOutcome, inbound::apply_row};
use crate::{Answered, Effects, Ground, WriteJob};

/// Rows that are taken up in one transaction.
const BATCH: usize = 256;

/// Applies all parked rows whose kinds are known now, in the order in which they came; returns how many. Called at the start,
/// before links are up, so that nothing newer overtakes them.
pub async fn take_up(ground: &Arc<Ground>) -> Answered<u64> {
    let mut all: u64 = 0;
    loop {
        let job = TakeUp { ground: Arc::clone(ground), effects: Effects::default() };
        let taken = ground.write(job).await?;
        if taken == 0 {
            break;
        }
        all = all.saturating_add(taken);
    }
    if all > 0 {
        info!(rows = all, "rows that were parked until this version are taken up");
    }
    Ok(all)
}

struct TakeUp {
    ground: Arc<Ground>,
    effects: Effects,
}

#[async_trait]
impl WriteJob for TakeUp {
    type Output = u64;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<u64> {
        self.effects = Effects::default();
        let mut taken = 0;
        for Unparked { origin, stream, row: parked } in tx.inbox_unpark(&RowKind::KNOWN, BATCH).await? {
            let row = Row {
                seq: parked.seq,
                id: MessageId::from_bytes(parked.id),
                kind: RowKind::from_number(parked.kind),
                ttl: None,
                payload: parked.payload,
                request: None,
            };
            let outcome = apply_row(&self.ground, tx, &origin, &stream, &row, &mut self.effects).await?;
            if let RowOutcome::Refused(ack) = outcome {
                warn!(peer.domain = %origin, kind = parked.kind, ?ack, "a row that was parked goes nowhere");
            }
            taken += 1;
        }
        Ok(taken)
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}
