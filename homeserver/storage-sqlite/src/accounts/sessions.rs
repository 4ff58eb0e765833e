//! Sessions of devices.

use qpq_core::{AccountId, DeviceId, Digest, SessionId, Timestamp};
use qpq_storage::{Resumed, Session, Stored};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, size, sql, time},
};

fn session(row: Fields<'_>) -> Stored<Session> {
    Ok(Session {
        id: SessionId::from_bytes(row.bytes("id")?),
        account: AccountId::from_bytes(row.bytes("account")?),
        device: DeviceId::from_bytes(row.bytes("device")?),
        opened_at: row.time("opened_at")?,
        resumed_at: row.time("resumed_at")?,
        resumable_until: row.time("resumable_until")?,
    })
}

impl Transaction {
    pub(super) async fn session_of_id(&mut self, id: &SessionId) -> Stored<Option<Session>> {
        let query = sql("SELECT id, account, device, opened_at, resumed_at, resumable_until
                         FROM sessions WHERE id = ?")
        .bind(id.as_bytes().to_vec());
        let row = self.row("session", query).await?;
        one("sessions", row.as_ref(), session)
    }

    pub(super) async fn session_of_hash(
        &mut self,
        what: &'static str,
        token: &Digest,
    ) -> Stored<Option<Session>> {
        let query = sql("SELECT id, account, device, opened_at, resumed_at, resumable_until
                         FROM sessions WHERE token = ?")
        .bind(token.as_bytes().to_vec());
        let row = self.row(what, query).await?;
        one("sessions", row.as_ref(), session)
    }

    pub(super) async fn sessions_of(
        &mut self,
        account: Option<&AccountId>,
        limit: usize,
    ) -> Stored<Vec<Session>> {
        let query = match account {
            None => sql("SELECT id, account, device, opened_at, resumed_at, resumable_until
                         FROM sessions ORDER BY opened_at DESC, id LIMIT ?"),
            Some(account) => sql("SELECT id, account, device, opened_at, resumed_at, resumable_until
                                  FROM sessions WHERE account = ? ORDER BY opened_at DESC, id LIMIT ?")
            .bind(account.as_bytes().to_vec()),
        };
        each("sessions", &self.rows("sessions", query.bind(size(limit))).await?, session)
    }

    async fn saw(&mut self, what: &'static str, device: &DeviceId, at: Timestamp) -> Stored<()> {
        let update = sql("UPDATE devices SET last_seen_at = MAX(last_seen_at, ?) WHERE id = ?")
            .bind(time(at))
            .bind(device.as_bytes().to_vec());
        self.run(what, update).await?;
        let update = sql("UPDATE accounts SET last_seen_at = MAX(last_seen_at, ?)
                          WHERE id = (SELECT account FROM devices WHERE id = ?)")
        .bind(time(at))
        .bind(device.as_bytes().to_vec());
        self.run(what, update).await.map(drop)
    }

    pub(super) async fn open_session(&mut self, session: &Session, token: &Digest) -> Stored<()> {
        let what = "session_open";
        let insert = sql("INSERT INTO sessions (id, account, device, token, opened_at, resumed_at,
                                                resumable_until)
                          SELECT ?, account, id, ?, ?, ?, ? FROM devices
                          WHERE id = ? AND account = ? AND revoked_at IS NULL")
        .bind(session.id.as_bytes().to_vec())
        .bind(token.as_bytes().to_vec())
        .bind(time(session.opened_at))
        .bind(time(session.resumed_at))
        .bind(time(session.resumable_until))
        .bind(session.device.as_bytes().to_vec())
        .bind(session.account.as_bytes().to_vec());
        if self.run(what, insert).await? == 0 {
            return Err(self.conflict(what));
        }
        self.saw(what, &session.device, session.opened_at).await
    }

    pub(super) async fn resume(
        &mut self,
        token: &Digest,
        next: &Digest,
        now: Timestamp,
        resumable_until: Timestamp,
    ) -> Stored<Resumed> {
        let what = "session_resume";
        let Some(found) = self.session_of_hash(what, token).await? else { return Ok(Resumed::Unknown) };
        if found.resumable_until <= now {
            return Ok(Resumed::Expired);
        }
        let update = sql("UPDATE sessions SET token = ?, resumed_at = ?, resumable_until = ? WHERE id = ?")
            .bind(next.as_bytes().to_vec())
            .bind(time(now))
            .bind(time(resumable_until))
            .bind(found.id.as_bytes().to_vec());
        self.run(what, update).await?;
        self.saw(what, &found.device, now).await?;
        Ok(Resumed::Resumed(Session { resumed_at: now, resumable_until, ..found }))
    }
}
