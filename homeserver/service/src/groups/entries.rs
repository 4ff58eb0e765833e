//! Entries of a log that another domain orders, several in one batch: judged against one look at the group, and copied together.
//! What the look doesn't settle (a commit, a full queue, a refusal) is applied by itself, with what came before it stored.

use std::sync::Arc;

use qpq_core::{Domain, GroupId, Seq};
use qpq_delivery::mailbox::Room;
use qpq_federation_proto::Row;
use qpq_storage::{EntryBody, LogEntry, Member, Stored, WriteTx};

use super::{
    Place,
    accept::Readers,
    apply::{Rows, outcome},
    records::{GroupEntry, expires_at},
};
use crate::{Effects, Ground, relay::RowOutcome, request};

/// Applies rows with entries in the transaction that moves their stream's mark; an outcome for each.
pub(crate) async fn apply_entries(
    ground: &Arc<Ground>,
    tx: &mut dyn WriteTx,
    origin: &Domain,
    rows: &[Row],
    effects: &mut Effects,
) -> Stored<Vec<RowOutcome>> {
    let place = Place::of(ground);
    let here = Rows { place, origin, now: ground.now(), tx, effects };
    let mut run = Run { here, look: None, copied: Vec::new() };
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in rows {
        outcomes.push(run.take(row).await?);
    }
    run.copy().await?;
    Ok(outcomes)
}

/// A group as it is with all entries that were taken.
struct Look {
    group: GroupId,
    /// `None`: nothing of it is here.
    last: Option<Seq>,
    accounts: u32,
    members: Vec<Member>,
    readers: Readers,
}

struct Run<'a> {
    here: Rows<'a>,
    look: Option<Look>,
    /// Entries of the group that is looked at, not stored yet.
    copied: Vec<LogEntry>,
}

impl Run<'_> {
    async fn take(&mut self, row: &Row) -> Stored<RowOutcome> {
        let Ok(entry) = GroupEntry::from_bytes(&row.payload) else { return self.alone(row).await };
        let plain = entry.committer.is_none() && entry.removed.is_empty();
        if !plain || entry.group.hub() != self.here.origin {
            return self.alone(row).await;
        }
        if self.look.as_ref().is_some_and(|look| look.group != entry.group) {
            self.copy().await?;
            self.look = None;
        }
        let look = match self.look.take() {
            Some(look) => look,
            None => self.look_at(&entry).await?,
        };
        let look = self.look.insert(look);
        if look.last.is_some_and(|last| entry.seq <= last) {
            return Ok(RowOutcome::Known);
        }
        let place = &self.here.place;
        let read = look.members.iter().any(|member| self.here.reads_here(member));
        let room = look.readers.room(place, entry.accounts, &entry.message);
        if !read || !matches!(&room, Room::Store { cut_off } if cut_off.is_empty()) {
            return self.alone(row).await;
        }
        look.readers.stored(&[], &entry.message);
        (look.last, look.accounts) = (Some(entry.seq), entry.accounts);
        self.copied.push(LogEntry {
            seq: entry.seq,
            id: row.id,
            epoch: entry.epoch,
            at: self.here.now,
            expires_at: Some(expires_at(row.ttl, place.ttl, self.here.now)),
            body: EntryBody::Application { message: entry.message },
        });
        Ok(RowOutcome::Stored)
    }

    async fn look_at(&mut self, entry: &GroupEntry) -> Stored<Look> {
        let Rows { place, tx, .. } = &mut self.here;
        let last = tx.group(&entry.group).await?.map(|known| known.last_seq);
        let members = tx.members(&entry.group).await?;
        let readers = Readers::of(*tx, &place.domain, &members, None).await?;
        Ok(Look { group: entry.group.clone(), last, accounts: entry.accounts, members, readers })
    }

    /// One row by itself; what is looked at may be another afterwards.
    async fn alone(&mut self, row: &Row) -> Stored<RowOutcome> {
        self.copy().await?;
        self.look = None;
        request::of(row.request, self.here.entry(row)).await.map(outcome)
    }

    /// Stores what was taken.
    async fn copy(&mut self) -> Stored<()> {
        let copied = std::mem::take(&mut self.copied);
        let Some(look) = self.look.as_ref().filter(|_| !copied.is_empty()) else { return Ok(()) };
        self.here.tx.log_copy(&look.group, &copied, &[], look.accounts, self.here.now).await?;
        self.here.wake_readers(&look.group, &look.members);
        Ok(())
    }
}
