//! Applies rows that came from a peer: submits for a group that we order, and entries and Welcomes of groups that it orders.
//!
//! A row is judged by what the origin may say: a hub about its own groups, a home about its own users. A refused row
//! keeps its place in the stream; what its sender must hear goes out as a row of its own ([`super::refuse`]).

use std::sync::Arc;

use qpq_core::{DeviceAddress, DeviceId, Domain, ErrorCode, GroupId, Timestamp};
use qpq_delivery::mailbox::Room;
use qpq_federation_proto::{Row, RowKind};
use qpq_metrics::Limit;
use qpq_storage::{EntryBody, Feed, LogEntry, Member, Notice, Stored, WriteTx};

use super::{
    Place,
    accept::{Incoming, Readers, accept, cut_off},
    behind::apply_left_behind,
    check_origin, no_group,
    records::{GroupEntry, GroupSubmit, GroupWelcome, SubmitRefused, expires_at},
    refuse::{refuse_entry, refuse_submit, refused},
    submit::framing,
};
use crate::{Answered, Effects, Ground, Refusal, bans, contacts, relay::RowOutcome};

/// Applies one row of `origin`'s stream in the transaction that moves the stream's mark.
pub(crate) async fn apply_row(
    ground: &Arc<Ground>,
    tx: &mut dyn WriteTx,
    origin: &Domain,
    row: &Row,
    effects: &mut Effects,
) -> Stored<RowOutcome> {
    let mut rows = Rows { place: Place::of(ground), origin, now: ground.now(), tx, effects };
    let applied = match row.kind {
        RowKind::GroupSubmit => return rows.submit(row).await.map(outcome),
        RowKind::GroupEntry => return rows.entry(row).await.map(outcome),
        RowKind::Welcome => rows.welcome(row).await?,
        RowKind::SubmitRefused => rows.refused(row).await?,
        RowKind::Tombstone => {
            let Rows { place, origin, now, tx, effects } = &mut rows;
            apply_left_behind(*tx, &place.domain, origin, &row.payload, *now, effects).await?;
            Ok(())
        }
        RowKind::ContactAccepted | RowKind::Receipt | RowKind::Unknown(_) => Ok(()),
    };
    Ok(applied.into())
}

/// Whether a row brought something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fresh {
    New,
    Known,
}

pub(super) fn outcome(applied: Answered<Fresh>) -> RowOutcome {
    match applied {
        Ok(Fresh::Known) => RowOutcome::Known,
        Ok(Fresh::New) => RowOutcome::Stored,
        Err(refusal) => Err(refusal).into(),
    }
}

/// One row's transaction and origin.
pub(super) struct Rows<'a> {
    pub(super) place: Place,
    pub(super) origin: &'a Domain,
    pub(super) now: Timestamp,
    pub(super) tx: &'a mut dyn WriteTx,
    pub(super) effects: &'a mut Effects,
}

impl Rows<'_> {
    /// A message for the log of a group that we order.
    async fn submit(&mut self, row: &Row) -> Stored<Answered<Fresh>> {
        let parsed = GroupSubmit::from_bytes(&row.payload).and_then(|submit| {
            check_origin(self.origin, &submit.sender)?;
            Ok(submit)
        });
        let submit = match parsed {
            Ok(submit) => submit,
            // Who should hear of it can't be read, or isn't the origin's.
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (us, sender) = (&self.place.domain, &submit.sender.user);
        let accepted = match bans::admit_sender(self.tx, us, sender, self.now).await? {
            Ok(()) => self.accept(row, &submit).await?,
            Err(banned) => Err(banned),
        };
        if let Err(refusal) = &accepted {
            refuse_submit(self.tx, &self.place, &submit, row.id, refusal, self.now, self.effects).await?;
        }
        Ok(accepted)
    }

    async fn accept(&mut self, row: &Row, submit: &GroupSubmit) -> Stored<Answered<Fresh>> {
        if *submit.group.hub() != self.place.domain {
            return Ok(Err(no_group(&submit.group)));
        }
        let epoch = match framing(&submit.group, &submit.message) {
            Ok(epoch) => epoch,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let expires_at = expires_at(row.ttl, self.place.ttl, self.now);
        let incoming = Incoming { id: row.id, epoch, message: submit.message.clone(), expires_at };
        let (place, now) = (&self.place, self.now);
        let placed =
            accept(self.tx, place, &submit.sender, &submit.group, &[incoming], now, self.effects).await?;
        let answer = placed.into_iter().next().unwrap_or_else(|| Err(no_group(&submit.group)));
        Ok(answer.map(|placed| if placed.repeated { Fresh::Known } else { Fresh::New }))
    }

    /// An entry of a log that the origin orders.
    pub(super) async fn entry(&mut self, row: &Row) -> Stored<Answered<Fresh>> {
        let entry = match GroupEntry::from_bytes(&row.payload) {
            Ok(entry) => entry,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if entry.group.hub() != self.origin {
            return Ok(Err(not_the_hub(self.origin)));
        }
        let known = self.tx.group(&entry.group).await?;
        if known.is_some_and(|known| entry.seq <= known.last_seq) {
            return Ok(Ok(Fresh::Known));
        }
        // A Welcome comes first; without a reader here there is nobody to keep it for.
        let members = self.tx.members(&entry.group).await?;
        if !members.iter().any(|member| self.reads_here(member)) {
            return Ok(Err(super::not_member()));
        }
        // Handshakes are always stored: without them nobody could follow.
        if entry.committer.is_none()
            && let Err(refusal) = self.make_room(row, &entry, &members).await?
        {
            self.effects.hit(Limit::Mailbox);
            refuse_entry(self.tx, &self.place, &entry.group, row.id, &refusal, self.now, self.effects)
                .await?;
            return Ok(Err(refusal));
        }
        self.copy(row, &entry, &members).await?;
        Ok(Ok(Fresh::New))
    }

    /// Our own devices at the limit: refused between two, cut off in a larger group.
    async fn make_room(&mut self, row: &Row, entry: &GroupEntry, members: &[Member]) -> Stored<Answered<()>> {
        let readers = Readers::of(self.tx, &self.place.domain, members, None).await?;
        match readers.room(&self.place, entry.accounts, &entry.message) {
            Room::Store { cut_off: none } if none.is_empty() => Ok(Ok(())),
            Room::Store { cut_off: mut full } => {
                if let Some(sender) = self.sender_among(row, &full, members).await? {
                    full.retain(|device| *device != sender);
                }
                cut_off(self.tx, &entry.group, &full, self.now, self.effects).await?;
                Ok(Ok(()))
            }
            Room::Full { retry_after } => {
                // A message of our own user comes back here from the hub; what it sends doesn't fill its own queue.
                let ours: Vec<DeviceId> = members.iter().map(|member| member.device.device).collect();
                let sender = self.sender_among(row, &ours, members).await?;
                let others = Readers::of(self.tx, &self.place.domain, members, sender.as_ref()).await?;
                let room = others.room(&self.place, entry.accounts, &entry.message);
                if sender.is_some() && matches!(room, Room::Store { .. }) {
                    return Ok(Ok(()));
                }
                let text = format!("a device at `{}` has too many undelivered messages", self.place.domain);
                Ok(Err(Refusal::retry(ErrorCode::MailboxFull, text, retry_after)))
            }
        }
    }

    /// Which of these devices of ours submitted the message.
    async fn sender_among(
        &mut self,
        row: &Row,
        devices: &[DeviceId],
        members: &[Member],
    ) -> Stored<Option<DeviceId>> {
        for member in members.iter().filter(|member| devices.contains(&member.device.device)) {
            let seen = self.tx.submits_seen(&member.device, &[row.id]).await?;
            if seen.into_iter().flatten().next().is_some() {
                return Ok(Some(member.device.device));
            }
        }
        Ok(None)
    }

    async fn copy(&mut self, row: &Row, entry: &GroupEntry, members: &[Member]) -> Stored<()> {
        let body = match &entry.committer {
            Some(committer) => EntryBody::Commit {
                message: entry.message.clone(),
                sender: committer.sender.clone(),
                signature: committer.signature,
            },
            None => EntryBody::Application { message: entry.message.clone() },
        };
        let copied = LogEntry {
            seq: entry.seq,
            id: row.id,
            epoch: entry.epoch,
            at: self.now,
            expires_at: entry.committer.is_none().then(|| expires_at(row.ttl, self.place.ttl, self.now)),
            body,
        };
        let removed: Vec<DeviceAddress> =
            entry.removed.iter().filter(|device| self.is_ours(device)).cloned().collect();
        self.tx.log_copy(&entry.group, &[copied], &removed, entry.accounts, self.now).await?;
        self.wake_readers(&entry.group, members);
        let gone = |device: &DeviceAddress| (device.device, Notice::Removed { group: entry.group.clone() });
        self.tell(&removed.iter().map(gone).collect::<Vec<_>>()).await
    }

    /// Devices of ours that a commit added to a group that the origin orders.
    async fn welcome(&mut self, row: &Row) -> Stored<Answered<()>> {
        let welcome = match GroupWelcome::from_bytes(&row.payload) {
            Ok(welcome) => welcome,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if welcome.group.hub() != self.origin {
            return Ok(Err(not_the_hub(self.origin)));
        }
        // Whom a banned user adds to a group never hears of it. What they do in groups that exist is another matter: see
        // docs/decisions/0019-what-a-ban-does.md.
        let (us, sender) = (&self.place.domain, &welcome.sender.user);
        if let Err(banned) = bans::admit_sender(self.tx, us, sender, self.now).await? {
            return Ok(Err(banned));
        }
        let mut known = Vec::new();
        for device in &welcome.devices {
            let enrolled = self.tx.device(&device.device).await?;
            let enrolled =
                enrolled.filter(|row| row.certificate.device == *device && row.revoked_at.is_none());
            let Some(enrolled) = enrolled else { continue };
            let (from, directory) = ((self.origin, sender), self.place.directory);
            if contacts::may_welcome(self.tx, directory, from, &welcome.group, &enrolled, self.now).await? {
                known.push(device.clone());
            }
        }
        if known.is_empty() {
            return Ok(Err(Refusal::new(ErrorCode::NotFound, "no device of this domain is welcomed")));
        }
        let GroupWelcome { group, epoch, start, accounts, .. } = &welcome;
        self.tx.members_join(group, &known, *epoch, *start, *accounts, self.now).await?;
        let notice = |device: &DeviceAddress| {
            let notice = Notice::Welcome {
                group: group.clone(),
                epoch: *epoch,
                welcome: welcome.welcome.clone(),
                sender: welcome.sender.clone(),
                start: *start,
            };
            (device.device, notice)
        };
        self.tell(&known.iter().map(notice).collect::<Vec<_>>()).await?;
        Ok(Ok(()))
    }

    /// A submit of our user, or an entry of our log, that the origin took not.
    async fn refused(&mut self, row: &Row) -> Stored<Answered<()>> {
        match SubmitRefused::from_bytes(&row.payload) {
            Ok(record) => {
                refused(self.tx, &self.place, self.origin, &record, row.id, self.now, self.effects).await
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    async fn tell(&mut self, notices: &[(DeviceId, Notice)]) -> Stored<()> {
        if notices.is_empty() {
            return Ok(());
        }
        for device in self.tx.mailbox_append(notices, self.now).await? {
            self.effects.wake(device, Feed::Mailbox);
        }
        Ok(())
    }

    /// Whether a member reads the log from this domain.
    pub(super) fn reads_here(&self, member: &Member) -> bool {
        member.left_seq.is_none() && self.is_ours(&member.device)
    }

    /// There is something new in a log.
    pub(super) fn wake_readers(&mut self, group: &GroupId, members: &[Member]) {
        for member in members {
            if self.reads_here(member) {
                self.effects.wake(member.device.device, Feed::Group(group.clone()));
            }
        }
    }

    fn is_ours(&self, device: &DeviceAddress) -> bool {
        *device.user.domain() == self.place.domain
    }
}

fn not_the_hub(origin: &Domain) -> Refusal {
    Refusal::new(ErrorCode::PolicyRefused, format!("`{origin}` does not order this group"))
}
