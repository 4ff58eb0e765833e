//! The key-transparency log.

use async_trait::async_trait;
use qpq_storage::{
    LOG_NO_LABEL, LogContents, LogHead, LogRow, LogTile, Stored, TransparencyRead, TransparencyWrite,
};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, int, size, sql},
};

fn entry(row: Fields<'_>) -> Stored<LogRow> {
    Ok(LogRow {
        index: row.number("idx")?,
        label_id: row.bytes("label_id")?,
        version: row.number("version")?,
        entry: row.bytes("entry")?,
    })
}

impl Transaction {
    /// How many entries there are. They are never deleted, so the last one's place says it.
    pub(crate) async fn kt_size(&mut self, what: &'static str) -> Stored<u64> {
        let row = self.row(what, sql("SELECT COALESCE(MAX(idx) + 1, 0) AS size FROM kt_entries")).await?;
        Ok(one("kt_entries", row.as_ref(), |row| row.number("size"))?.unwrap_or(0))
    }
}

#[async_trait]
impl TransparencyRead for Transaction {
    async fn kt_head(&mut self) -> Stored<Option<LogHead>> {
        let row = self.row("kt_head", sql("SELECT id, size, note FROM kt_head WHERE id = 1")).await?;
        one("kt_head", row.as_ref(), |row| Ok(LogHead { size: row.number("size")?, note: row.text("note")? }))
    }

    async fn kt_tile(&mut self, level: u8, index: u64) -> Stored<Option<Vec<u8>>> {
        let query =
            sql("SELECT idx, hashes FROM kt_tiles WHERE level = ? AND idx = ?").bind(level).bind(int(index));
        let row = self.row("kt_tile", query).await?;
        one("kt_tiles", row.as_ref(), |row| row.blob("hashes"))
    }

    async fn kt_entries(&mut self, from: u64, limit: usize) -> Stored<Vec<LogRow>> {
        let query =
            sql("SELECT idx, label_id, version, entry FROM kt_entries WHERE idx >= ? ORDER BY idx LIMIT ?")
                .bind(int(from))
                .bind(size(limit));
        each("kt_entries", &self.rows("kt_entries", query).await?, entry)
    }

    async fn kt_latest(&mut self, label_id: &[u8; 32]) -> Stored<Option<LogRow>> {
        // Entries without a label have no versions, and are not in the index that all others are found by.
        let query = if *label_id == LOG_NO_LABEL {
            "SELECT idx, label_id, version, entry FROM kt_entries WHERE label_id = ? ORDER BY idx DESC LIMIT 1"
        } else {
            "SELECT idx, label_id, version, entry FROM kt_entries
             WHERE label_id = ? AND label_id <> zeroblob(32) ORDER BY version DESC LIMIT 1"
        };
        let query = sql(query).bind(label_id.to_vec());
        one("kt_entries", self.row("kt_latest", query).await?.as_ref(), entry)
    }

    async fn kt_latest_within(&mut self, label_id: &[u8; 32], size: u64) -> Stored<Option<LogRow>> {
        // As below: the second condition is that of the index.
        let query = sql("SELECT idx, label_id, version, entry FROM kt_entries
                         WHERE label_id = ? AND label_id <> zeroblob(32) AND idx < ?
                         ORDER BY version DESC LIMIT 1")
        .bind(label_id.to_vec())
        .bind(int(size));
        one("kt_entries", self.row("kt_latest_within", query).await?.as_ref(), entry)
    }

    async fn kt_versions(&mut self, label_id: &[u8; 32], from: u32, limit: usize) -> Stored<Vec<LogRow>> {
        // The second condition is that of the index, which is not used without it.
        let query = sql("SELECT idx, label_id, version, entry FROM kt_entries
                         WHERE label_id = ? AND label_id <> zeroblob(32) AND version >= ?
                         ORDER BY version LIMIT ?")
        .bind(label_id.to_vec())
        .bind(from)
        .bind(size(limit));
        each("kt_entries", &self.rows("kt_versions", query).await?, entry)
    }

    async fn kt_contents(&mut self, index: u64) -> Stored<Option<LogContents>> {
        let query = sql("SELECT idx, label, opening, value FROM kt_contents WHERE idx = ?").bind(int(index));
        let row = self.row("kt_contents", query).await?;
        one("kt_contents", row.as_ref(), |row| {
            Ok(LogContents {
                label: row.blob("label")?,
                opening: row.bytes("opening")?,
                value: row.blob("value")?,
            })
        })
    }

    async fn kt_seen(&mut self, index: u64) -> Stored<Option<String>> {
        let query = sql("SELECT idx, note FROM kt_seen WHERE idx = ?").bind(int(index));
        one("kt_seen", self.row("kt_seen", query).await?.as_ref(), |row| row.text("note"))
    }
}

#[async_trait]
impl TransparencyWrite for Transaction {
    async fn kt_append(
        &mut self,
        entries: &[(LogRow, LogContents)],
        tiles: &[LogTile],
        head: &LogHead,
    ) -> Stored<()> {
        let what = "kt_append";
        let mut next = self.kt_size(what).await?;
        for (row, contents) in entries {
            let before = match row.label_id {
                LOG_NO_LABEL => None,
                label_id => self.kt_latest(&label_id).await?,
            };
            let version = before.map_or(0, |before| before.version.saturating_add(1));
            if row.index != next || row.version != version {
                return Err(self.conflict(what));
            }
            next = next.saturating_add(1);
            let insert = sql("INSERT INTO kt_entries (idx, label_id, version, entry) VALUES (?, ?, ?, ?)")
                .bind(int(row.index))
                .bind(row.label_id.to_vec())
                .bind(row.version)
                .bind(row.entry.to_vec());
            self.run(what, insert).await?;
            let insert = sql("INSERT INTO kt_contents (idx, label, opening, value) VALUES (?, ?, ?, ?)")
                .bind(int(row.index))
                .bind(contents.label.clone())
                .bind(contents.opening.to_vec())
                .bind(contents.value.clone());
            self.run(what, insert).await?;
        }
        if next != head.size {
            return Err(self.conflict(what));
        }
        for LogTile { level, index, hashes } in tiles {
            let replace = sql("REPLACE INTO kt_tiles (level, idx, hashes) VALUES (?, ?, ?)")
                .bind(*level)
                .bind(int(*index))
                .bind(hashes.clone());
            self.run(what, replace).await?;
        }
        let replace = sql("REPLACE INTO kt_head (id, size, note) VALUES (1, ?, ?)")
            .bind(int(head.size))
            .bind(head.note.clone());
        self.run(what, replace).await.map(drop)
    }

    async fn kt_keep_seen(&mut self, index: u64, note: &str) -> Stored<()> {
        let insert = sql("INSERT INTO kt_seen (idx, note) VALUES (?, ?) ON CONFLICT (idx) DO NOTHING")
            .bind(int(index))
            .bind(note.to_owned());
        self.run("kt_keep_seen", insert).await.map(drop)
    }

    async fn kt_erase(&mut self, label_id: &[u8; 32]) -> Stored<u64> {
        // As with `kt_versions`: the second condition is that of the index.
        let delete = sql("DELETE FROM kt_contents
                          WHERE idx IN (SELECT idx FROM kt_entries
                                        WHERE label_id = ? AND label_id <> zeroblob(32))")
        .bind(label_id.to_vec());
        self.run("kt_erase", delete).await
    }
}
