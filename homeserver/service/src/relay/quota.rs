//! How much may wait for one peer. What finds its queue full is refused, or whoever misses it is left behind aloud: nothing is
//! dropped in silence.

use qpq_core::{Domain, ErrorCode, Millis};
use qpq_metrics::Limit;
use qpq_storage::{NewOutboxRow, OutboxWeight, Stored, WriteTx};

use crate::{Effects, Refusal};

/// What a row costs besides its payload: its number, id and times, and its places in the indexes.
const ROW_BYTES: u64 = 256;
/// Room beyond the quota for rows that say why something failed or who was removed: their readers wait for them.
const RESERVE: u64 = 64 * 1024 * 1024;
/// When whoever found a queue full should try again.
const RETRY: Millis = Millis::from_secs(60);

/// What a queue still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueRoom {
    left: u64,
}

/// What a queue takes of its quota.
fn cost(weight: OutboxWeight) -> u64 {
    weight.bytes.saturating_add(weight.rows.saturating_mul(ROW_BYTES))
}

/// How full a queue is, in percent of its quota.
pub(crate) fn percent(weight: OutboxWeight, quota: u64) -> u64 {
    cost(weight).saturating_mul(100) / quota.max(1)
}

impl QueueRoom {
    /// What a destination's queue still takes of a quota in bytes.
    pub(crate) async fn of(tx: &mut dyn WriteTx, destination: &Domain, quota: u64) -> Stored<Self> {
        Ok(Self { left: quota.saturating_sub(cost(tx.outbox_weight(destination).await?)) })
    }

    /// The same for what may use the reserve.
    pub(crate) async fn with_reserve(tx: &mut dyn WriteTx, destination: &Domain, quota: u64) -> Stored<Self> {
        Self::of(tx, destination, quota.saturating_add(RESERVE)).await
    }

    /// Takes room for a row; `false`: it is full, and stays so, that nothing of one call overtakes what was refused.
    #[must_use]
    pub(crate) fn take(&mut self, payload: usize) -> bool {
        let cost = u64::try_from(payload).unwrap_or(u64::MAX).saturating_add(ROW_BYTES);
        let left = self.left.checked_sub(cost);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

/// What a sender hears of a full queue.
pub(crate) fn full(destination: &Domain) -> Refusal {
    let text = format!("so much waits for `{destination}` already that nothing more is taken for it");
    Refusal::retry(ErrorCode::MailboxFull, text, RETRY)
}

/// Queues a row that answers something, in the room that its kind may use; what finds none is counted and dropped, since nobody
/// here could act on it.
pub(crate) async fn queue_answer(
    tx: &mut dyn WriteTx,
    mut room: QueueRoom,
    row: NewOutboxRow,
    effects: &mut Effects,
) -> Stored<()> {
    if !room.take(row.payload.len()) {
        effects.hit(Limit::PeerQueue);
        return Ok(());
    }
    effects.send(row.destination.clone());
    tx.outbox_append(&[row]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_stays_full_for_smaller_rows() {
        let mut room = QueueRoom { left: 2 * ROW_BYTES + 10 };
        assert!(room.take(10));
        assert!(!room.take(1));
        assert!(!room.take(0), "nothing overtakes what was refused");
    }
}
