//! Rows that waited for too long: they become tombstones, and whom they concern hears of it.
//!
//! A message has an end of its own. A handshake has none, since nobody can follow without it; when the peer was away for as long
//! as a queue is kept, its devices are left behind instead.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_federation_proto::RowKind;
use qpq_storage::{Stored, WaitingRow, WriteTx};

use super::{give_up::bury, tombstone::Tombstone};
use crate::{Answered, Effects, Ground, WriteJob, groups};

/// Messages that expire in one transaction, and handshakes, which may be larger.
const AT_ONCE: usize = 256;
const HANDSHAKES_AT_ONCE: usize = 16;

/// Turns waiting rows whose time is over into tombstones and tells their senders; returns how many.
pub async fn expire(ground: &Arc<Ground>) -> Answered<usize> {
    let mut all = 0;
    loop {
        let job = Expire { ground: Arc::clone(ground), effects: Effects::default() };
        let (messages, handshakes) = ground.write(job).await?;
        all += messages + handshakes;
        if messages < AT_ONCE && handshakes < HANDSHAKES_AT_ONCE {
            return Ok(all);
        }
    }
}

struct Expire {
    ground: Arc<Ground>,
    effects: Effects,
}

#[async_trait]
impl WriteJob for Expire {
    /// How many messages and handshakes ended.
    type Output = (usize, usize);

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        self.effects = Effects::default();
        let (ground, now) = (&self.ground, self.ground.now());
        let tombstone = RowKind::Tombstone.number();
        let payload = Tombstone::plain("expired", 0).to_bytes();
        let messages = tx.outbox_expire(now, tombstone, &payload, AT_ONCE).await?;
        for row in &messages {
            let text = format!("`{}` could not be reached before the message expired", row.row.destination);
            groups::give_back(ground, tx, &row.row, &text, &mut self.effects).await?;
        }
        let since = now.before(ground.settings().peer_queue_age);
        let handshakes = tx.outbox_overdue(since, tombstone, HANDSHAKES_AT_ONCE).await?;
        let ended = (messages.len(), handshakes.len());
        for WaitingRow { lane, row } in handshakes {
            let payload = Tombstone::plain("overdue", row.row.kind).to_bytes();
            tx.outbox_bury(&row.row.destination, &lane, row.seq, tombstone, &payload).await?;
            bury(ground, tx, row.row, "the peer was away for too long", &mut self.effects).await?;
        }
        Ok(ended)
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}
