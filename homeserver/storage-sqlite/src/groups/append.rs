//! Growing a group's log: at the hub by numbering, elsewhere by copying.

use qpq_core::{DeviceAddress, GroupId, Seq, Timestamp};
use qpq_storage::{Backlog, Committed, EntryBody, GrantedCommit, Group, LogEntry, StateChunk, Stored};

use super::{APPLICATION, COMMIT, EXPIRED};
use crate::{
    fields::{Fields, one},
    transaction::{Transaction, int, position, sql, time},
};

/// A group's row, as far as the log needs it.
pub(super) struct KnownGroup {
    pub(super) pk: i64,
    pub(super) epoch: u64,
    pub(super) last: Seq,
    /// Application messages in its log so far.
    pub(super) waiting: Backlog,
}

fn known_group(row: Fields<'_>) -> Stored<KnownGroup> {
    Ok(KnownGroup {
        pk: row.int("pk")?,
        epoch: row.number("epoch")?,
        last: row.seq("last_seq")?,
        waiting: Backlog {
            messages: row.number("application_count")?,
            bytes: row.number("application_bytes")?,
        },
    })
}

/// An entry with what the log counts.
struct LogRow<'a> {
    group: i64,
    seq: Seq,
    counted: bool,
    bytes: u64,
    running: Backlog,
    entry: &'a LogEntry,
}

impl Transaction {
    pub(super) async fn create_group(
        &mut self,
        group: &Group,
        creator: &DeviceAddress,
        state: &[StateChunk],
        group_info: &[u8],
    ) -> Stored<bool> {
        if !self.insert_group(group, true).await? {
            return Ok(false);
        }
        let Some(known) = self.known_group(&group.id).await? else {
            return Err(self.conflict("group_create"));
        };
        self.join(&known, std::slice::from_ref(creator), known.last, None).await?;
        self.change_state(known.pk, state).await?;
        self.store_group_info(known.pk, group_info).await?;
        Ok(true)
    }

    pub(super) async fn commit_group(&mut self, commit: &GrantedCommit<'_>) -> Stored<Committed> {
        let what = "group_commit";
        // Compare and set in one statement.
        let advance = sql("UPDATE mls_groups SET epoch = epoch + 1, last_seq = last_seq + 1, accounts = ?
                           WHERE id = ? AND epoch = ? RETURNING pk, epoch, last_seq, application_count, application_bytes")
        .bind(commit.accounts)
        .bind(commit.group.to_bytes())
        .bind(int(commit.entry.epoch));
        let row = self.row(what, advance).await?;
        let Some(known) = one("mls_groups", row.as_ref(), known_group)? else {
            return match self.known_group(commit.group).await? {
                Some(known) => Ok(Committed::Stale { current: known.epoch }),
                None => Err(self.conflict(what)),
            };
        };
        self.insert_log(&known, std::iter::once((known.last, commit.entry))).await?;
        self.leave(known.pk, commit.removed, known.last).await?;
        self.join(&known, commit.added, known.last, None).await?;
        self.change_state(known.pk, commit.state).await?;
        self.store_group_info(known.pk, commit.group_info).await?;
        if let Some(tree) = commit.tree {
            let replace = sql("REPLACE INTO group_trees (group_pk, epoch, until, tree) VALUES (?, ?, ?, ?)")
                .bind(known.pk)
                .bind(int(known.epoch))
                .bind(time(commit.tree_until))
                .bind(tree.to_vec());
            self.run(what, replace).await?;
        }
        Ok(Committed::Granted(known.last))
    }

    pub(super) async fn append_to_log(&mut self, group: &GroupId, entries: &[LogEntry]) -> Stored<Vec<Seq>> {
        let what = "log_append";
        let added = entries.iter().fold(Backlog::default(), counted_with);
        let reserve = sql("UPDATE mls_groups
                           SET last_seq = last_seq + ?1, application_count = application_count + ?2,
                               application_bytes = application_bytes + ?3
                           WHERE id = ?4
                           RETURNING pk, epoch, last_seq - ?1 AS last_seq,
                                     application_count - ?2 AS application_count,
                                     application_bytes - ?3 AS application_bytes")
        .bind(crate::transaction::size(entries.len()))
        .bind(int(added.messages))
        .bind(int(added.bytes))
        .bind(group.to_bytes());
        let row = self.row(what, reserve).await?;
        let Some(before) = one("mls_groups", row.as_ref(), known_group)? else {
            return Err(self.conflict(what));
        };
        let numbers = (1..).map(|step| before.last.plus(step));
        let positions: Vec<Seq> = numbers.take(entries.len()).collect();
        self.insert_log(&before, positions.iter().copied().zip(entries)).await?;
        Ok(positions)
    }

    pub(super) async fn copy_to_log(
        &mut self,
        group: &GroupId,
        entries: &[LogEntry],
        removed: &[DeviceAddress],
        accounts: u32,
        now: Timestamp,
    ) -> Stored<()> {
        let what = "log_copy";
        let known = self.group_or_first_seen(group, 0, Seq::ZERO, accounts, now).await?;
        let new: Vec<&LogEntry> = entries.iter().filter(|entry| entry.seq > known.last).collect();
        let Some(last) = new.last().map(|entry| entry.seq) else { return Ok(()) };
        let commits = || new.iter().filter(|entry| matches!(entry.body, EntryBody::Commit { .. }));
        let epoch = commits().map(|entry| entry.epoch.saturating_add(1)).max().unwrap_or(0);
        let waiting = new.iter().copied().fold(known.waiting, counted_with);
        self.insert_log(&known, new.iter().map(|entry| (entry.seq, *entry))).await?;
        let advance = sql("UPDATE mls_groups SET last_seq = ?, application_count = ?, application_bytes = ?,
                                                 epoch = MAX(epoch, ?), accounts = ?
                           WHERE pk = ?")
        .bind(position(last))
        .bind(int(waiting.messages))
        .bind(int(waiting.bytes))
        .bind(int(epoch))
        .bind(accounts)
        .bind(known.pk);
        self.run(what, advance).await?;
        // Who joined by a Welcome that overtook these entries starts after them.
        let recount = sql("UPDATE members SET acknowledged_count = COALESCE(
                               (SELECT running - counted FROM log
                                WHERE group_pk = ?1 AND seq > members.acknowledged_seq ORDER BY seq LIMIT 1), ?2),
                               acknowledged_bytes = COALESCE(
                               (SELECT running_bytes - bytes FROM log
                                WHERE group_pk = ?1 AND seq > members.acknowledged_seq ORDER BY seq LIMIT 1), ?3)
                           WHERE group_pk = ?1 AND acknowledged_seq > ?4")
        .bind(known.pk)
        .bind(int(waiting.messages))
        .bind(int(waiting.bytes))
        .bind(position(known.last));
        self.run(what, recount).await?;
        let left = commits().next_back().map_or(last, |entry| entry.seq);
        self.leave(known.pk, removed, left).await
    }

    /// The group, which is made first if it is new here.
    pub(super) async fn group_or_first_seen(
        &mut self,
        id: &GroupId,
        epoch: u64,
        start: Seq,
        accounts: u32,
        now: Timestamp,
    ) -> Stored<KnownGroup> {
        if let Some(known) = self.known_group(id).await? {
            return Ok(known);
        }
        let group =
            Group { id: id.clone(), epoch, last_seq: start, application_count: 0, accounts, created_at: now };
        self.insert_group(&group, false).await?;
        match self.known_group(id).await? {
            Some(known) => Ok(known),
            None => Err(self.conflict("first_seen")),
        }
    }

    pub(super) async fn known_group(&mut self, id: &GroupId) -> Stored<Option<KnownGroup>> {
        let query = sql("SELECT pk, epoch, last_seq, application_count, application_bytes
                         FROM mls_groups WHERE id = ?")
        .bind(id.to_bytes());
        let row = self.row("group", query).await?;
        one("mls_groups", row.as_ref(), known_group)
    }

    async fn insert_group(&mut self, group: &Group, hubbed: bool) -> Stored<bool> {
        let insert = sql("INSERT INTO mls_groups (id, hubbed, epoch, last_seq, application_count, accounts,
                                                  created_at)
                          VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING")
        .bind(group.id.to_bytes())
        .bind(hubbed)
        .bind(int(group.epoch))
        .bind(position(group.last_seq))
        .bind(int(group.application_count))
        .bind(group.accounts)
        .bind(time(group.created_at));
        Ok(self.run("group_create", insert).await? > 0)
    }

    /// Writes entries at their positions, behind what the group is known to have.
    async fn insert_log(
        &mut self,
        group: &KnownGroup,
        entries: impl Iterator<Item = (Seq, &LogEntry)> + Send,
    ) -> Stored<()> {
        let mut running = group.waiting;
        let mut rows = Vec::new();
        for (seq, entry) in entries {
            let before = running;
            running = counted_with(running, entry);
            let (counted, bytes) =
                (running.messages > before.messages, running.bytes.saturating_sub(before.bytes));
            rows.push(LogRow { group: group.pk, seq, counted, bytes, running, entry });
        }
        let head =
            "INSERT INTO log (group_pk, seq, id, epoch, at, expires_at, kind, counted, running, bytes, running_bytes,
                              sender, signature, message) VALUES";
        self.insert_all("log_append", head, 14, &rows, |statement, row| {
            let (kind, sender, signature, message) = match &row.entry.body {
                EntryBody::Application { message } => (APPLICATION, None, None, Some(message.clone())),
                EntryBody::Commit { message, sender, signature } => {
                    (COMMIT, Some(sender.to_string()), Some(signature.to_vec()), Some(message.clone()))
                }
                EntryBody::Expired => (EXPIRED, None, None, None),
            };
            statement
                .bind(row.group)
                .bind(position(row.seq))
                .bind(row.entry.id.as_bytes().to_vec())
                .bind(int(row.entry.epoch))
                .bind(time(row.entry.at))
                .bind(row.entry.expires_at.map(time))
                .bind(kind)
                .bind(row.counted)
                .bind(int(row.running.messages))
                .bind(int(row.bytes))
                .bind(int(row.running.bytes))
                .bind(sender)
                .bind(signature)
                .bind(message)
        })
        .await
    }

    async fn change_state(&mut self, group: i64, changes: &[StateChunk]) -> Stored<()> {
        let what = "group_commit";
        for change in changes {
            let statement = match &change.bytes {
                Some(bytes) => {
                    sql("REPLACE INTO group_state (bytes, group_pk, key, number) VALUES (?, ?, ?, ?)")
                        .bind(bytes.clone())
                }
                None => sql("DELETE FROM group_state WHERE group_pk = ? AND key = ? AND number = ?"),
            };
            self.run(what, statement.bind(group).bind(change.key.clone()).bind(change.number)).await?;
        }
        Ok(())
    }

    async fn store_group_info(&mut self, group: i64, info: &[u8]) -> Stored<()> {
        let replace = sql("REPLACE INTO group_infos (group_pk, group_info) VALUES (?, ?)")
            .bind(group)
            .bind(info.to_vec());
        self.run("group_commit", replace).await.map(drop)
    }
}

/// What a log has of application messages, with one more entry.
fn counted_with(so_far: Backlog, entry: &LogEntry) -> Backlog {
    match &entry.body {
        EntryBody::Application { message } => Backlog {
            messages: so_far.messages.saturating_add(1),
            bytes: so_far.bytes.saturating_add(u64::try_from(message.len()).unwrap_or(u64::MAX)),
        },
        EntryBody::Commit { .. } | EntryBody::Expired => so_far,
    }
}
