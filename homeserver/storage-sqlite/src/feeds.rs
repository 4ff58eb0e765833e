//! What waits for a device: reading.

mod notices;
mod positions;

use std::collections::HashMap;

use async_trait::async_trait;
use qpq_core::{DeviceId, Seq, Timestamp};
use qpq_storage::{Backlog, Feed, FeedState, FeedsRead, FeedsWrite, MailboxRow, Notice, Stored};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, json_list, position, size, sql},
};

fn mailbox_state(row: Fields<'_>) -> Stored<FeedState> {
    Ok(FeedState {
        feed: Feed::Mailbox,
        acknowledged: row.seq("mailbox_acknowledged")?,
        last: row.seq("mailbox_last")?,
    })
}

fn group_state(row: Fields<'_>) -> Stored<FeedState> {
    let acknowledged = row.seq("acknowledged_seq")?;
    Ok(FeedState {
        feed: Feed::Group(row.group("id")?),
        acknowledged,
        last: row.seq("readable")?.max(acknowledged),
    })
}

impl Transaction {
    async fn mailbox_state(&mut self, device: &DeviceId) -> Stored<Option<FeedState>> {
        let query = sql("SELECT id, mailbox_acknowledged, mailbox_last FROM devices
                         WHERE id = ? AND revoked_at IS NULL")
        .bind(device.as_bytes().to_vec());
        let row = self.row("feeds", query).await?;
        one("devices", row.as_ref(), mailbox_state)
    }
}

#[async_trait]
impl FeedsRead for Transaction {
    async fn feeds(&mut self, device: &DeviceId) -> Stored<Vec<FeedState>> {
        let mut feeds: Vec<FeedState> = self.mailbox_state(device).await?.into_iter().collect();
        let query = sql("SELECT g.id, m.acknowledged_seq,
                                COALESCE(m.needs_resync, m.left_seq, g.last_seq) AS readable
                         FROM members m JOIN mls_groups g ON g.pk = m.group_pk
                         WHERE m.local = 1 AND m.device = ?
                           AND ((m.left_seq IS NULL AND m.needs_resync IS NULL)
                                OR m.acknowledged_seq < COALESCE(m.needs_resync, m.left_seq))
                         ORDER BY g.id")
        .bind(device.as_bytes().to_vec());
        feeds.extend(each("members", &self.rows("feeds", query).await?, group_state)?);
        Ok(feeds)
    }

    async fn feed(&mut self, device: &DeviceId, feed: &Feed) -> Stored<Option<FeedState>> {
        let group = match feed {
            Feed::Mailbox => return self.mailbox_state(device).await,
            Feed::Group(group) => group,
        };
        let query = sql("SELECT g.id, m.acknowledged_seq,
                                COALESCE(m.needs_resync, m.left_seq, g.last_seq) AS readable
                         FROM mls_groups g JOIN members m ON m.group_pk = g.pk
                         WHERE g.id = ? AND m.device = ? AND m.local = 1")
        .bind(group.to_bytes())
        .bind(device.as_bytes().to_vec());
        let row = self.row("feed", query).await?;
        one("members", row.as_ref(), group_state)
    }

    async fn mailbox_after(
        &mut self,
        device: &DeviceId,
        after: Seq,
        limit: usize,
    ) -> Stored<Vec<MailboxRow>> {
        let query = sql("SELECT seq, at, kind, group_id, epoch, start, sender, message_id, code,
                                retry_after_ms, text, one_time, last_resort_until, welcome, receipt
                         FROM mailbox WHERE device = ? AND seq > ? ORDER BY seq LIMIT ?")
        .bind(device.as_bytes().to_vec())
        .bind(position(after))
        .bind(size(limit));
        each("mailbox", &self.rows("mailbox_after", query).await?, notices::mailbox_row)
    }

    async fn backlogs(&mut self, devices: &[DeviceId]) -> Stored<Vec<Backlog>> {
        let mut distinct = devices.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let query = sql("SELECT m.device,
                                SUM(MAX(0, g.application_count - m.acknowledged_count - m.expired_after))
                                    AS waiting,
                                SUM(MAX(0, g.application_bytes - m.acknowledged_bytes - m.expired_bytes))
                                    AS bytes
                         FROM json_each(?) AS j
                         CROSS JOIN members AS m ON m.device = unhex(j.value)
                         CROSS JOIN mls_groups AS g ON g.pk = m.group_pk
                         WHERE m.local = 1 AND m.left_seq IS NULL AND m.needs_resync IS NULL
                         GROUP BY m.device")
        .bind(json_list(distinct.iter().map(|device| *device.as_bytes())));
        let rows = self.rows("backlogs", query).await?;
        let waiting = each("members", &rows, |row| {
            let backlog = Backlog { messages: row.number("waiting")?, bytes: row.number("bytes")? };
            Ok((DeviceId::from_bytes(row.bytes("device")?), backlog))
        })?;
        let waiting: HashMap<DeviceId, Backlog> = waiting.into_iter().collect();
        Ok(devices.iter().map(|device| waiting.get(device).copied().unwrap_or_default()).collect())
    }
}

#[async_trait]
impl FeedsWrite for Transaction {
    async fn mailbox_append(
        &mut self,
        notices: &[(DeviceId, Notice)],
        now: Timestamp,
    ) -> Stored<Vec<DeviceId>> {
        self.append_notices(notices, now).await
    }

    async fn feeds_acknowledge(&mut self, device: &DeviceId, positions: &[(Feed, Seq)]) -> Stored<()> {
        self.acknowledge_positions(device, positions).await
    }
}
