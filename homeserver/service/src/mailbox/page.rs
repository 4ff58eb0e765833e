//! Reading one feed of a device, as far as a batch has room.

use qpq_core::{DeviceId, Incarnation, Seq, limits};
use qpq_storage::{Feed, FeedState, ReadTx, Stored};

use crate::Delivery;

/// Notices may be Welcomes of megabytes, and the store counts only rows: few at once.
const NOTICES: usize = 8;

/// What still fits into a batch.
#[derive(Debug)]
pub(super) struct Budget {
    items: usize,
    bytes: usize,
}

impl Budget {
    pub(super) const fn new(items: usize) -> Self {
        Self { items, bytes: limits::BATCH_BYTES }
    }

    pub(super) const fn is_spent(&self) -> bool {
        self.items == 0 || self.bytes == 0
    }

    /// Makes room for one more. The last one may be larger than what was left, or a large one would never come.
    const fn spend(&mut self, size: usize) {
        self.items = self.items.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
    }
}

/// What was read of a feed.
pub(super) struct Read {
    pub(super) deliveries: Vec<Delivery>,
    /// The position up to which everything is in `deliveries`.
    pub(super) through: Seq,
    /// Whether more waits behind it.
    pub(super) more: bool,
}

/// Reads a feed after `from`, never beyond what the device may read.
pub(super) async fn read(
    tx: &mut dyn ReadTx,
    incarnation: Incarnation,
    device: &DeviceId,
    state: &FeedState,
    from: Seq,
    budget: &mut Budget,
) -> Stored<Read> {
    let mut read = Read { deliveries: Vec::new(), through: from, more: false };
    while read.through < state.last {
        if budget.is_spent() {
            read.more = true;
            return Ok(read);
        }
        let found = chunk(tx, incarnation, device, state, read.through, budget).await?;
        if found.is_empty() {
            // Positions may be missing from a copied log: nothing is left before the end.
            read.through = state.last;
        }
        for delivery in found {
            if budget.is_spent() {
                break;
            }
            budget.spend(delivery.size());
            read.through = delivery.position.cursor.seq;
            read.deliveries.push(delivery);
        }
    }
    Ok(read)
}

async fn chunk(
    tx: &mut dyn ReadTx,
    incarnation: Incarnation,
    device: &DeviceId,
    state: &FeedState,
    after: Seq,
    budget: &Budget,
) -> Stored<Vec<Delivery>> {
    match &state.feed {
        Feed::Mailbox => {
            let rows = tx.mailbox_after(device, after, budget.items.min(NOTICES)).await?;
            Ok(rows.into_iter().map(|row| Delivery::of_notice(incarnation, row)).collect())
        }
        Feed::Group(group) => {
            let entries = tx.log_after(group, after, budget.items, budget.bytes).await?;
            let readable = entries.into_iter().filter(|entry| entry.seq <= state.last);
            Ok(readable.map(|entry| Delivery::of_entry(group, incarnation, entry)).collect())
        }
    }
}
