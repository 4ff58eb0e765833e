//! What waits for a device: fetched, pushed, acknowledged.

mod feeder;
mod page;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{DeviceId, ErrorCode, Seq, limits};
use qpq_storage::{Feed, Stored, WriteTx};

use crate::{Answered, Delivery, FeedPosition, Ground, Refusal, SessionHandle, WriteJob};

pub use feeder::Feeder;
use page::Budget;

/// A page of what waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In order within each feed.
    pub deliveries: Vec<Delivery>,
    /// Whether more waits.
    pub more: bool,
}

/// The use cases of mailboxes.
#[derive(Clone, Debug)]
pub struct Mailboxes {
    ground: Arc<Ground>,
}

impl Mailboxes {
    /// On this ground.
    pub const fn new(ground: Arc<Ground>) -> Self {
        Self { ground }
    }

    /// Reads what waits after the given positions; a feed that is not named, or named in another life of the
    /// database, starts where it was acknowledged. `most` items at most; 0: as many as fit.
    pub async fn fetch(
        &self,
        session: &SessionHandle,
        after: &[FeedPosition],
        most: usize,
    ) -> Answered<Page> {
        session.check(self.ground.now())?;
        let after = self.of_this_life(after)?;
        let device = session.device().device;
        let mut tx = self.ground.read().await?;
        let most = if most == 0 { limits::BATCH_ITEMS } else { most.min(limits::BATCH_ITEMS) };
        let mut budget = Budget::new(most);
        let (mut deliveries, mut more) = (Vec::new(), false);
        for state in tx.feeds(&device).await? {
            let from = after.get(&state.feed).copied().unwrap_or(state.acknowledged);
            if budget.is_spent() {
                more |= from < state.last;
                continue;
            }
            let read = page::read(tx.as_mut(), self.ground.incarnation(), &device, &state, from, &mut budget)
                .await?;
            deliveries.extend(read.deliveries);
            more |= read.more;
        }
        Ok(Page { deliveries, more })
    }

    /// "Stored durably up to here": what is acknowledged is never delivered again. Moving back, and positions of
    /// another life of the database, have no effect.
    pub async fn acknowledge(&self, session: &SessionHandle, positions: &[FeedPosition]) -> Answered<()> {
        session.check(self.ground.now())?;
        let positions: Vec<_> = self.of_this_life(positions)?.into_iter().collect();
        if positions.is_empty() {
            return Ok(());
        }
        self.ground.write(Acknowledge { device: session.device().device, positions }).await
    }

    /// Subscribes the session's device: the feeder yields everything after the acknowledged positions, now and as it
    /// comes. A former subscription of the device ends.
    pub fn subscribe(&self, session: &SessionHandle) -> Answered<Feeder> {
        session.check(self.ground.now())?;
        Ok(Feeder::new(Arc::clone(&self.ground), session.clone()))
    }

    /// The positions that mean something now; of two of one feed the later.
    fn of_this_life(&self, positions: &[FeedPosition]) -> Answered<BTreeMap<Feed, Seq>> {
        if positions.len() > POSITIONS {
            let text = format!("{} positions in one call, {POSITIONS} are allowed", positions.len());
            return Err(Refusal::new(ErrorCode::TooLarge, text));
        }
        let mut ours = BTreeMap::new();
        for FeedPosition { feed, cursor } in positions {
            if cursor.incarnation == self.ground.incarnation() {
                let seq: &mut Seq = ours.entry(feed.clone()).or_default();
                *seq = cursor.seq.max(*seq);
            }
        }
        Ok(ours)
    }
}

/// A device names each of its groups at most once, and may be in many.
const POSITIONS: usize = 16 * limits::BATCH_ITEMS;

struct Acknowledge {
    device: DeviceId,
    positions: Vec<(Feed, Seq)>,
}

#[async_trait]
impl WriteJob for Acknowledge {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        tx.feeds_acknowledge(&self.device, &self.positions).await
    }
}

#[cfg(test)]
mod tests;
