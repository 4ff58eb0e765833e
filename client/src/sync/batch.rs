//! One batch of deliveries inside one transaction: where each feed stands, and what the batch led to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use qpq_core::{Cursor, GroupId, Timestamp};

use super::Progress;
use crate::{
    ClientError,
    client::{Me, Turn},
    store::{Feed, Tx},
    wire::Delivery,
};

/// The trees of invitations, by group and epoch; or why there is none. Absent: it can't be had now.
pub(crate) type Trees = HashMap<(GroupId, u64), Result<Vec<u8>, String>>;

/// What to do with a feed after a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is applied, or of no use: move on.
    Next,
    /// It is applied, but what follows has to wait for a look at the new members.
    NextThenHold,
    /// It can't be applied yet: the feed stays here.
    Hold,
}

/// A batch under way.
pub(super) struct Batch<'a> {
    pub(super) me: &'a Me,
    pub(super) trees: Trees,
    pub(super) now: Timestamp,
    /// Feeds that wait at their next application message.
    pub(super) unproven: BTreeSet<Feed>,
    /// Feeds that wait at once.
    held: BTreeSet<Feed>,
    cursors: BTreeMap<Feed, Option<Cursor>>,
    /// Groups whose MLS state changed.
    pub(super) dirty: BTreeSet<GroupId>,
    pub(super) outcome: Outcome,
}

/// What a batch led to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) progress: Progress,
    /// Where the feeds stand now: to be acknowledged.
    pub(super) positions: BTreeMap<Feed, Cursor>,
    /// Groups whose members changed.
    pub(super) changed: BTreeSet<GroupId>,
    /// New messages.
    pub(super) messages: usize,
    pub(super) key_packages_low: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn new(me: &'a Me, trees: Trees, unproven: BTreeSet<Feed>, now: Timestamp) -> Self {
        Self {
            me,
            trees,
            now,
            unproven,
            held: BTreeSet::new(),
            cursors: BTreeMap::new(),
            dirty: BTreeSet::new(),
            outcome: Outcome::default(),
        }
    }

    /// Applies nothing of these feeds.
    pub(super) fn behind(mut self, waiting: &BTreeSet<Feed>) -> Self {
        self.held.clone_from(waiting);
        self
    }

    /// Applies one delivery, unless it was applied before or its feed waits.
    pub(super) async fn take(
        &mut self,
        turn: &mut Turn<'_>,
        tx: &mut Tx<'_>,
        delivery: &Delivery,
    ) -> Result<(), ClientError> {
        let feed = &delivery.position.feed;
        let cursor = delivery.position.cursor;
        if self.held.contains(feed) {
            return Ok(());
        }
        if let Some(known) = self.cursor(tx, feed).await?
            && known.incarnation == cursor.incarnation
            && known.seq >= cursor.seq
        {
            // A repeat: its acknowledgement got lost.
            self.outcome.positions.insert(feed.clone(), known);
            return Ok(());
        }
        match self.apply(turn, tx, delivery).await? {
            Step::Next => self.advance(tx, feed, cursor).await,
            Step::NextThenHold => {
                self.advance(tx, feed, cursor).await?;
                self.held.insert(feed.clone());
                self.outcome.progress.again = true;
                Ok(())
            }
            Step::Hold => {
                self.held.insert(feed.clone());
                self.outcome.progress.held = true;
                Ok(())
            }
        }
    }

    /// Moves a feed on.
    pub(super) async fn advance(
        &mut self,
        tx: &mut Tx<'_>,
        feed: &Feed,
        cursor: Cursor,
    ) -> Result<(), ClientError> {
        tx.set_position(feed, cursor).await?;
        self.cursors.insert(feed.clone(), Some(cursor));
        self.outcome.positions.insert(feed.clone(), cursor);
        self.outcome.progress.advanced = true;
        Ok(())
    }

    async fn cursor(&mut self, tx: &mut Tx<'_>, feed: &Feed) -> Result<Option<Cursor>, ClientError> {
        if let Some(cursor) = self.cursors.get(feed) {
            return Ok(*cursor);
        }
        let cursor = tx.position(feed).await?;
        self.cursors.insert(feed.clone(), cursor);
        Ok(cursor)
    }

    /// Writes the groups that changed, once each.
    pub(super) async fn save(&mut self, turn: &mut Turn<'_>, tx: &mut Tx<'_>) -> Result<(), ClientError> {
        for id in std::mem::take(&mut self.dirty) {
            if let Some(group) = turn.group(tx, &id).await? {
                tx.save_group(group).await?;
            }
        }
        Ok(())
    }

    pub(super) fn outcome(mut self) -> Outcome {
        self.outcome.progress.waiting = self.held;
        self.outcome
    }
}
