//! How our own log is cosigned.

use async_trait::async_trait;
use qpq_core::Timestamp;
use qpq_storage::{COLLECTED_CHECKPOINTS, CosignedRead, CosignedWrite, LogHead, OurWitness, Stored};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, int, size, sql, time},
};

fn head(row: Fields<'_>) -> Stored<LogHead> {
    Ok(LogHead { size: row.number("size")?, note: row.text("note")? })
}

fn witness(row: Fields<'_>) -> Stored<OurWitness> {
    Ok(OurWitness {
        key: row.text("key")?,
        size: row.number("size")?,
        signed_at: row.optional_time("signed_at")?,
        failed: row.optional_text("failed")?.zip(row.optional_time("failed_at")?),
    })
}

#[async_trait]
impl CosignedRead for Transaction {
    async fn kt_cosigned(&mut self) -> Stored<Option<LogHead>> {
        let row = self.row("kt_cosigned", sql("SELECT id, size, note FROM kt_cosigned WHERE id = 1")).await?;
        one("kt_cosigned", row.as_ref(), head)
    }

    async fn kt_collected(&mut self, size: u64) -> Stored<Option<LogHead>> {
        let query = sql("SELECT size, note FROM kt_collected WHERE size = ?").bind(int(size));
        one("kt_collected", self.row("kt_collected", query).await?.as_ref(), head)
    }

    async fn kt_our_witnesses(&mut self) -> Stored<Vec<OurWitness>> {
        let query = sql("SELECT key, size, signed_at, failed, failed_at FROM kt_our_witnesses ORDER BY key");
        each("kt_our_witnesses", &self.rows("kt_our_witnesses", query).await?, witness)
    }
}

#[async_trait]
impl CosignedWrite for Transaction {
    async fn kt_keep_cosigned(&mut self, cosigned: &LogHead) -> Stored<()> {
        let what = "kt_keep_cosigned";
        let before = self.kt_cosigned().await?.map_or(0, |before| before.size);
        if cosigned.size < before || cosigned.size > self.kt_size(what).await? {
            return Err(self.conflict(what));
        }
        let replace = sql("REPLACE INTO kt_cosigned (id, size, note) VALUES (1, ?, ?)")
            .bind(int(cosigned.size))
            .bind(cosigned.note.clone());
        self.run(what, replace).await?;
        let delete = sql("DELETE FROM kt_collected WHERE size < ?").bind(int(cosigned.size));
        self.run(what, delete).await.map(drop)
    }

    async fn kt_keep_collected(&mut self, collected: &LogHead) -> Stored<()> {
        let what = "kt_keep_collected";
        if collected.size > self.kt_size(what).await? {
            return Err(self.conflict(what));
        }
        let replace = sql("REPLACE INTO kt_collected (size, note) VALUES (?, ?)")
            .bind(int(collected.size))
            .bind(collected.note.clone());
        self.run(what, replace).await?;
        let delete = sql("DELETE FROM kt_collected
                          WHERE size NOT IN (SELECT size FROM kt_collected ORDER BY size DESC LIMIT ?)")
        .bind(size(COLLECTED_CHECKPOINTS));
        self.run(what, delete).await.map(drop)
    }

    async fn kt_witness_signed(&mut self, key: &str, size: u64, at: Timestamp) -> Stored<()> {
        let upsert = sql("INSERT INTO kt_our_witnesses (key, size, signed_at) VALUES (?, ?, ?)
                          ON CONFLICT (key) DO UPDATE SET size = max(size, excluded.size),
                              signed_at = excluded.signed_at, failed = NULL, failed_at = NULL")
        .bind(key.to_owned())
        .bind(int(size))
        .bind(time(at));
        self.run("kt_witness_signed", upsert).await.map(drop)
    }

    async fn kt_witness_failed(&mut self, key: &str, why: &str, at: Timestamp) -> Stored<()> {
        let upsert = sql("INSERT INTO kt_our_witnesses (key, size, failed, failed_at) VALUES (?, 0, ?, ?)
                          ON CONFLICT (key) DO UPDATE SET failed = excluded.failed, failed_at = excluded.failed_at")
        .bind(key.to_owned())
        .bind(why.to_owned())
        .bind(time(at));
        self.run("kt_witness_failed", upsert).await.map(drop)
    }
}
