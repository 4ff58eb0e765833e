//! Yields what waits for a subscribed device, batch after batch, each thing once.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use qpq_core::{Seq, limits};
use qpq_storage::{Feed, FeedState, ReadTx};
use tokio::time::sleep;

use super::page::{self, Budget};
use crate::{Answered, Delivery, Ground, SessionHandle, Subscription};

/// One device's subscription, with the positions up to which it was fed.
#[derive(Debug)]
pub struct Feeder {
    ground: Arc<Ground>,
    session: SessionHandle,
    subscription: Subscription,
    /// `None` until the first look at the store.
    fed: Option<BTreeMap<Feed, Seq>>,
    /// Feeds to read, in turn.
    turn: VecDeque<Feed>,
}

impl Feeder {
    pub(super) fn new(ground: Arc<Ground>, session: SessionHandle) -> Self {
        // Subscribed before the first look, so that nothing falls between the two.
        let subscription = ground.wakes().subscribe(session.device().device);
        Self { ground, session, subscription, fed: None, turn: VecDeque::new() }
    }

    /// The next batch, in order within each feed; waits until there is one. `None`: the subscription was replaced, or
    /// the session ended. After an error the same call may be made again; nothing is skipped. Dropping the future
    /// before it is ready loses nothing.
    pub async fn next(&mut self) -> Answered<Option<Vec<Delivery>>> {
        loop {
            let now = self.ground.now();
            if self.session.check(now).is_err() {
                return Ok(None);
            }
            let Self { subscription, session, turn, fed, ground } = self;
            let woken = if fed.is_some() && turn.is_empty() {
                tokio::select! {
                    biased;
                    () = session.ended().cancelled() => None,
                    () = sleep(session.expires_at().since(now).to_duration()) => continue,
                    woken = subscription.woken() => woken,
                }
            } else {
                subscription.woken_already()
            };
            let Some(woken) = woken else { return Ok(None) };
            enqueue(turn, woken);
            let mut tx = ground.read().await?;
            let fed = match fed {
                Some(fed) => fed,
                None => fed.insert(start(turn, tx.feeds(&session.device().device).await?)),
            };
            let batch = Self::batch(tx.as_mut(), ground, session, fed, turn).await?;
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
    }

    /// Takes turns between the feeds until the batch is full or nothing waits. State changes only after the last read,
    /// so that a failure or a dropped future leaves everything to be read again.
    async fn batch(
        tx: &mut dyn ReadTx,
        ground: &Ground,
        session: &SessionHandle,
        fed: &mut BTreeMap<Feed, Seq>,
        turn: &mut VecDeque<Feed>,
    ) -> Answered<Vec<Delivery>> {
        let device = session.device().device;
        let mut budget = Budget::new(limits::BATCH_ITEMS);
        let (mut deliveries, mut reached, mut read_out, mut unfinished) = (Vec::new(), Vec::new(), 0, None);
        for feed in &*turn {
            if budget.is_spent() {
                break;
            }
            read_out += 1;
            let Some(state) = tx.feed(&device, feed).await? else { continue };
            // It may have acknowledged what it fetched; a device that was added anew starts after its new Add.
            let from = fed.get(feed).copied().unwrap_or_default().max(state.acknowledged);
            let read = page::read(tx, ground.incarnation(), &device, &state, from, &mut budget).await?;
            reached.push((feed.clone(), read.through));
            unfinished = read.more.then(|| feed.clone());
            deliveries.extend(read.deliveries);
        }
        fed.extend(reached);
        turn.drain(..read_out);
        // To the end of the line: one busy group must not keep the others waiting.
        turn.extend(unfinished);
        Ok(deliveries)
    }
}

/// Adds feeds to the line, each once.
fn enqueue(turn: &mut VecDeque<Feed>, woken: BTreeSet<Feed>) {
    for feed in woken {
        if !turn.contains(&feed) {
            turn.push_back(feed);
        }
    }
}

/// Where the device stands now; what waits already is put in line.
fn start(turn: &mut VecDeque<Feed>, states: Vec<FeedState>) -> BTreeMap<Feed, Seq> {
    enqueue(turn, states.iter().filter(|s| s.acknowledged < s.last).map(|s| s.feed.clone()).collect());
    states.into_iter().map(|state| (state.feed, state.acknowledged)).collect()
}
