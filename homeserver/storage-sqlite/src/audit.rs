//! What admins did.

use async_trait::async_trait;
use qpq_core::{Digest, RequestId, Seq};
use qpq_storage::{AuditEntry, AuditFilter, AuditRead, AuditRecord, AuditWrite, Stored};
use sqlx::sqlite::SqliteRow;

use crate::{
    fields::{Fields, each, one},
    transaction::{Statement, Transaction, int, position, size, sql, time},
};

/// The filter as a condition whose every part is switched off by a null.
macro_rules! wanted {
    () => {
        "(?1 IS NULL OR actor = ?1) AND (?2 IS NULL OR action = ?2) AND (?3 IS NULL OR action >= ?3 AND action < ?4)
         AND (?5 IS NULL OR instr(target, ?5) > 0) AND (?6 IS NULL OR at >= ?6) AND (?7 IS NULL OR at < ?7)"
    };
}

/// Binds the filter's seven values.
fn bound(statement: Statement, filter: &AuditFilter) -> Statement {
    let area = filter.action.clone().filter(|action| action.ends_with('.'));
    // The texts that begin with `peer.` are those from `peer.` up to `peer/`, the next character.
    let end = area.as_ref().map(|area| format!("{}/", area.trim_end_matches('.')));
    statement
        .bind(filter.actor.clone())
        .bind(filter.action.clone().filter(|action| !action.ends_with('.')))
        .bind(area)
        .bind(end)
        .bind(filter.target.clone())
        .bind(filter.from.map(time))
        .bind(filter.until.map(time))
}

fn record(row: Fields<'_>) -> Stored<AuditRecord> {
    let entry = AuditEntry {
        at: row.time("at")?,
        actor: row.text("actor")?,
        action: row.text("action")?,
        target: row.text("target")?,
        reason: row.text("reason")?,
        request: RequestId::from_bytes(row.bytes("request")?),
    };
    Ok(AuditRecord { seq: row.seq("seq")?, entry, hash: Digest::from_bytes(row.bytes("hash")?) })
}

fn records(rows: &[SqliteRow]) -> Stored<Vec<AuditRecord>> {
    each("audit", rows, record)
}

#[async_trait]
impl AuditRead for Transaction {
    async fn audit_after(
        &mut self,
        filter: &AuditFilter,
        after: Seq,
        limit: usize,
    ) -> Stored<Vec<AuditRecord>> {
        let text = concat!(
            "SELECT seq, at, actor, action, target, reason, request, hash FROM audit WHERE ",
            wanted!(),
            " AND seq > ?8 ORDER BY seq LIMIT ?9"
        );
        let query = bound(sql(text), filter).bind(position(after)).bind(size(limit));
        records(&self.rows("audit_after", query).await?)
    }

    async fn audit_before(
        &mut self,
        filter: &AuditFilter,
        before: Option<Seq>,
        limit: usize,
    ) -> Stored<Vec<AuditRecord>> {
        let text = concat!(
            "SELECT seq, at, actor, action, target, reason, request, hash FROM audit WHERE ",
            wanted!(),
            " AND seq < ?8 ORDER BY seq DESC LIMIT ?9"
        );
        let before = before.map_or(i64::MAX, position);
        let query = bound(sql(text), filter).bind(before).bind(size(limit));
        records(&self.rows("audit_before", query).await?)
    }

    async fn audit_count(&mut self, filter: &AuditFilter) -> Stored<u64> {
        let text = concat!("SELECT count(*) AS entries FROM audit WHERE ", wanted!());
        let row = self.row("audit_count", bound(sql(text), filter)).await?;
        Ok(one("audit", row.as_ref(), |row| row.number("entries"))?.unwrap_or(0))
    }
}

#[async_trait]
impl AuditWrite for Transaction {
    async fn audit_append(&mut self, entry: &AuditEntry) -> Stored<Seq> {
        let what = "audit_append";
        let row = self.row(what, sql("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")).await?;
        let last =
            one("audit", row.as_ref(), |row| Ok((row.seq("seq")?, Digest::from_bytes(row.bytes("hash")?))))?;
        let (last, previous) = last.unwrap_or((Seq::ZERO, Digest::ZERO));
        let seq = Seq(last.0.saturating_add(1));
        self.run(what, insert(seq, entry, &entry.chained(seq, &previous))).await?;
        Ok(seq)
    }
}

/// Writes a row; the migration uses it, too.
pub(crate) fn insert(seq: Seq, entry: &AuditEntry, hash: &Digest) -> Statement {
    sql("INSERT INTO audit (seq, at, actor, action, target, reason, request, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(int(seq.0))
        .bind(time(entry.at))
        .bind(entry.actor.clone())
        .bind(entry.action.clone())
        .bind(entry.target.clone())
        .bind(entry.reason.clone())
        .bind(entry.request.as_bytes().to_vec())
        .bind(hash.as_bytes().to_vec())
}
