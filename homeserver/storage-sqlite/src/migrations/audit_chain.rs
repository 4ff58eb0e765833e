//! Chains the audit rows of before the chain, oldest first, renumbered without holes.

use qpq_core::{Digest, RequestId, Seq, Timestamp};
use qpq_storage::AuditEntry;
use sqlx::{Row as _, SqliteConnection};

/// Rows that are read at once.
const BATCH: i64 = 1_000;

/// Moves every row into the new table, with its hash.
pub(super) async fn apply(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let (mut seq, mut hash, mut former) = (Seq::ZERO, Digest::ZERO, 0_i64);
    loop {
        let select = "SELECT * FROM audit_unchained WHERE seq > ? ORDER BY seq LIMIT ?";
        let rows = sqlx::query(select).bind(former).bind(BATCH).fetch_all(&mut *connection).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            former = row.try_get("seq")?;
            let at: i64 = row.try_get("at")?;
            let request: Vec<u8> = row.try_get("request")?;
            let entry = AuditEntry {
                at: Timestamp::from_millis(u64::try_from(at).unwrap_or(0)),
                actor: row.try_get("actor")?,
                action: row.try_get("action")?,
                target: row.try_get("target")?,
                reason: row.try_get("reason")?,
                request: RequestId::from_slice(&request)
                    .ok_or_else(|| sqlx::Error::Decode("a request id in `audit` has not 16 bytes".into()))?,
            };
            seq = Seq(seq.0.saturating_add(1));
            hash = entry.chained(seq, &hash);
            crate::audit::insert(seq, &entry, &hash).execute(&mut *connection).await?;
        }
    }
    sqlx::query("DROP TABLE audit_unchained").execute(connection).await?;
    Ok(())
}
