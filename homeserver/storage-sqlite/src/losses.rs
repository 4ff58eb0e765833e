//! Dead letters, gaps, pauses and the proof of a rollback.

use async_trait::async_trait;
use qpq_core::{Domain, MessageId, RequestId, Timestamp};
use qpq_storage::{
    DeadLetter, LossesRead, LossesWrite, Lost, NewOutboxRow, Page, Pause, Rollback, Stored, StreamGap, Window,
};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, int, position, size, sql, time},
};

const OURS: i64 = 0;
const THEIRS: i64 = 1;

fn letter(row: Fields<'_>) -> Stored<DeadLetter> {
    Ok(DeadLetter {
        id: row.number("id")?,
        row: NewOutboxRow {
            destination: row.parsed("destination")?,
            stream: row.bytes("stream")?,
            id: MessageId::from_bytes(row.bytes("message")?),
            kind: row.number("kind")?,
            expires_at: row.optional_time("expires_at")?,
            payload: row.blob("payload")?,
            at: row.time("accepted_at")?,
            request: row.optional_bytes("request")?.map(RequestId::from_bytes),
        },
        reason: row.text("reason")?,
        at: row.time("at")?,
    })
}

fn gap(row: Fields<'_>) -> Stored<StreamGap> {
    let lost = match row.int("direction")? {
        OURS => Lost::Ours,
        THEIRS => Lost::Theirs,
        other => return Err(row.corrupt("direction", &format!("{other} is no direction"))),
    };
    Ok(StreamGap {
        lost,
        domain: row.parsed("domain")?,
        stream: row.bytes("stream")?,
        first: row.seq("first")?,
        through: row.seq("through")?,
        at: row.time("at")?,
    })
}

#[async_trait]
impl LossesRead for Transaction {
    async fn dead_letters(
        &mut self,
        destination: Option<&Domain>,
        window: Window,
    ) -> Stored<Page<DeadLetter>> {
        let what = "dead_letters";
        let of = destination.map(ToString::to_string);
        let count = sql("SELECT COUNT(*) AS total FROM dead_letters WHERE ?1 IS NULL OR destination = ?1");
        let row = self.row(what, count.bind(of.clone())).await?;
        let total = one("dead_letters", row.as_ref(), |row| row.number("total"))?.unwrap_or(0);
        let page = sql("SELECT id, destination, stream, message, kind, expires_at, accepted_at, payload, request, reason, at
                        FROM dead_letters WHERE ?1 IS NULL OR destination = ?1 ORDER BY id LIMIT ?2 OFFSET ?3")
        .bind(of)
        .bind(size(window.limit))
        .bind(int(window.offset));
        Ok(Page { rows: each("dead_letters", &self.rows(what, page).await?, letter)?, total })
    }

    async fn dead_letter(&mut self, id: u64) -> Stored<Option<DeadLetter>> {
        let query = sql("SELECT id, destination, stream, message, kind, expires_at, accepted_at, payload, request, reason, at
                         FROM dead_letters WHERE id = ?")
        .bind(int(id));
        one("dead_letters", self.row("dead_letter", query).await?.as_ref(), letter)
    }

    async fn gaps(&mut self, domain: &Domain, limit: usize) -> Stored<Vec<StreamGap>> {
        let query = sql("SELECT direction, domain, stream, first, through, at FROM stream_gaps
                         WHERE domain = ? ORDER BY pk DESC LIMIT ?")
        .bind(domain.to_string())
        .bind(size(limit));
        each("stream_gaps", &self.rows("gaps", query).await?, gap)
    }

    async fn pause(&mut self, domain: &Domain) -> Stored<Option<Pause>> {
        let query = sql("SELECT reason, at FROM peer_pauses WHERE domain = ?").bind(domain.to_string());
        let row = self.row("pause", query).await?;
        one("peer_pauses", row.as_ref(), |row| Ok(Pause { reason: row.text("reason")?, at: row.time("at")? }))
    }

    async fn rollback(&mut self) -> Stored<Option<Rollback>> {
        let query = sql("SELECT shown_by, stream, evidence, later, at FROM rollbacks WHERE id = 1");
        let row = self.row("rollback", query).await?;
        one("rollbacks", row.as_ref(), |row| {
            Ok(Rollback {
                shown_by: row.parsed("shown_by")?,
                stream: row.bytes("stream")?,
                evidence: row.blob("evidence")?,
                later: row.optional_incarnation("later")?,
                at: row.time("at")?,
            })
        })
    }
}

#[async_trait]
impl LossesWrite for Transaction {
    async fn dead_letter_add(&mut self, row: &NewOutboxRow, reason: &str, now: Timestamp) -> Stored<u64> {
        let what = "dead_letter_add";
        let insert =
            sql("INSERT INTO dead_letters (destination, stream, message, kind, expires_at, accepted_at,
                                                    payload, request, reason, at)
                          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id")
            .bind(row.destination.to_string())
            .bind(row.stream.to_vec())
            .bind(row.id.as_bytes().to_vec())
            .bind(row.kind)
            .bind(row.expires_at.map(time))
            .bind(time(row.at))
            .bind(row.payload.clone())
            .bind(row.request.map(|id| id.as_bytes().to_vec()))
            .bind(reason.to_owned())
            .bind(time(now));
        let row = self.row(what, insert).await?;
        one("dead_letters", row.as_ref(), |row| row.number("id"))?.ok_or_else(|| self.conflict(what))
    }

    async fn dead_letter_take(&mut self, id: u64) -> Stored<Option<DeadLetter>> {
        let take = sql("DELETE FROM dead_letters WHERE id = ?
                        RETURNING id, destination, stream, message, kind, expires_at, accepted_at, payload, request, reason, at")
        .bind(int(id));
        let row = self.row("dead_letter_take", take).await?;
        one("dead_letters", row.as_ref(), letter)
    }

    async fn dead_letters_expire(&mut self, now: Timestamp, limit: usize) -> Stored<Vec<DeadLetter>> {
        let take = sql("DELETE FROM dead_letters WHERE id IN (
                            SELECT id FROM dead_letters WHERE expires_at <= ? ORDER BY id LIMIT ?)
                        RETURNING id, destination, stream, message, kind, expires_at, accepted_at, payload, request, reason, at")
        .bind(time(now))
        .bind(size(limit));
        let rows = self.rows_job("dead_letters_expire", take).await?;
        let mut letters = each("dead_letters", &rows, letter)?;
        letters.sort_unstable_by_key(|letter| letter.id);
        Ok(letters)
    }

    async fn gap_note(&mut self, gap: &StreamGap, most: usize) -> Stored<()> {
        let what = "gap_note";
        let insert = sql("INSERT INTO stream_gaps (direction, domain, stream, first, through, at)
                          VALUES (?, ?, ?, ?, ?, ?)")
        .bind(match gap.lost {
            Lost::Ours => OURS,
            Lost::Theirs => THEIRS,
        })
        .bind(gap.domain.to_string())
        .bind(gap.stream.to_vec())
        .bind(position(gap.first))
        .bind(position(gap.through))
        .bind(time(gap.at));
        self.run(what, insert).await?;
        let surplus = sql("DELETE FROM stream_gaps WHERE pk IN (
                               SELECT pk FROM stream_gaps WHERE domain = ? ORDER BY pk DESC LIMIT -1 OFFSET ?)")
        .bind(gap.domain.to_string())
        .bind(size(most));
        self.run(what, surplus).await.map(drop)
    }

    async fn pause_set(&mut self, domain: &Domain, pause: &Pause) -> Stored<()> {
        let replace = sql("REPLACE INTO peer_pauses (domain, reason, at) VALUES (?, ?, ?)")
            .bind(domain.to_string())
            .bind(pause.reason.clone())
            .bind(time(pause.at));
        self.run("pause_set", replace).await.map(drop)
    }

    async fn pause_end(&mut self, domain: &Domain) -> Stored<bool> {
        let delete = sql("DELETE FROM peer_pauses WHERE domain = ?").bind(domain.to_string());
        Ok(self.run("pause_end", delete).await? > 0)
    }

    async fn rollback_note(&mut self, rollback: &Rollback) -> Stored<()> {
        let insert =
            sql("INSERT INTO rollbacks (id, shown_by, stream, evidence, later, at) VALUES (1, ?, ?, ?, ?, ?)
                          ON CONFLICT (id) DO NOTHING")
            .bind(rollback.shown_by.to_string())
            .bind(rollback.stream.to_vec())
            .bind(rollback.evidence.clone())
            .bind(rollback.later.map(|later| later.to_bytes().to_vec()))
            .bind(time(rollback.at));
        self.run("rollback_note", insert).await.map(drop)
    }

    async fn rollback_clear(&mut self) -> Stored<()> {
        self.run("rollback_clear", sql("DELETE FROM rollbacks")).await.map(drop)
    }
}
