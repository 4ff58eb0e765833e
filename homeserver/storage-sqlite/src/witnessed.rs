//! Other domains' logs that are witnessed here.

use async_trait::async_trait;
use qpq_core::Timestamp;
use qpq_storage::{
    EVIDENCE_PER_LOG, EvidenceKept, LOG_ENTRY_BYTES, LogEvidence, LogHead, Mirrored, NewEvidence, Stored,
    WitnessedLog, WitnessedRead, WitnessedWrite,
};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, int, size, sql, time},
};

fn log(row: Fields<'_>) -> Stored<WitnessedLog> {
    let cosigned = match row.optional_number("size")? {
        Some(size) => Some(LogHead { size, note: row.text("note")? }),
        None => None,
    };
    Ok(WitnessedLog { origin: row.text("origin")?, key: row.text("key")?, cosigned })
}

fn evidence(row: Fields<'_>) -> Stored<LogEvidence> {
    let found = NewEvidence {
        origin: row.text("origin")?,
        sizes: (row.number("smaller")?, row.number("larger")?),
        text: row.text("evidence")?,
        from: row.text("brought_by")?,
        found_at: row.time("found_at")?,
    };
    Ok(LogEvidence { id: row.number("id")?, found, cleared_at: row.optional_time("cleared_at")? })
}

#[async_trait]
impl WitnessedRead for Transaction {
    async fn kt_witnessed(&mut self, origin: &str) -> Stored<Option<WitnessedLog>> {
        let query =
            sql("SELECT origin, key, size, note FROM kt_witnessed WHERE origin = ?").bind(origin.to_owned());
        one("kt_witnessed", self.row("kt_witnessed", query).await?.as_ref(), log)
    }

    async fn kt_witnessed_after(&mut self, origin: &str, limit: usize) -> Stored<Vec<WitnessedLog>> {
        let query = sql("SELECT origin, key, size, note FROM kt_witnessed
                         WHERE origin > ? ORDER BY origin LIMIT ?")
        .bind(origin.to_owned())
        .bind(size(limit));
        each("kt_witnessed", &self.rows("kt_witnessed_after", query).await?, log)
    }

    async fn kt_mirrored(&mut self, origin: &str) -> Stored<Mirrored> {
        let query =
            sql("SELECT origin, mirrored, edge FROM kt_witnessed WHERE origin = ?").bind(origin.to_owned());
        let row = self.row("kt_mirrored", query).await?;
        let mirrored = one("kt_witnessed", row.as_ref(), |row| {
            Ok(Mirrored { size: row.number("mirrored")?, edge: row.blob("edge")? })
        })?;
        Ok(mirrored.unwrap_or_default())
    }

    async fn kt_mirrored_entries(
        &mut self,
        origin: &str,
        from: u64,
        limit: usize,
    ) -> Stored<Vec<[u8; LOG_ENTRY_BYTES]>> {
        let query = sql("SELECT idx, entry FROM kt_mirror
                         WHERE log_pk = (SELECT pk FROM kt_witnessed WHERE origin = ?) AND idx >= ?
                         ORDER BY idx LIMIT ?")
        .bind(origin.to_owned())
        .bind(int(from))
        .bind(size(limit));
        each("kt_mirror", &self.rows("kt_mirrored_entries", query).await?, |row| row.bytes("entry"))
    }

    async fn kt_evidence(&mut self, origin: &str) -> Stored<Vec<LogEvidence>> {
        let query = sql("SELECT id, origin, smaller, larger, evidence, brought_by, found_at, cleared_at
                         FROM kt_evidence WHERE origin = ? ORDER BY id")
        .bind(origin.to_owned());
        each("kt_evidence", &self.rows("kt_evidence", query).await?, evidence)
    }

    async fn kt_evidence_after(&mut self, id: u64, limit: usize) -> Stored<Vec<LogEvidence>> {
        let query = sql("SELECT id, origin, smaller, larger, evidence, brought_by, found_at, cleared_at
                         FROM kt_evidence WHERE id > ? ORDER BY id LIMIT ?")
        .bind(int(id))
        .bind(size(limit));
        each("kt_evidence", &self.rows("kt_evidence_after", query).await?, evidence)
    }
}

#[async_trait]
impl WitnessedWrite for Transaction {
    async fn kt_pin(&mut self, origin: &str, key: &str) -> Stored<String> {
        let insert = sql("INSERT INTO kt_witnessed (origin, key) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(origin.to_owned())
            .bind(key.to_owned());
        self.run("kt_pin", insert).await?;
        Ok(self.kt_witnessed(origin).await?.map_or_else(|| key.to_owned(), |log| log.key))
    }

    async fn kt_cosign(&mut self, origin: &str, cosigned: &LogHead) -> Stored<()> {
        let update = sql("UPDATE kt_witnessed SET size = ?1, note = ?2
                          WHERE origin = ?3 AND COALESCE(size, 0) <= ?1")
        .bind(int(cosigned.size))
        .bind(cosigned.note.clone())
        .bind(origin.to_owned());
        match self.run("kt_cosign", update).await? {
            0 => Err(self.conflict("kt_cosign")),
            _ => Ok(()),
        }
    }

    async fn kt_mirror(
        &mut self,
        origin: &str,
        from: u64,
        entries: &[[u8; LOG_ENTRY_BYTES]],
        edge: &[u8],
    ) -> Stored<()> {
        let what = "kt_mirror";
        let end = from.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        // That it ends within what was cosigned, the table itself checks.
        let update = sql("UPDATE kt_witnessed SET mirrored = ?, edge = ?
                          WHERE origin = ? AND mirrored = ? RETURNING pk")
        .bind(int(end))
        .bind(edge.to_vec())
        .bind(origin.to_owned())
        .bind(int(from));
        let row = self.row(what, update).await?;
        let Some(pk) = one("kt_witnessed", row.as_ref(), |row| row.int("pk"))? else {
            return Err(self.conflict(what));
        };
        let rows: Vec<(u64, [u8; LOG_ENTRY_BYTES])> = (from..).zip(entries.iter().copied()).collect();
        let head = "INSERT INTO kt_mirror (log_pk, idx, entry) VALUES";
        self.insert_all(what, head, 3, &rows, |statement, (index, entry)| {
            statement.bind(pk).bind(int(*index)).bind(entry.to_vec())
        })
        .await
    }

    async fn kt_keep_evidence(&mut self, found: &NewEvidence) -> Stored<EvidenceKept> {
        let kept = self.kt_evidence(&found.origin).await?;
        if let Some(known) = kept.iter().find(|kept| kept.found.sizes == found.sizes) {
            return Ok(EvidenceKept::Known(known.id));
        }
        if kept.len() >= EVIDENCE_PER_LOG {
            return Ok(EvidenceKept::Enough);
        }
        let insert = sql("INSERT INTO kt_evidence (origin, smaller, larger, evidence, brought_by, found_at)
                          VALUES (?, ?, ?, ?, ?, ?) RETURNING id")
        .bind(found.origin.clone())
        .bind(int(found.sizes.0))
        .bind(int(found.sizes.1))
        .bind(found.text.clone())
        .bind(found.from.clone())
        .bind(time(found.found_at));
        let row = self.row("kt_keep_evidence", insert).await?;
        let id = one("kt_evidence", row.as_ref(), |row| row.number("id"))?;
        Ok(id.map_or(EvidenceKept::Enough, EvidenceKept::New))
    }

    async fn kt_clear_evidence(&mut self, id: u64, at: Timestamp) -> Stored<bool> {
        let update = sql("UPDATE kt_evidence SET cleared_at = ? WHERE id = ? AND cleared_at IS NULL")
            .bind(time(at))
            .bind(int(id));
        Ok(self.run("kt_clear_evidence", update).await? > 0)
    }
}
