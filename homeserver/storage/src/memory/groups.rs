//! Groups and their logs, in memory.

mod data;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{DeviceAddress, DeviceId, GroupId, MessageId, Seq, Timestamp};

use super::MemoryTx;
use crate::{
    Committed, EntryBody, GrantedCommit, Group, GroupsRead, GroupsWrite, LogEntry, Member, StateChunk, Stored,
};

pub(super) use data::{GroupData, Membership};

/// All groups.
#[derive(Clone, Default)]
pub(super) struct Groups(pub(super) BTreeMap<GroupId, Arc<GroupData>>);

impl Groups {
    fn data(&mut self, id: &GroupId) -> Option<&mut GroupData> {
        self.0.get_mut(id).map(Arc::make_mut)
    }

    /// Ends all memberships of a device of this domain; it reads nothing more.
    pub(super) fn forget_device(&mut self, device: &DeviceId) {
        for group in self.0.values_mut() {
            if group.local_of(device).is_some() {
                Arc::make_mut(group).forget_device(device);
            }
        }
    }
}

#[async_trait]
impl GroupsRead for MemoryTx {
    async fn group(&mut self, id: &GroupId) -> Stored<Option<Group>> {
        Ok(self.state.groups.0.get(id).map(|data| data.group.clone()))
    }

    async fn groups_elsewhere(&mut self) -> Stored<Vec<GroupId>> {
        let elsewhere = self.state.groups.0.iter().filter(|(_, data)| !data.hubbed);
        let mut found: Vec<GroupId> = elsewhere.map(|(id, _)| id.clone()).collect();
        found.sort_unstable();
        Ok(found)
    }

    async fn members_absent(&mut self, before: Timestamp, limit: usize) -> Stored<Vec<(GroupId, DeviceId)>> {
        let mut absent = Vec::new();
        for (id, data) in self.state.groups.0.iter().filter(|(_, data)| data.group.accounts > 2) {
            absent.extend(data.absent(before).map(|device| (id.clone(), device)));
        }
        absent.sort_by(|(one, device), (other, another)| {
            (one.to_bytes(), device).cmp(&(other.to_bytes(), another))
        });
        absent.truncate(limit);
        Ok(absent)
    }

    async fn members(&mut self, group: &GroupId) -> Stored<Vec<Member>> {
        let data = self.state.groups.0.get(group);
        Ok(data.map(|data| data.members.values().map(|m| m.member.clone()).collect()).unwrap_or_default())
    }

    async fn member(&mut self, group: &GroupId, device: &DeviceId) -> Stored<Option<Member>> {
        let data = self.state.groups.0.get(group);
        Ok(data.and_then(|data| data.of(device)).map(|membership| membership.member.clone()))
    }

    async fn log_after(
        &mut self,
        group: &GroupId,
        after: Seq,
        limit: usize,
        bytes: usize,
    ) -> Stored<Vec<LogEntry>> {
        let Some(data) = self.state.groups.0.get(group) else { return Ok(Vec::new()) };
        let mut taken = 0;
        let mut entries = Vec::new();
        for (_, row) in data.log.range(after.next()..).take(limit) {
            taken += match &row.entry.body {
                EntryBody::Application { message } | EntryBody::Commit { message, .. } => message.len(),
                EntryBody::Expired => 0,
            };
            if taken > bytes && !entries.is_empty() {
                break;
            }
            entries.push((*row.entry).clone());
        }
        Ok(entries)
    }

    async fn group_state(&mut self, group: &GroupId) -> Stored<Vec<StateChunk>> {
        let Some(data) = self.state.groups.0.get(group) else { return Ok(Vec::new()) };
        let chunk = |((key, number), bytes): (&(Vec<u8>, u32), &Vec<u8>)| StateChunk {
            key: key.clone(),
            number: *number,
            bytes: Some(bytes.clone()),
        };
        Ok(data.state.iter().map(chunk).collect())
    }

    async fn group_info(&mut self, group: &GroupId) -> Stored<Option<Vec<u8>>> {
        Ok(self.state.groups.0.get(group).and_then(|data| data.info.clone()))
    }

    async fn group_tree(&mut self, group: &GroupId, epoch: u64) -> Stored<Option<Vec<u8>>> {
        let data = self.state.groups.0.get(group);
        Ok(data.and_then(|data| data.trees.get(&epoch)).map(|(tree, _)| tree.clone()))
    }
}

#[async_trait]
impl GroupsWrite for MemoryTx {
    async fn group_create(
        &mut self,
        group: &Group,
        creator: &DeviceAddress,
        state: &[StateChunk],
        group_info: &[u8],
    ) -> Stored<bool> {
        if self.state.groups.0.contains_key(&group.id) {
            return Ok(false);
        }
        let local = self.state.accounts.is_local(creator);
        let mut data = GroupData::new(group.clone(), true);
        data.join(creator, group.last_seq, local);
        data.change_state(state);
        data.info = Some(group_info.to_vec());
        Arc::make_mut(&mut self.state.groups).0.insert(group.id.clone(), Arc::new(data));
        Ok(true)
    }

    async fn group_commit(&mut self, commit: &GrantedCommit<'_>) -> Stored<Committed> {
        let accounts = Arc::clone(&self.state.accounts);
        let planted = self.planted;
        let Some(data) = Arc::make_mut(&mut self.state.groups).data(commit.group) else {
            return Err(self.conflict("group_commit"));
        };
        if commit.entry.epoch != data.group.epoch && !planted.epoch_ignored() {
            return Ok(Committed::Stale { current: data.group.epoch });
        }
        let seq = data.append(commit.entry.clone());
        data.group.epoch = data.group.epoch.saturating_add(1);
        data.group.accounts = commit.accounts;
        for device in commit.removed {
            data.leave(device, seq);
        }
        for device in commit.added {
            data.join(device, seq, accounts.is_local(device));
        }
        data.change_state(commit.state);
        data.info = Some(commit.group_info.to_vec());
        if let Some(tree) = commit.tree {
            data.trees.insert(data.group.epoch, (tree.to_vec(), commit.tree_until));
        }
        Ok(Committed::Granted(seq))
    }

    async fn log_append(&mut self, group: &GroupId, entries: &[LogEntry]) -> Stored<Vec<Seq>> {
        let Some(data) = Arc::make_mut(&mut self.state.groups).data(group) else {
            return Err(self.conflict("log_append"));
        };
        Ok(entries.iter().map(|entry| data.append(entry.clone())).collect())
    }

    async fn log_copy(
        &mut self,
        group: &GroupId,
        entries: &[LogEntry],
        removed: &[DeviceAddress],
        accounts: u32,
        now: Timestamp,
    ) -> Stored<()> {
        let groups = Arc::make_mut(&mut self.state.groups);
        let data = groups.0.entry(group.clone()).or_insert_with(|| {
            Arc::new(GroupData::new(GroupData::first_seen(group, 0, Seq::ZERO, accounts, now), false))
        });
        let data = Arc::make_mut(data);
        let before = data.group.last_seq;
        let mut last_commit = None;
        for entry in entries.iter().filter(|entry| entry.seq > before) {
            if matches!(entry.body, EntryBody::Commit { .. }) {
                data.group.epoch = data.group.epoch.max(entry.epoch.saturating_add(1));
                last_commit = Some(entry.seq);
            }
            data.copy(entry.clone());
        }
        if data.group.last_seq > before {
            data.group.accounts = accounts;
            for device in removed {
                data.leave(device, last_commit.unwrap_or(data.group.last_seq));
            }
        }
        Ok(())
    }

    async fn members_join(
        &mut self,
        group: &GroupId,
        devices: &[DeviceAddress],
        epoch: u64,
        start: Seq,
        accounts: u32,
        now: Timestamp,
    ) -> Stored<()> {
        let groups = Arc::make_mut(&mut self.state.groups);
        let data = groups.0.entry(group.clone()).or_insert_with(|| {
            Arc::new(GroupData::new(GroupData::first_seen(group, epoch, start, accounts, now), false))
        });
        let data = Arc::make_mut(data);
        data.group.epoch = data.group.epoch.max(epoch);
        for device in devices {
            if data.may_join(device, start) {
                data.join(device, start, true);
            }
        }
        Ok(())
    }

    async fn members_cut_off(&mut self, group: &GroupId, devices: &[DeviceId]) -> Stored<()> {
        if let Some(data) = Arc::make_mut(&mut self.state.groups).data(group) {
            let last = data.group.last_seq;
            for membership in data.members.values_mut() {
                if membership.local
                    && devices.contains(&membership.member.device.device)
                    && membership.is_active()
                {
                    membership.member.needs_resync = Some(last);
                }
            }
        }
        Ok(())
    }

    async fn members_left_behind(&mut self, group: &GroupId, devices: &[DeviceAddress]) -> Stored<()> {
        let Some(data) = Arc::make_mut(&mut self.state.groups).data(group) else { return Ok(()) };
        let last = data.group.last_seq;
        for device in devices {
            let membership = data.members.get_mut(device);
            if let Some(membership) = membership.filter(|known| !known.local && known.is_active()) {
                membership.member.needs_resync = Some(last);
            }
        }
        Ok(())
    }

    async fn logs_leap(&mut self, places: u64) -> Stored<()> {
        let groups = Arc::make_mut(&mut self.state.groups);
        for data in groups.0.values_mut().filter(|data| data.hubbed) {
            let data = Arc::make_mut(data);
            data.group.last_seq = data.group.last_seq.plus(places);
        }
        Ok(())
    }

    async fn log_expire(&mut self, now: Timestamp, limit: usize) -> Stored<Vec<(GroupId, MessageId)>> {
        let groups = Arc::make_mut(&mut self.state.groups);
        let mut due: Vec<(Timestamp, GroupId, Seq)> = Vec::new();
        for (id, data) in &groups.0 {
            due.extend(data.due(now).map(|(end, seq)| (end, id.clone(), seq)));
        }
        due.sort();
        due.truncate(limit);
        let mut unread = Vec::new();
        for (_, id, seq) in due {
            if let Some(message) = groups.data(&id).and_then(|data| data.expire(seq)) {
                unread.push((id, message));
            }
        }
        Ok(unread)
    }

    async fn log_prune(&mut self, before: Timestamp, now: Timestamp, keep_commits: u64) -> Stored<u64> {
        let mut gone = 0;
        for data in Arc::make_mut(&mut self.state.groups).0.values_mut() {
            gone += Arc::make_mut(data).prune(before, now, keep_commits);
        }
        Ok(gone)
    }
}
