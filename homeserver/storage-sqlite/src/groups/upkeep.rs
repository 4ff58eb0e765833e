//! What time does to a log: messages expire, entries that nobody needs go.

use qpq_core::{GroupId, MessageId, Timestamp};
use qpq_storage::Stored;

use crate::{
    fields::each,
    transaction::{Transaction, int, size, sql, time},
};

impl Transaction {
    pub(super) async fn expire_log(
        &mut self,
        now: Timestamp,
        limit: usize,
    ) -> Stored<Vec<(GroupId, MessageId)>> {
        let what = "log_expire";
        let query = sql("SELECT l.pk, l.group_pk, l.seq, l.id, l.bytes, g.id AS group_id
                         FROM log l JOIN mls_groups g ON g.pk = l.group_pk
                         WHERE l.kind = 0 AND l.expires_at <= ?
                         ORDER BY l.expires_at, g.id, l.seq LIMIT ?")
        .bind(time(now))
        .bind(size(limit));
        let rows = self.rows_job(what, query).await?;
        let due = each("log", &rows, |row| {
            let id = MessageId::from_bytes(row.bytes("id")?);
            let place = (row.int("pk")?, row.int("group_pk")?, row.int("seq")?);
            Ok((place, row.int("bytes")?, (row.group("group_id")?, id)))
        })?;
        let mut unread = Vec::new();
        for ((pk, group, seq), bytes, message) in due {
            let bury = sql("UPDATE log SET kind = 2, message = NULL WHERE pk = ?").bind(pk);
            self.run(what, bury).await?;
            let missed = sql("UPDATE members SET expired_after = expired_after + 1,
                                                 expired_bytes = expired_bytes + ?3
                              WHERE group_pk = ?1 AND local = 1 AND acknowledged_seq < ?2
                                AND ?2 <= COALESCE(needs_resync, left_seq, ?2)")
            .bind(group)
            .bind(seq)
            .bind(bytes);
            if self.run(what, missed).await? > 0 {
                unread.push(message);
            }
        }
        Ok(unread)
    }

    pub(super) async fn prune_log(
        &mut self,
        before: Timestamp,
        now: Timestamp,
        keep_commits: u64,
    ) -> Stored<u64> {
        let what = "log_prune";
        let delete = sql("DELETE FROM log WHERE pk IN (
                              SELECT l.pk FROM mls_groups g JOIN log l ON l.group_pk = g.pk
                              WHERE l.at < ?1
                                AND NOT (g.hubbed = 1 AND l.kind = 1 AND l.epoch >= g.epoch - ?2)
                                AND NOT EXISTS (
                                    SELECT 1 FROM members m
                                    WHERE m.group_pk = l.group_pk AND m.local = 1
                                      AND m.acknowledged_seq < l.seq
                                      AND l.seq <= COALESCE(m.needs_resync, m.left_seq, l.seq)))")
        .bind(time(before))
        .bind(int(keep_commits));
        let gone = self.run_job(what, delete).await?;
        let trees = sql("DELETE FROM group_trees WHERE until <= ?").bind(time(now));
        self.run_job(what, trees).await?;
        Ok(gone)
    }
}
