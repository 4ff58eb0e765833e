//! Who of a group reads how far.

use qpq_core::{DeviceAddress, DeviceId, GroupId, Seq};
use qpq_storage::Stored;

use super::append::KnownGroup;
use crate::transaction::{Transaction, int, json_list, position, sql};

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
                                                     acknowledged_seq, acknowledged_count, expired_after)
                               VALUES (?1, ?2, ?3,
                                   COALESCE(?4, EXISTS (SELECT 1 FROM devices
                                       WHERE id = ?2 AND address = ?3 AND revoked_at IS NULL)),
                                   ?5, ?5,
                                   COALESCE((SELECT running - counted FROM log
                                             WHERE group_pk = ?1 AND seq > ?5 ORDER BY seq LIMIT 1), ?6),
                                   (SELECT COUNT(*) FROM log
                                    WHERE group_pk = ?1 AND seq > ?5 AND kind = 2 AND counted = 1))")
            .bind(group.pk)
            .bind(device.device.as_bytes().to_vec())
            .bind(device.to_string())
            .bind(local)
            .bind(position(start))
            .bind(int(group.count));
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
