//! Received messages, each once.

use qpq_core::{DeviceAddress, GroupId, MessageId, Timestamp};
use sqlx::sqlite::SqliteRow;

use super::{
    StoreError, Tx,
    row::{Columns, failed, sql_number, sql_time},
};

/// A message that was just decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Its group.
    pub group: GroupId,
    /// The id that its sender submitted it with.
    pub id: MessageId,
    /// Which device sent it.
    pub sender: DeviceAddress,
    /// Its text.
    pub text: String,
    /// When its sender says that it was written.
    pub sent_at: Timestamp,
    /// When this device stored it.
    pub received_at: Timestamp,
    /// The epoch that it was encrypted in.
    pub epoch: u64,
}

/// Whether a message was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Stored.
    New,
    /// The same sender's id was stored before: a repeat, or the same message encrypted again.
    Duplicate,
}

/// A stored message, in the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its place in the order of arrival; grows.
    pub place: i64,
    /// The message.
    pub message: NewMessage,
}

impl Tx<'_> {
    /// Stores a message unless its id was seen from this sender in this group.
    pub async fn record_received(&mut self, message: &NewMessage) -> Result<Recorded, StoreError> {
        let written = sqlx::query(
            "INSERT INTO messages (group_id, sender, id, text, sent_at, received_at, epoch)
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (group_id, sender, id) DO NOTHING",
        )
        .bind(message.group.to_bytes())
        .bind(message.sender.to_string())
        .bind(message.id.as_bytes().as_slice())
        .bind(message.text.as_str())
        .bind(sql_time(message.sent_at))
        .bind(sql_time(message.received_at))
        .bind(sql_number(message.epoch))
        .execute(self.sql())
        .await
        .map_err(failed("store a message"))?;
        Ok(if written.rows_affected() == 0 { Recorded::Duplicate } else { Recorded::New })
    }

    /// The oldest messages that were not shown yet.
    pub async fn unread(&mut self, limit: u32) -> Result<Vec<StoredMessage>, StoreError> {
        let rows = sqlx::query("SELECT * FROM messages WHERE unread = 1 ORDER BY place LIMIT ?")
            .bind(i64::from(limit))
            .fetch_all(self.sql())
            .await
            .map_err(failed("read new messages"))?;
        rows.iter().map(read_message).collect()
    }

    /// Everything up to and including `place` was shown.
    pub async fn mark_read(&mut self, place: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE messages SET unread = 0 WHERE unread = 1 AND place <= ?")
            .bind(place)
            .execute(self.sql())
            .await
            .map_err(failed("note what was shown"))?;
        Ok(())
    }

    /// The messages of a group, oldest first.
    pub async fn messages(&mut self, group: &GroupId) -> Result<Vec<StoredMessage>, StoreError> {
        let rows = sqlx::query("SELECT * FROM messages WHERE group_id = ? ORDER BY place")
            .bind(group.to_bytes())
            .fetch_all(self.sql())
            .await
            .map_err(failed("read a group's messages"))?;
        rows.iter().map(read_message).collect()
    }
}

fn read_message(row: &SqliteRow) -> Result<StoredMessage, StoreError> {
    let columns = Columns { table: "messages", row };
    Ok(StoredMessage {
        place: columns.take("place")?,
        message: NewMessage {
            group: columns.group("group_id")?,
            id: columns.message("id")?,
            sender: columns.text("sender")?,
            text: columns.take("text")?,
            sent_at: columns.time("sent_at")?,
            received_at: columns.time("received_at")?,
            epoch: columns.number("epoch")?,
        },
    })
}
