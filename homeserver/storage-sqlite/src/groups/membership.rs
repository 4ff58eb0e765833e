//! Who of a group reads how far.

use qpq_core::{DeviceAddress, DeviceId, GroupId, Seq, Timestamp};
use qpq_storage::Stored;

use super::append::KnownGroup;
use crate::{
    fields::each,
    transaction::{Transaction, int, json_list, position, size, sql, time},
};

impl Transaction {
    /// Begins memberships at `start`. `local` says whether the devices are this domain's; `None`: look each up.
    pub(super) async fn join(
        &mut self,
        group: &KnownGroup,
        devices: &[DeviceAddress],
        start: Seq,
        local: Option<bool>,
    ) -> Stored<()> {
        for device in devices {
            let replace = sql("REPLACE INTO members (group_pk, device, address, local, joined_seq,
                                                     acknowledged_seq, acknowledged_count, expired_after,
                                                     acknowledged_bytes, expired_bytes)
                               VALUES (?1, ?2, ?3,
                                   COALESCE(?4, EXISTS (SELECT 1 FROM devices
                                       WHERE id = ?2 AND address = ?3 AND revoked_at IS NULL)),
                                   ?5, ?5,
                                   COALESCE((SELECT running - counted FROM log
                                             WHERE group_pk = ?1 AND seq > ?5 ORDER BY seq LIMIT 1), ?6),
                                   (SELECT COUNT(*) FROM log
                                    WHERE group_pk = ?1 AND seq > ?5 AND kind = 2 AND counted = 1),
                                   COALESCE((SELECT running_bytes - bytes FROM log
                                             WHERE group_pk = ?1 AND seq > ?5 ORDER BY seq LIMIT 1), ?7),
                                   (SELECT COALESCE(SUM(bytes), 0) FROM log
                                    WHERE group_pk = ?1 AND seq > ?5 AND kind = 2 AND counted = 1))")
            .bind(group.pk)
            .bind(device.device.as_bytes().to_vec())
            .bind(device.to_string())
            .bind(local)
            .bind(position(start))
            .bind(int(group.waiting.messages))
            .bind(int(group.waiting.bytes));
            self.run("members_join", replace).await?;
        }
        Ok(())
    }

    /// Begins memberships that a Welcome names, unless it says nothing new: a repeat, or one from before a removal.
    pub(super) async fn join_by_welcome(
        &mut self,
        group: &KnownGroup,
        devices: &[DeviceAddress],
        epoch: u64,
        start: Seq,
    ) -> Stored<()> {
        let what = "members_join";
        let raise = sql("UPDATE mls_groups SET epoch = ?1 WHERE pk = ?2 AND epoch < ?1");
        self.run(what, raise.bind(int(epoch)).bind(group.pk)).await?;
        for device in devices {
            let stale = sql("SELECT 1 FROM members
                             WHERE group_pk = ?1 AND device = ?2 AND address = ?3
                               AND (joined_seq >= ?4 OR left_seq > ?4)")
            .bind(group.pk)
            .bind(device.device.as_bytes().to_vec())
            .bind(device.to_string())
            .bind(position(start));
            if self.row(what, stale).await?.is_none() {
                self.join(group, std::slice::from_ref(device), start, Some(true)).await?;
            }
        }
        Ok(())
    }

    /// Ends memberships by the commit at `seq`, unless that commit or a later one began them.
    pub(super) async fn leave(&mut self, group: i64, devices: &[DeviceAddress], seq: Seq) -> Stored<()> {
        for device in devices {
            let end = sql("UPDATE members SET left_seq = ?1
                           WHERE group_pk = ?2 AND device = ?3 AND address = ?4
                             AND left_seq IS NULL AND joined_seq < ?1")
            .bind(position(seq))
            .bind(group)
            .bind(device.device.as_bytes().to_vec())
            .bind(device.to_string());
            self.run("group_commit", end).await?;
        }
        Ok(())
    }

    pub(super) async fn cut_off(&mut self, group: &GroupId, devices: &[DeviceId]) -> Stored<()> {
        let update = sql("UPDATE members SET needs_resync = g.last_seq
                          FROM mls_groups g
                          WHERE g.id = ? AND members.group_pk = g.pk
                            AND members.local = 1 AND members.left_seq IS NULL AND members.needs_resync IS NULL
                            AND members.device IN (SELECT unhex(value) FROM json_each(?))")
        .bind(group.to_bytes())
        .bind(json_list(devices.iter().map(|device| *device.as_bytes())));
        self.run("members_cut_off", update).await.map(drop)
    }

    pub(super) async fn absent(
        &mut self,
        before: Timestamp,
        limit: usize,
    ) -> Stored<Vec<(GroupId, DeviceId)>> {
        let query = sql("SELECT g.id AS group_id, m.device
                         FROM members m JOIN mls_groups g ON g.pk = m.group_pk
                         WHERE m.local = 1 AND m.left_seq IS NULL AND m.needs_resync IS NULL
                           AND m.acknowledged_seq < g.last_seq AND g.accounts > 2
                           AND (SELECT l.at FROM log l
                                WHERE l.group_pk = m.group_pk AND l.seq > m.acknowledged_seq
                                ORDER BY l.seq LIMIT 1) < ?1
                         ORDER BY g.id, m.device LIMIT ?2")
        .bind(time(before))
        .bind(size(limit));
        let rows = self.rows_job("members_absent", query).await?;
        each("members", &rows, |row| Ok((row.group("group_id")?, DeviceId::from_bytes(row.bytes("device")?))))
    }

    pub(super) async fn leave_behind(&mut self, group: &GroupId, devices: &[DeviceAddress]) -> Stored<()> {
        for device in devices {
            let update = sql("UPDATE members SET needs_resync = g.last_seq
                              FROM mls_groups g
                              WHERE g.id = ? AND members.group_pk = g.pk
                                AND members.local = 0 AND members.left_seq IS NULL
                                AND members.needs_resync IS NULL
                                AND members.device = ? AND members.address = ?")
            .bind(group.to_bytes())
            .bind(device.device.as_bytes().to_vec())
            .bind(device.to_string());
            self.run("members_left_behind", update).await?;
        }
        Ok(())
    }
}
