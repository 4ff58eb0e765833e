//! One group's data: its log, and who of its members reads how far.

use std::{collections::BTreeMap, sync::Arc};

use qpq_core::{DeviceAddress, DeviceId, GroupId, MessageId, Seq, Timestamp};

use crate::{Backlog, EntryBody, Group, LogEntry, Member, StateChunk};

#[derive(Clone)]
pub(in crate::memory) struct Membership {
    pub(in crate::memory) member: Member,
    /// Whether the device is one of this domain's, and so reads from the log here.
    pub(in crate::memory) local: bool,
    pub(in crate::memory) acknowledged: Seq,
}

impl Membership {
    /// Whether new entries are delivered to it.
    pub(in crate::memory) const fn is_active(&self) -> bool {
        self.member.left_seq.is_none() && self.member.needs_resync.is_none()
    }

    /// The last position it may read, in a log that ends at `last`.
    pub(in crate::memory) fn end(&self, last: Seq) -> Seq {
        let end = self.member.needs_resync.or(self.member.left_seq).unwrap_or(last);
        end.max(self.acknowledged)
    }

    fn waits_for(&self, seq: Seq, last: Seq) -> bool {
        self.local && self.acknowledged < seq && seq <= self.end(last)
    }
}

#[derive(Clone)]
pub(in crate::memory) struct LogRow {
    pub(in crate::memory) entry: Arc<LogEntry>,
}

#[derive(Clone)]
pub(in crate::memory) struct GroupData {
    pub(in crate::memory) group: Group,
    pub(super) hubbed: bool,
    pub(in crate::memory) members: BTreeMap<DeviceAddress, Membership>,
    pub(in crate::memory) log: BTreeMap<Seq, LogRow>,
    pub(in crate::memory) state: BTreeMap<(Vec<u8>, u32), Vec<u8>>,
    pub(in crate::memory) info: Option<Vec<u8>>,
    pub(in crate::memory) trees: BTreeMap<u64, (Vec<u8>, Timestamp)>,
}

impl GroupData {
    pub(super) const fn new(group: Group, hubbed: bool) -> Self {
        Self {
            group,
            hubbed,
            members: BTreeMap::new(),
            log: BTreeMap::new(),
            state: BTreeMap::new(),
            info: None,
            trees: BTreeMap::new(),
        }
    }

    /// A group that another domain orders, when it is first heard of.
    pub(super) fn first_seen(id: &GroupId, epoch: u64, start: Seq, accounts: u32, now: Timestamp) -> Group {
        Group { id: id.clone(), epoch, last_seq: start, application_count: 0, accounts, created_at: now }
    }

    /// The memberships of a device id; there can be several only if another domain's device bears the same id.
    fn all_of(&self, device: DeviceId) -> impl Iterator<Item = &Membership> {
        self.members.values().filter(move |membership| membership.member.device.device == device)
    }

    /// The membership of this domain's device of that id.
    pub(in crate::memory) fn local_of(&self, device: &DeviceId) -> Option<&Membership> {
        self.all_of(*device).find(|membership| membership.local)
    }

    pub(super) fn of(&self, device: &DeviceId) -> Option<&Membership> {
        self.local_of(device).or_else(|| self.all_of(*device).next())
    }

    pub(super) fn forget_device(&mut self, device: &DeviceId) {
        let last = self.group.last_seq;
        for membership in self.members.values_mut() {
            if membership.local && membership.member.device.device == *device {
                membership.member.left_seq.get_or_insert(last);
                membership.acknowledged = membership.acknowledged.max(membership.end(last));
            }
        }
    }

    /// Numbers an entry and appends it.
    pub(super) fn append(&mut self, entry: LogEntry) -> Seq {
        let seq = self.group.last_seq.next();
        self.copy(LogEntry { seq, ..entry });
        seq
    }

    /// Appends an entry under the number that it has.
    pub(super) fn copy(&mut self, entry: LogEntry) {
        if matches!(entry.body, EntryBody::Application { .. }) {
            self.group.application_count += 1;
        }
        self.group.last_seq = entry.seq;
        self.log.insert(entry.seq, LogRow { entry: Arc::new(entry) });
    }

    /// Whether a Welcome that starts at `start` says something new: not a repeat, not one from before a removal.
    pub(super) fn may_join(&self, device: &DeviceAddress, start: Seq) -> bool {
        self.members.get(device).is_none_or(|known| {
            known.member.joined_seq < start && known.member.left_seq.is_none_or(|left| left <= start)
        })
    }

    pub(super) fn join(&mut self, device: &DeviceAddress, start: Seq, local: bool) {
        let member = Member { device: device.clone(), joined_seq: start, left_seq: None, needs_resync: None };
        self.members.insert(device.clone(), Membership { member, local, acknowledged: start });
    }

    /// Ends a membership by the commit at `seq`, unless that commit or a later one began it.
    pub(super) fn leave(&mut self, device: &DeviceAddress, seq: Seq) {
        if let Some(membership) = self.members.get_mut(device)
            && membership.member.joined_seq < seq
        {
            membership.member.left_seq.get_or_insert(seq);
        }
    }

    /// Devices of this domain that follow it and have not acknowledged what was stored before a time.
    pub(super) fn absent(&self, before: Timestamp) -> impl Iterator<Item = DeviceId> {
        let ours = self.members.values().filter(|known| known.local && known.is_active());
        let first = |known: &&Membership| self.log.range(known.acknowledged.next()..).next();
        let absent = ours.filter(move |known| first(known).is_some_and(|(_, row)| row.entry.at < before));
        absent.map(|known| known.member.device.device)
    }

    pub(super) fn change_state(&mut self, changes: &[StateChunk]) {
        for change in changes {
            let key = (change.key.clone(), change.number);
            match &change.bytes {
                Some(bytes) => self.state.insert(key, bytes.clone()),
                None => self.state.remove(&key),
            };
        }
    }

    /// Application entries whose time is over.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, Seq)> {
        self.log.values().filter_map(move |row| match row.entry.body {
            EntryBody::Application { .. } => {
                row.entry.expires_at.filter(|end| *end <= now).map(|end| (end, row.entry.seq))
            }
            EntryBody::Commit { .. } | EntryBody::Expired => None,
        })
    }

    /// Drops an entry's message; its id if some device here had not acknowledged it.
    pub(super) fn expire(&mut self, seq: Seq) -> Option<MessageId> {
        let last = self.group.last_seq;
        let row = self.log.get_mut(&seq)?;
        Arc::make_mut(&mut row.entry).body = EntryBody::Expired;
        let id = row.entry.id;
        self.members.values().any(|membership| membership.waits_for(seq, last)).then_some(id)
    }

    pub(super) fn prune(&mut self, before: Timestamp, now: Timestamp, keep_commits: u64) -> u64 {
        let (members, group, hubbed) = (&self.members, &self.group, self.hubbed);
        let len = self.log.len();
        self.log.retain(|seq, row| {
            let commit = matches!(row.entry.body, EntryBody::Commit { .. });
            row.entry.at >= before
                || (hubbed && commit && row.entry.epoch.saturating_add(keep_commits) >= group.epoch)
                || members.values().any(|membership| membership.waits_for(*seq, group.last_seq))
        });
        self.trees.retain(|_, (_, until)| *until > now);
        u64::try_from(len - self.log.len()).unwrap_or(u64::MAX)
    }

    /// Application messages that a device has not acknowledged.
    pub(in crate::memory) fn backlog(&self, membership: &Membership) -> Backlog {
        let mut backlog = Backlog::default();
        for (_, row) in self.log.range(membership.acknowledged.next()..) {
            if let EntryBody::Application { message } = &row.entry.body {
                backlog.messages = backlog.messages.saturating_add(1);
                backlog.bytes =
                    backlog.bytes.saturating_add(u64::try_from(message.len()).unwrap_or(u64::MAX));
            }
        }
        backlog
    }
}
