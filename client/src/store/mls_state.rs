//! Groups' MLS state in chunks.

use qpq_core::GroupId;
use sqlx::QueryBuilder;

use super::{
    StoreError, Tx,
    row::{Columns, failed, sql_number},
};
use crate::mls::{Group, StateChanges, StoredValue};

/// The bits of a chunk's row id that are its number; the value's id is above.
const NUMBER_BITS: u32 = 32;
/// Rows in one statement: two parameters each, far below SQLite's limit.
const ROWS: usize = 200;

impl Tx<'_> {
    /// Writes what changed in a group (chunks, and the members when the epoch moved). If this transaction is not
    /// committed, drop the [`Group`] and load it again.
    pub async fn save_group(&mut self, group: &mut Group) -> Result<(), StoreError> {
        let place = self.mls_group(group).await?;
        self.write_changes(place, &group.take_changes()).await
    }

    /// Loads a group; `None` when its MLS state is not here.
    pub async fn load_group(&mut self, id: &GroupId) -> Result<Option<Group>, StoreError> {
        let rows = sqlx::query(
            "SELECT v.id AS value, v.key AS key, c.id AS chunk, c.bytes AS bytes
             FROM mls_groups g JOIN mls_values v ON v.mls_group = g.id
             JOIN mls_chunks c ON c.id BETWEEN v.id << 32 AND (v.id << 32) + 4294967295
             WHERE g.group_id = ? ORDER BY c.id",
        )
        .bind(id.to_bytes())
        .fetch_all(self.sql())
        .await
        .map_err(failed("read a group's MLS state"))?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut values: Vec<StoredValue> = Vec::new();
        for row in &rows {
            let columns = Columns { table: "mls_chunks", row };
            let key: &[u8] = columns.take("key")?;
            let number = columns.number("chunk")? & u64::from(u32::MAX);
            let number = u32::try_from(number).map_err(|_| columns.damaged("id"))?;
            let chunk = (number, columns.take::<Vec<u8>>("bytes")?);
            match values.last_mut().filter(|value| value.key == key) {
                Some(value) => value.chunks.push(chunk),
                None => values.push(StoredValue { key: key.to_vec(), chunks: vec![chunk] }),
            }
        }
        Group::load(id, values).map(Some).map_err(|source| StoreError::Group { source })
    }

    /// Forgets a group's MLS state (it was removed, or is joined anew).
    pub async fn delete_group_state(&mut self, id: &GroupId) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM mls_chunks WHERE (id >> 32) IN (SELECT v.id FROM mls_values v
                 JOIN mls_groups g ON g.id = v.mls_group WHERE g.group_id = ?)",
            "DELETE FROM mls_values WHERE mls_group = (SELECT id FROM mls_groups WHERE group_id = ?)",
            "DELETE FROM mls_groups WHERE group_id = ?",
            "DELETE FROM members WHERE group_id = ?",
        ] {
            sqlx::query(statement)
                .bind(id.to_bytes())
                .execute(self.sql())
                .await
                .map_err(failed("forget a group's MLS state"))?;
        }
        Ok(())
    }

    /// The group's row, with its members when the epoch moved.
    async fn mls_group(&mut self, group: &Group) -> Result<i64, StoreError> {
        let id = group.id().to_bytes();
        let epoch = sql_number(group.epoch());
        let known: Option<(i64, i64)> = sqlx::query_as("SELECT id, epoch FROM mls_groups WHERE group_id = ?")
            .bind(id.as_slice())
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read a group's epoch"))?;
        if let Some((place, known)) = known
            && known == epoch
        {
            return Ok(place);
        }
        let place: i64 = sqlx::query_scalar(
            "INSERT INTO mls_groups (group_id, epoch) VALUES (?, ?)
             ON CONFLICT (group_id) DO UPDATE SET epoch = excluded.epoch RETURNING id",
        )
        .bind(id.as_slice())
        .bind(epoch)
        .fetch_one(self.sql())
        .await
        .map_err(failed("write a group's epoch"))?;
        let members = group.members().map_err(|source| StoreError::Group { source })?;
        sqlx::query("DELETE FROM members WHERE group_id = ?")
            .bind(id.as_slice())
            .execute(self.sql())
            .await
            .map_err(failed("write a group's members"))?;
        for members in members.chunks(ROWS) {
            let mut insert =
                QueryBuilder::new("INSERT INTO members (group_id, leaf, device, signature_key) ");
            insert.push_values(members, |mut row, member| {
                row.push_bind(id.clone())
                    .push_bind(i64::from(member.leaf))
                    .push_bind(member.device.to_string())
                    .push_bind(member.signature_key.as_bytes().to_vec());
            });
            insert.build().execute(self.sql()).await.map_err(failed("write a group's members"))?;
        }
        Ok(place)
    }

    async fn write_changes(&mut self, group: i64, changes: &StateChanges) -> Result<(), StoreError> {
        for rows in changes.rows.chunk_by(|a, b| a.key == b.key) {
            let Some(key) = rows.first().map(|row| row.key.as_slice()) else { continue };
            let value = self.mls_value(group, key).await?;
            let place = |n: u32| (value << NUMBER_BITS) | i64::from(n);
            let gone: Vec<_> =
                rows.iter().filter(|row| row.bytes.is_none()).map(|row| place(row.n)).collect();
            for gone in gone.chunks(ROWS) {
                let mut delete = QueryBuilder::new("DELETE FROM mls_chunks WHERE id IN (");
                let mut ids = delete.separated(", ");
                for id in gone {
                    ids.push_bind(*id);
                }
                ids.push_unseparated(")");
                delete.build().execute(self.sql()).await.map_err(failed("delete MLS state"))?;
            }
            let written: Vec<_> =
                rows.iter().filter_map(|row| Some((place(row.n), row.bytes.as_ref()?))).collect();
            for written in written.chunks(ROWS) {
                let mut insert = QueryBuilder::new("INSERT INTO mls_chunks (id, bytes) ");
                insert.push_values(written, |mut row, (id, bytes)| {
                    row.push_bind(*id).push_bind(bytes.as_slice());
                });
                insert.push(" ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes");
                insert.build().execute(self.sql()).await.map_err(failed("write MLS state"))?;
            }
            if written.is_empty() {
                self.drop_empty_value(value).await?;
            }
        }
        Ok(())
    }

    /// The row of a value, made when it is new.
    async fn mls_value(&mut self, group: i64, key: &[u8]) -> Result<i64, StoreError> {
        let known: Option<i64> =
            sqlx::query_scalar("SELECT id FROM mls_values WHERE mls_group = ? AND key = ?")
                .bind(group)
                .bind(key)
                .fetch_optional(self.sql())
                .await
                .map_err(failed("find MLS state"))?;
        if let Some(id) = known {
            return Ok(id);
        }
        sqlx::query_scalar("INSERT INTO mls_values (mls_group, key) VALUES (?, ?) RETURNING id")
            .bind(group)
            .bind(key)
            .fetch_one(self.sql())
            .await
            .map_err(failed("write MLS state"))
    }

    /// Forgets a value of which no chunk is left.
    async fn drop_empty_value(&mut self, value: i64) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM mls_values WHERE id = ?1 AND NOT EXISTS
                 (SELECT 1 FROM mls_chunks WHERE id BETWEEN ?1 << 32 AND (?1 << 32) + 4294967295)",
        )
        .bind(value)
        .execute(self.sql())
        .await
        .map_err(failed("delete MLS state"))?;
        Ok(())
    }
}
