//! Moving a device's positions forward.

use std::{collections::BTreeMap, fmt::Write as _};

use data_encoding::HEXLOWER;
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
        if !groups.is_empty() {
            self.acknowledge_groups(device, &groups).await?;
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

    /// All groups in one statement. The count at the new position is the one before the first entry after it; the
    /// group's own count if there is none.
    async fn acknowledge_groups(
        &mut self,
        device: &DeviceId,
        positions: &BTreeMap<&GroupId, Seq>,
    ) -> Stored<()> {
        let update = sql("WITH asked AS MATERIALIZED (
                              SELECT g.pk AS pk, g.last_seq AS last, g.application_count AS count,
                                     j.value ->> 1 AS position
                              FROM json_each(?2) AS j
                              CROSS JOIN mls_groups AS g ON g.id = unhex(j.value ->> 0)),
                          reached AS MATERIALIZED (
                              SELECT a.pk AS pk, a.count AS count, m.address AS address,
                                     MIN(a.position, COALESCE(m.needs_resync, m.left_seq, a.last)) AS seq
                              FROM asked AS a
                              CROSS JOIN members AS m
                                  ON m.group_pk = a.pk AND m.device = ?1 AND m.local = 1)
                          UPDATE members
                          SET acknowledged_seq = r.seq,
                              acknowledged_count = COALESCE(
                                  (SELECT running - counted FROM log
                                   WHERE group_pk = r.pk AND log.seq > r.seq ORDER BY log.seq LIMIT 1), r.count),
                              expired_after = CASE expired_after WHEN 0 THEN 0 ELSE
                                  (SELECT COUNT(*) FROM log
                                   WHERE group_pk = r.pk AND log.seq > r.seq AND kind = 2 AND counted = 1) END
                          FROM reached AS r
                          WHERE members.group_pk = r.pk AND members.device = ?1
                            AND members.address = r.address AND members.acknowledged_seq < r.seq")
        .bind(device.as_bytes().to_vec())
        .bind(json_pairs(positions));
        self.run("feeds_acknowledge", update).await.map(drop)
    }
}

/// `[["<group, hexadecimal>", position], …]`
fn json_pairs(positions: &BTreeMap<&GroupId, Seq>) -> String {
    let mut text = String::from("[");
    for (group, seq) in positions {
        let comma = if text.len() == 1 { "" } else { "," };
        let group = HEXLOWER.encode(&group.to_bytes());
        // Writing to a String can't fail.
        let _infallible = write!(text, "{comma}[\"{group}\",{}]", position(*seq));
    }
    text.push(']');
    text
}
