//! Signed-in browsers.

use qpq_core::{AdminId, ConsoleSessionId, Digest, Timestamp};
use qpq_storage::{ConsoleSession, SessionLife, Stored};

use super::bytes;
use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, sql, time},
};

fn session(row: Fields<'_>) -> Stored<ConsoleSession> {
    Ok(ConsoleSession {
        id: ConsoleSessionId::from_bytes(row.bytes("id")?),
        admin: AdminId::from_bytes(row.bytes("admin")?),
        opened_at: row.time("opened_at")?,
        proved_at: row.time("proved_at")?,
        seen_at: row.time("seen_at")?,
        address: row.text("address")?,
        agent: row.text("agent")?,
    })
}

impl Transaction {
    pub(super) async fn session_with(
        &mut self,
        cookie: &Digest,
        life: &SessionLife,
    ) -> Stored<Option<ConsoleSession>> {
        let query = sql("SELECT id, admin, opened_at, proved_at, seen_at, address, agent
                         FROM console_sessions WHERE cookie = ?4
                            AND opened_at BETWEEN ?1 AND ?3 AND seen_at BETWEEN ?2 AND ?3")
        .bind(time(life.opened_from()))
        .bind(time(life.seen_from()))
        .bind(time(life.now))
        .bind(cookie.as_bytes().to_vec());
        let row = self.row("console_session", query).await?;
        one("console_sessions", row.as_ref(), session)
    }

    pub(super) async fn live_sessions(
        &mut self,
        admin: Option<&AdminId>,
        life: &SessionLife,
    ) -> Stored<Vec<ConsoleSession>> {
        let query = sql("SELECT id, admin, opened_at, proved_at, seen_at, address, agent
                         FROM console_sessions WHERE (?4 IS NULL OR admin = ?4)
                            AND opened_at BETWEEN ?1 AND ?3 AND seen_at BETWEEN ?2 AND ?3
                         ORDER BY opened_at DESC, id")
        .bind(time(life.opened_from()))
        .bind(time(life.seen_from()))
        .bind(time(life.now))
        .bind(admin.map(bytes));
        each("console_sessions", &self.rows("console_sessions", query).await?, session)
    }

    pub(super) async fn open_console_session(
        &mut self,
        session: &ConsoleSession,
        cookie: &Digest,
    ) -> Stored<()> {
        let insert = sql("INSERT INTO console_sessions
                          (id, cookie, admin, opened_at, proved_at, seen_at, address, agent)
                          VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(session.id.as_bytes().to_vec())
        .bind(cookie.as_bytes().to_vec())
        .bind(bytes(&session.admin))
        .bind(time(session.opened_at))
        .bind(time(session.proved_at))
        .bind(time(session.seen_at))
        .bind(session.address.clone())
        .bind(session.agent.clone());
        self.run("console_session_open", insert).await.map(drop)
    }

    pub(super) async fn session_seen(&mut self, id: &ConsoleSessionId, at: Timestamp) -> Stored<()> {
        let update = sql("UPDATE console_sessions SET seen_at = ? WHERE id = ?")
            .bind(time(at))
            .bind(id.as_bytes().to_vec());
        self.run("console_session_seen", update).await.map(drop)
    }

    pub(super) async fn end_session(&mut self, id: &ConsoleSessionId) -> Stored<bool> {
        let delete = sql("DELETE FROM console_sessions WHERE id = ?").bind(id.as_bytes().to_vec());
        Ok(self.run("console_session_end", delete).await? > 0)
    }

    pub(super) async fn end_sessions(
        &mut self,
        admin: &AdminId,
        besides: Option<&ConsoleSessionId>,
    ) -> Stored<u64> {
        let delete = sql("DELETE FROM console_sessions WHERE admin = ? AND id IS NOT ?")
            .bind(bytes(admin))
            .bind(besides.map(|id| id.as_bytes().to_vec()));
        self.run("console_sessions_end", delete).await
    }

    pub(super) async fn expire_sessions(&mut self, life: &SessionLife) -> Stored<u64> {
        let delete = sql("DELETE FROM console_sessions
                          WHERE NOT (opened_at BETWEEN ?1 AND ?3 AND seen_at BETWEEN ?2 AND ?3)")
        .bind(time(life.opened_from()))
        .bind(time(life.seen_from()))
        .bind(time(life.now));
        self.run("console_expire", delete).await
    }
}
