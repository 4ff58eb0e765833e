//! Who is banned from this domain, why, and until when.

use async_trait::async_trait;
use qpq_core::Timestamp;
use qpq_storage::{Ban, BanKind, BanSubject, BansQuery, BansRead, BansWrite, Page, Stored};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, int, size, sql, time},
};

const fn number(kind: BanKind) -> i64 {
    match kind {
        BanKind::User => 0,
        BanKind::Domain => 1,
    }
}

fn ban(row: Fields<'_>) -> Stored<Ban> {
    ban_as(row, "since")
}

fn ban_as(row: Fields<'_>, since: &'static str) -> Stored<Ban> {
    Ok(Ban {
        subject: match row.int("kind")? {
            0 => BanSubject::User(row.parsed("subject")?),
            1 => BanSubject::Domain(row.parsed("subject")?),
            other => return Err(row.corrupt("kind", &other)),
        },
        reason: row.text("reason")?,
        by: row.text("banned_by")?,
        since: row.time(since)?,
        until: row.optional_time("until")?,
    })
}

/// The ban beside a row of another table, if there is one.
pub(crate) fn joined(row: Fields<'_>) -> Stored<Option<Ban>> {
    joined_as(row, "since")
}

/// The same where the other table has a `since` of its own.
pub(crate) fn joined_as(row: Fields<'_>, since: &'static str) -> Stored<Option<Ban>> {
    match row.optional_text("subject")? {
        Some(_) => ban_as(row, since).map(Some),
        None => Ok(None),
    }
}

#[async_trait]
impl BansRead for Transaction {
    async fn ban(&mut self, subject: &BanSubject) -> Stored<Option<Ban>> {
        let query = sql("SELECT subject, kind, reason, banned_by, since, until FROM bans WHERE subject = ?")
            .bind(subject.to_string());
        let row = self.row("ban", query).await?;
        one("bans", row.as_ref(), ban)
    }

    async fn bans(&mut self, query: &BansQuery<'_>) -> Stored<Page<Ban>> {
        let count = sql("SELECT COUNT(*) AS total FROM bans
                         WHERE (?1 IS NULL OR kind = ?1) AND (?2 = '' OR instr(subject, ?2) > 0)")
        .bind(query.kind.map(number))
        .bind(query.search.to_owned());
        let row = self.row("bans", count).await?;
        let total = one("bans", row.as_ref(), |row| row.number("total"))?.unwrap_or(0);
        let page = sql("SELECT subject, kind, reason, banned_by, since, until FROM bans
                        WHERE (?1 IS NULL OR kind = ?1) AND (?2 = '' OR instr(subject, ?2) > 0)
                        ORDER BY since DESC, subject LIMIT ?3 OFFSET ?4")
        .bind(query.kind.map(number))
        .bind(query.search.to_owned())
        .bind(size(query.window.limit))
        .bind(int(query.window.offset));
        Ok(Page { rows: each("bans", &self.rows("bans", page).await?, ban)?, total })
    }

    async fn bans_due(&mut self, now: Timestamp, limit: usize) -> Stored<Vec<Ban>> {
        let query = sql("SELECT subject, kind, reason, banned_by, since, until FROM bans
                         WHERE until IS NOT NULL AND until <= ? ORDER BY until, subject LIMIT ?")
        .bind(time(now))
        .bind(size(limit));
        each("bans", &self.rows("bans_due", query).await?, ban)
    }

    async fn next_ban_end(&mut self) -> Stored<Option<Timestamp>> {
        let query = sql("SELECT MIN(until) AS until FROM bans WHERE until IS NOT NULL");
        let row = self.row("next_ban_end", query).await?;
        Ok(one("bans", row.as_ref(), |row| row.optional_time("until"))?.flatten())
    }
}

#[async_trait]
impl BansWrite for Transaction {
    async fn ban_store(&mut self, ban: &Ban) -> Stored<()> {
        let replace = sql("REPLACE INTO bans (subject, kind, reason, banned_by, since, until)
                           VALUES (?, ?, ?, ?, ?, ?)")
        .bind(ban.subject.to_string())
        .bind(number(ban.subject.kind()))
        .bind(ban.reason.clone())
        .bind(ban.by.clone())
        .bind(time(ban.since))
        .bind(ban.until.map(time));
        self.run("ban_store", replace).await.map(drop)
    }

    async fn ban_lift(&mut self, subject: &BanSubject) -> Stored<bool> {
        let delete = sql("DELETE FROM bans WHERE subject = ?").bind(subject.to_string());
        Ok(self.run("ban_lift", delete).await? > 0)
    }
}
