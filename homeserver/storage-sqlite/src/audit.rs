//! What admins did.

use async_trait::async_trait;
use qpq_core::{RequestId, Seq};
use qpq_storage::{AuditEntry, AuditRead, AuditWrite, StorageError, Stored};

use crate::{
    fields::{each, one},
    transaction::{Transaction, position, size, sql, time},
};

#[async_trait]
impl AuditRead for Transaction {
    async fn audit_after(&mut self, after: Seq, limit: usize) -> Stored<Vec<(Seq, AuditEntry)>> {
        let query = sql("SELECT seq, at, actor, action, target, reason, request FROM audit
                         WHERE seq > ? ORDER BY seq LIMIT ?")
        .bind(position(after))
        .bind(size(limit));
        each("audit", &self.rows("audit_after", query).await?, |row| {
            let entry = AuditEntry {
                at: row.time("at")?,
                actor: row.text("actor")?,
                action: row.text("action")?,
                target: row.text("target")?,
                reason: row.text("reason")?,
                request: RequestId::from_bytes(row.bytes("request")?),
            };
            Ok((row.seq("seq")?, entry))
        })
    }
}

#[async_trait]
impl AuditWrite for Transaction {
    async fn audit_append(&mut self, entry: &AuditEntry) -> Stored<Seq> {
        let what = "audit_append";
        let insert = sql("INSERT INTO audit (at, actor, action, target, reason, request)
                          VALUES (?, ?, ?, ?, ?, ?) RETURNING seq")
        .bind(time(entry.at))
        .bind(entry.actor.clone())
        .bind(entry.action.clone())
        .bind(entry.target.clone())
        .bind(entry.reason.clone())
        .bind(entry.request.as_bytes().to_vec());
        let row = self.row(what, insert).await?;
        let seq = one("audit", row.as_ref(), |row| row.seq("seq"))?;
        seq.ok_or(StorageError::Conflict { what })
    }
}
