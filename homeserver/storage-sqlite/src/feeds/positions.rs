//! Moving a device's positions forward.

use std::collections::BTreeMap;

use qpq_core::{DeviceId, GroupId, Seq};
use qpq_storage::{Feed, Stored};

use crate::transaction::{Transaction, position, sql};

impl Transaction {
    pub(super) async fn acknowledge_positions(
        &mut self,
        device: &DeviceId,
        positions: &[(Feed, Seq)],
    ) -> Stored<()> {
        let mut mailbox = Seq::ZERO;
        let mut groups: BTreeMap<&GroupId, Seq> = BTreeMap::new();
        for (feed, seq) in positions {
            match feed {
                Feed::Mailbox => mailbox = mailbox.max(*seq),
                Feed::Group(group) => {
                    let highest = groups.entry(group).or_default();
                    *highest = (*highest).max(*seq);
                }
            }
        }
        if mailbox > Seq::ZERO {
            self.acknowledge_mailbox(device, mailbox).await?;
        }
        for (group, seq) in groups {
            self.acknowledge_group(device, group, seq).await?;
        }
        Ok(())
    }

    async fn acknowledge_mailbox(&mut self, device: &DeviceId, seq: Seq) -> Stored<()> {
        let what = "feeds_acknowledge";
        let advance = sql("UPDATE devices SET mailbox_acknowledged = MIN(?1, mailbox_last)
                           WHERE id = ?2 AND mailbox_acknowledged < MIN(?1, mailbox_last)")
        .bind(position(seq))
        .bind(device.as_bytes().to_vec());
        if self.run(what, advance).await? > 0 {
            let forget = sql("DELETE FROM mailbox WHERE device = ?1 AND seq <= ?2");
            let forget = forget.bind(device.as_bytes().to_vec()).bind(position(seq));
            self.run(what, forget).await?;
        }
        Ok(())
    }

    /// Count and bytes at the new position are those before the first entry after it; the group's own if there is none.
    async fn acknowledge_group(&mut self, device: &DeviceId, group: &GroupId, seq: Seq) -> Stored<()> {
        let update = sql("UPDATE members
                          SET acknowledged_seq = MIN(?1, COALESCE(needs_resync, left_seq, g.last_seq)),
                              acknowledged_count = COALESCE(
                                  (SELECT l.running - l.counted FROM log l
                                   WHERE l.group_pk = g.pk
                                     AND l.seq > MIN(?1, COALESCE(needs_resync, left_seq, g.last_seq))
                                   ORDER BY l.seq LIMIT 1), g.application_count),
                              acknowledged_bytes = COALESCE(
                                  (SELECT l.running_bytes - l.bytes FROM log l
                                   WHERE l.group_pk = g.pk
                                     AND l.seq > MIN(?1, COALESCE(needs_resync, left_seq, g.last_seq))
                                   ORDER BY l.seq LIMIT 1), g.application_bytes),
                              expired_after = CASE expired_after WHEN 0 THEN 0 ELSE
                                  (SELECT COUNT(*) FROM log l
                                   WHERE l.group_pk = g.pk
                                     AND l.seq > MIN(?1, COALESCE(needs_resync, left_seq, g.last_seq))
                                     AND l.kind = 2 AND l.counted = 1) END,
                              expired_bytes = CASE expired_after WHEN 0 THEN 0 ELSE
                                  (SELECT COALESCE(SUM(l.bytes), 0) FROM log l
                                   WHERE l.group_pk = g.pk
                                     AND l.seq > MIN(?1, COALESCE(needs_resync, left_seq, g.last_seq))
                                     AND l.kind = 2 AND l.counted = 1) END
                          FROM mls_groups g
                          WHERE g.id = ?2 AND members.group_pk = g.pk AND members.device = ?3
                            AND members.local = 1
                            AND acknowledged_seq < MIN(?1, COALESCE(needs_resync, left_seq, g.last_seq))")
        .bind(position(seq))
        .bind(group.to_bytes())
        .bind(device.as_bytes().to_vec());
        self.run("feeds_acknowledge", update).await.map(drop)
    }
}
