//! How far this device has got in each of its feeds.

use qpq_core::{Cursor, GroupId, Incarnation, Seq};
use sqlx::sqlite::SqliteRow;

use super::{
    StoreError, Tx,
    row::{Columns, failed, sql_number},
};

/// One of the device's feeds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feed {
    /// Its own notices.
    Mailbox,
    /// The log of a group.
    Group(GroupId),
}

impl Feed {
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Mailbox => Vec::new(),
            Self::Group(id) => id.to_bytes(),
        }
    }
}

impl Tx<'_> {
    /// The position in one feed; `None` before its first delivery.
    pub async fn position(&mut self, feed: &Feed) -> Result<Option<Cursor>, StoreError> {
        let row = sqlx::query("SELECT * FROM positions WHERE feed = ?")
            .bind(feed.to_bytes())
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read a position"))?;
        row.map(|row| read_position(&row).map(|(_, cursor)| cursor)).transpose()
    }

    /// Every position: what to acknowledge, and to fetch after.
    pub async fn positions(&mut self) -> Result<Vec<(Feed, Cursor)>, StoreError> {
        let rows = sqlx::query("SELECT * FROM positions ORDER BY feed")
            .fetch_all(self.sql())
            .await
            .map_err(failed("read the positions"))?;
        rows.iter().map(read_position).collect()
    }

    /// Moves on in a feed: within an incarnation only forward, a new incarnation replaces the position.
    pub async fn set_position(&mut self, feed: &Feed, cursor: Cursor) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO positions (feed, incarnation, seq) VALUES (?, ?, ?)
             ON CONFLICT (feed) DO UPDATE SET incarnation = excluded.incarnation, seq = excluded.seq
             WHERE excluded.incarnation <> positions.incarnation OR excluded.seq > positions.seq",
        )
        .bind(feed.to_bytes())
        .bind(cursor.incarnation.to_bytes().to_vec())
        .bind(sql_number(cursor.seq.0))
        .execute(self.sql())
        .await
        .map_err(failed("write a position"))?;
        Ok(())
    }

    /// Forgets a feed: the group was left, or is joined anew.
    pub async fn delete_position(&mut self, feed: &Feed) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM positions WHERE feed = ?")
            .bind(feed.to_bytes())
            .execute(self.sql())
            .await
            .map_err(failed("forget a position"))?;
        Ok(())
    }
}

fn read_position(row: &SqliteRow) -> Result<(Feed, Cursor), StoreError> {
    let columns = Columns { table: "positions", row };
    let feed = match columns.take::<&[u8]>("feed")? {
        [] => Feed::Mailbox,
        _ => Feed::Group(columns.group("feed")?),
    };
    let incarnation = Incarnation::from_slice(columns.take("incarnation")?);
    let incarnation = incarnation.ok_or_else(|| columns.damaged("incarnation"))?;
    Ok((feed, Cursor { incarnation, seq: Seq(columns.number("seq")?) }))
}
