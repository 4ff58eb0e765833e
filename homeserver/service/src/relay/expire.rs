//! Rows whose time is over: they become tombstones, and their senders hear of it.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::Timestamp;
use qpq_federation_proto::RowKind;
use qpq_schemas::records_capnp::tombstone;
use qpq_storage::{Stored, WriteTx};

use super::payload::write;
use crate::{Answered, Effects, Ground, WriteJob, groups};

/// Rows that expire in one transaction.
const AT_ONCE: usize = 256;

/// Turns waiting rows whose time is over into tombstones and tells their senders; returns how many.
pub async fn expire(ground: &Arc<Ground>) -> Answered<usize> {
    let mut all = 0;
    loop {
        let expired = ground.write(Expire { now: ground.now(), effects: Effects::default() }).await?;
        all += expired;
        if expired < AT_ONCE {
            return Ok(all);
        }
    }
}

struct Expire {
    now: Timestamp,
    effects: Effects,
}

#[async_trait]
impl WriteJob for Expire {
    type Output = usize;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<usize> {
        self.effects = Effects::default();
        let kind = RowKind::Tombstone.number();
        let rows = tx.outbox_expire(self.now, kind, &tombstone("expired"), AT_ONCE).await?;
        for row in &rows {
            groups::submit_expired(tx, row, self.now, &mut self.effects).await?;
        }
        Ok(rows.len())
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}

/// The payload of a tombstone: why the row will not come.
pub(super) fn tombstone(reason: &str) -> Vec<u8> {
    write::<tombstone::Owned>(|mut record| record.set_reason(reason))
}
