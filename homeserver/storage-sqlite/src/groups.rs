//! Groups: what is read of them; changes and upkeep are in files of their own.

mod append;
mod membership;
mod upkeep;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use qpq_core::{DeviceAddress, DeviceId, GroupId, MessageId, Seq, Timestamp};
use qpq_storage::{
    Committed, EntryBody, GrantedCommit, Group, GroupsRead, GroupsWrite, LogEntry, Member, StateChunk, Stored,
};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, position, size, sql},
};

/// `log.kind` of an application message.
const APPLICATION: i64 = 0;
/// `log.kind` of a commit.
const COMMIT: i64 = 1;
/// `log.kind` of an expired message.
const EXPIRED: i64 = 2;

fn group(row: Fields<'_>) -> Stored<Group> {
    Ok(Group {
        id: row.group("id")?,
        epoch: row.number("epoch")?,
        last_seq: row.seq("last_seq")?,
        application_count: row.number("application_count")?,
        accounts: row.number("accounts")?,
        created_at: row.time("created_at")?,
    })
}

fn member(row: Fields<'_>) -> Stored<Member> {
    Ok(Member {
        device: row.parsed("address")?,
        joined_seq: row.seq("joined_seq")?,
        left_seq: row.optional_seq("left_seq")?,
        needs_resync: row.optional_seq("needs_resync")?,
    })
}

fn entry(row: Fields<'_>) -> Stored<LogEntry> {
    let body = match row.int("kind")? {
        APPLICATION => EntryBody::Application { message: row.blob("message")? },
        COMMIT => EntryBody::Commit {
            message: row.blob("message")?,
            sender: row.parsed("sender")?,
            signature: row.bytes("signature")?,
        },
        EXPIRED => EntryBody::Expired,
        other => return Err(row.corrupt("kind", &other)),
    };
    Ok(LogEntry {
        seq: row.seq("seq")?,
        id: MessageId::from_bytes(row.bytes("id")?),
        epoch: row.number("epoch")?,
        at: row.time("at")?,
        expires_at: row.optional_time("expires_at")?,
        body,
    })
}

/// How much of an entry counts towards the size of a page of the log.
const fn weight(body: &EntryBody) -> usize {
    match body {
        EntryBody::Application { message } | EntryBody::Commit { message, .. } => message.len(),
        EntryBody::Expired => 0,
    }
}

#[async_trait]
impl GroupsRead for Transaction {
    async fn group(&mut self, id: &GroupId) -> Stored<Option<Group>> {
        let query = sql("SELECT pk, id, epoch, last_seq, application_count, accounts, created_at
                         FROM mls_groups WHERE id = ?")
        .bind(id.to_bytes());
        let row = self.row("group", query).await?;
        one("mls_groups", row.as_ref(), group)
    }

    async fn groups_elsewhere(&mut self) -> Stored<Vec<GroupId>> {
        let query = sql("SELECT id FROM mls_groups WHERE hubbed = 0");
        let rows = self.rows("groups_elsewhere", query).await?;
        let mut found = each("mls_groups", &rows, |row| row.group("id"))?;
        found.sort_unstable();
        Ok(found)
    }

    async fn members_absent(&mut self, before: Timestamp, limit: usize) -> Stored<Vec<(GroupId, DeviceId)>> {
        self.absent(before, limit).await
    }

    async fn members(&mut self, group: &GroupId) -> Stored<Vec<Member>> {
        let query = sql("SELECT m.address, m.joined_seq, m.left_seq, m.needs_resync
                         FROM mls_groups g JOIN members m ON m.group_pk = g.pk WHERE g.id = ?")
        .bind(group.to_bytes());
        let mut found = each("members", &self.rows("members", query).await?, member)?;
        found.sort_by(|a, b| a.device.cmp(&b.device));
        Ok(found)
    }

    async fn member(&mut self, group: &GroupId, device: &DeviceId) -> Stored<Option<Member>> {
        // Only a foreign device that bears the id of one of ours makes two rows; ours is meant.
        let query = sql("SELECT m.address, m.joined_seq, m.left_seq, m.needs_resync
                         FROM mls_groups g JOIN members m ON m.group_pk = g.pk
                         WHERE g.id = ? AND m.device = ? ORDER BY m.local DESC, m.address LIMIT 1")
        .bind(group.to_bytes())
        .bind(device.as_bytes().to_vec());
        let row = self.row("member", query).await?;
        one("members", row.as_ref(), member)
    }

    async fn log_after(
        &mut self,
        group: &GroupId,
        after: Seq,
        limit: usize,
        bytes: usize,
    ) -> Stored<Vec<LogEntry>> {
        let what = "log_after";
        let query =
            sql("SELECT l.pk, l.seq, l.id, l.epoch, l.at, l.expires_at, l.kind, l.sender, l.signature,
                                l.message
                         FROM mls_groups g JOIN log l ON l.group_pk = g.pk
                         WHERE g.id = ? AND l.seq > ? ORDER BY l.seq LIMIT ?")
            .bind(group.to_bytes())
            .bind(position(after))
            .bind(size(limit));
        let mut taken = 0;
        let mut found = Vec::new();
        let mut failed = None;
        {
            let mut rows = query.fetch(self.connection(what, false)?);
            loop {
                match rows.try_next().await {
                    Ok(Some(row)) => {
                        let next = entry(Fields::of("log", &row))?;
                        taken += weight(&next.body);
                        if taken > bytes && !found.is_empty() {
                            break;
                        }
                        found.push(next);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
        }
        self.checked(what, failed.map_or(Ok(found), Err))
    }

    async fn group_state(&mut self, group: &GroupId) -> Stored<Vec<StateChunk>> {
        let query = sql("SELECT s.key, s.number, s.bytes FROM mls_groups g
                         JOIN group_state s ON s.group_pk = g.pk WHERE g.id = ? ORDER BY s.key, s.number")
        .bind(group.to_bytes());
        each("group_state", &self.rows("group_state", query).await?, |row| {
            Ok(StateChunk {
                key: row.blob("key")?,
                number: row.number("number")?,
                bytes: Some(row.blob("bytes")?),
            })
        })
    }

    async fn group_info(&mut self, group: &GroupId) -> Stored<Option<Vec<u8>>> {
        let query = sql("SELECT i.group_pk, i.group_info FROM mls_groups g
                         JOIN group_infos i ON i.group_pk = g.pk WHERE g.id = ?")
        .bind(group.to_bytes());
        let row = self.row("group_info", query).await?;
        one("group_infos", row.as_ref(), |row| row.blob("group_info"))
    }

    async fn group_tree(&mut self, group: &GroupId, epoch: u64) -> Stored<Option<Vec<u8>>> {
        let query = sql("SELECT t.group_pk, t.tree FROM mls_groups g
                         JOIN group_trees t ON t.group_pk = g.pk WHERE g.id = ? AND t.epoch = ?")
        .bind(group.to_bytes())
        .bind(crate::transaction::int(epoch));
        let row = self.row("group_tree", query).await?;
        one("group_trees", row.as_ref(), |row| row.blob("tree"))
    }
}

#[async_trait]
impl GroupsWrite for Transaction {
    async fn group_create(
        &mut self,
        group: &Group,
        creator: &DeviceAddress,
        state: &[StateChunk],
        group_info: &[u8],
    ) -> Stored<bool> {
        self.create_group(group, creator, state, group_info).await
    }

    async fn group_commit(&mut self, commit: &GrantedCommit<'_>) -> Stored<Committed> {
        self.commit_group(commit).await
    }

    async fn log_append(&mut self, group: &GroupId, entries: &[LogEntry]) -> Stored<Vec<Seq>> {
        self.append_to_log(group, entries).await
    }

    async fn log_copy(
        &mut self,
        group: &GroupId,
        entries: &[LogEntry],
        removed: &[DeviceAddress],
        accounts: u32,
        now: Timestamp,
    ) -> Stored<()> {
        self.copy_to_log(group, entries, removed, accounts, now).await
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
        let known = self.group_or_first_seen(group, epoch, start, accounts, now).await?;
        self.join_by_welcome(&known, devices, epoch, start).await
    }

    async fn members_cut_off(&mut self, group: &GroupId, devices: &[DeviceId]) -> Stored<()> {
        self.cut_off(group, devices).await
    }

    async fn members_left_behind(&mut self, group: &GroupId, devices: &[DeviceAddress]) -> Stored<()> {
        self.leave_behind(group, devices).await
    }

    async fn logs_leap(&mut self, places: u64) -> Stored<()> {
        let update = sql("UPDATE mls_groups SET last_seq = last_seq + ? WHERE hubbed = 1")
            .bind(crate::transaction::int(places));
        self.run("logs_leap", update).await.map(drop)
    }

    async fn log_expire(&mut self, now: Timestamp, limit: usize) -> Stored<Vec<(GroupId, MessageId)>> {
        self.expire_log(now, limit).await
    }

    async fn log_prune(&mut self, before: Timestamp, now: Timestamp, keep_commits: u64) -> Stored<u64> {
        self.prune_log(before, now, keep_commits).await
    }
}
