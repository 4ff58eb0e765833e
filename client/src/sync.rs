//! What comes: pulled or pushed, applied in the order of each feed, stored, and only then acknowledged.
//!
//! A batch is one transaction: ratchet state, plaintext, seen ids and positions commit together, so a crash
//! leaves either nothing of it or all. A delivery that can't be applied *yet* (its group is not joined, its
//! members are not proven, its epoch has not come) holds back the rest of its feed, which stays at the
//! homeserver.

mod apply;
mod batch;

pub(crate) use apply::settle_refusal;
pub(crate) use batch::Trees;

use std::collections::BTreeSet;

use qpq_core::{Cursor, Seq};

use crate::{
    Client, ClientError,
    connect::POSITIONS,
    mls::{JoinError, welcome_references},
    store::Feed,
    sync::batch::{Batch, Outcome},
    trust::Proof,
    wire::{Delivery, DeliveryBody, Position},
};

/// Items asked for in one call.
const PAGE: u16 = 256;

/// What a batch led to.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent answers, not states")]
pub(crate) struct Progress {
    /// Whether any feed moved on.
    pub(crate) advanced: bool,
    /// Whether what was held back can go on now.
    pub(crate) again: bool,
    /// Whether something waits that can't be applied yet.
    pub(crate) held: bool,
    /// Whether something may go out now.
    pub(crate) unblocked: bool,
    /// Feeds of which something was left out: what comes after it must not be applied before it.
    pub(crate) waiting: BTreeSet<Feed>,
    /// Of a pull: whether it has seen the end of every other feed.
    pub(crate) complete: bool,
}

impl Client {
    /// Pulls and applies everything that waits.
    pub(crate) async fn pull(&self) -> Result<Progress, ClientError> {
        let _one_at_a_time = self.inner.pulling.lock().await;
        let mut all = Progress::default();
        // What waits is not asked for again at once, or a long feed would keep all others from coming.
        let mut beyond: Vec<Position> = Vec::new();
        loop {
            let (deliveries, more) = self.session()?.fetch(&beyond, PAGE).await?;
            if deliveries.is_empty() {
                all.complete = true;
                return Ok(all);
            }
            let progress = self.process(&deliveries, &BTreeSet::new()).await?;
            all.advanced |= progress.advanced;
            all.unblocked |= progress.unblocked;
            let left_out = !progress.waiting.is_subset(&all.waiting);
            if progress.again {
                all.waiting.clear();
                beyond.clear();
            } else {
                beyond.extend(deliveries.iter().filter_map(|delivery| {
                    let Position { feed, cursor } = &delivery.position;
                    let new = progress.waiting.contains(feed) && all.waiting.insert(feed.clone());
                    new.then(|| Position {
                        feed: feed.clone(),
                        cursor: Cursor { seq: Seq(u64::MAX), ..*cursor },
                    })
                }));
            }
            all.held = !all.waiting.is_empty();
            if progress.again || (more && (progress.advanced || left_out)) {
                continue;
            }
            all.complete = !more;
            return Ok(all);
        }
    }

    /// Applies deliveries, stores, acknowledges. Of the feeds in `waiting` nothing is applied: something before these
    /// deliveries was left out.
    pub(crate) async fn process(
        &self,
        deliveries: &[Delivery],
        waiting: &BTreeSet<Feed>,
    ) -> Result<Progress, ClientError> {
        let trees = self.trees(deliveries).await?;
        let unproven = self.unproven_feeds(deliveries).await?;
        let outcome = self.store_batch(deliveries, trees, unproven, waiting).await?;
        let positions: Vec<_> =
            outcome.positions.into_iter().map(|(feed, cursor)| Position { feed, cursor }).collect();
        if !positions.is_empty() {
            let session = self.session()?;
            for chunk in positions.chunks(POSITIONS) {
                session.acknowledge(chunk).await?;
            }
        }
        if outcome.key_packages_low {
            self.stock_up().await?;
        }
        if outcome.progress.unblocked {
            self.inner.queued.notify_one();
        }
        Ok(outcome.progress)
    }

    /// Applies deliveries in one transaction; asks nobody.
    async fn store_batch(
        &self,
        deliveries: &[Delivery],
        trees: Trees,
        unproven: BTreeSet<Feed>,
        waiting: &BTreeSet<Feed>,
    ) -> Result<Outcome, ClientError> {
        let me = self.me()?;
        let mut turn = self.turn().await;
        let mut tx = self.inner.store.begin().await?;
        let mut batch = Batch::new(&me, trees, unproven, self.now()).behind(waiting);
        for delivery in deliveries {
            batch.take(&mut turn, &mut tx, delivery).await?;
        }
        batch.save(&mut turn, &mut tx).await?;
        tx.commit().await?;
        turn.done();

        let outcome = batch.outcome();
        for group in &outcome.changed {
            self.inner.proofs.borrow_mut().remove(group);
        }
        if outcome.messages > 0 {
            self.inner.news.notify_waiters();
        }
        Ok(outcome)
    }

    /// The ratchet trees that invitations need: asked for before the transaction, which must not wait for anybody.
    async fn trees(&self, deliveries: &[Delivery]) -> Result<Trees, ClientError> {
        let mut trees = Trees::new();
        for delivery in deliveries {
            let DeliveryBody::Welcome { group, epoch, welcome, .. } = &delivery.body else { continue };
            let references = match welcome_references(welcome) {
                Ok(references) => references,
                Err(error) => {
                    trees.insert((group.clone(), *epoch), Err(JoinError::Mls(error).to_string()));
                    continue;
                }
            };
            let mut tx = self.inner.store.begin().await?;
            let known = tx.position(&delivery.position.feed).await?;
            let repeated = known.is_some_and(|known| {
                known.incarnation == delivery.position.cursor.incarnation
                    && known.seq >= delivery.position.cursor.seq
            });
            let usable = !tx.key_package_secrets(&references).await?.is_empty();
            drop(tx);
            if repeated || !usable {
                continue;
            }
            match self.session()?.tree(group, *epoch).await {
                Ok(tree) => drop(trees.insert((group.clone(), *epoch), Ok(tree))),
                Err(ClientError::Refused(refusal))
                    if !ClientError::Refused(refusal.clone()).is_transient() =>
                {
                    trees.insert((group.clone(), *epoch), Err(refusal.to_string()));
                }
                Err(error) if error.is_transient() => {
                    tracing::info!(%group, %error, "an invitation waits for its group's tree");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(trees)
    }

    /// The feeds whose messages can't be shown yet, because somebody's keys can't be had now.
    async fn unproven_feeds(&self, deliveries: &[Delivery]) -> Result<BTreeSet<Feed>, ClientError> {
        let groups: BTreeSet<_> = deliveries
            .iter()
            .filter(|delivery| matches!(delivery.body, DeliveryBody::Application { .. }))
            .filter_map(|delivery| match &delivery.position.feed {
                Feed::Group(group) => Some(group.clone()),
                Feed::Mailbox => None,
            })
            .collect();
        let mut unproven = BTreeSet::new();
        for group in groups {
            let waits = match self.prove(&group).await? {
                Proof::Proven => false,
                Proof::Unknown => true,
                // In a group the others go on; a conversation of two waits for the decision about the other's key.
                Proof::Blocked => {
                    let mut tx = self.inner.store.begin().await?;
                    tx.group(&group).await?.is_some_and(|record| record.peer.is_some())
                }
            };
            if waits {
                unproven.insert(Feed::Group(group));
            }
        }
        Ok(unproven)
    }
}

#[cfg(test)]
mod tests;
