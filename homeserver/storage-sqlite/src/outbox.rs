//! Rows on their way to peers.

mod upkeep;

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use qpq_core::{Digest, Domain, MessageId, Millis, RequestId, Seq, Timestamp};
use qpq_storage::{
    Backoff, NewOutboxRow, OutboxDepth, OutboxHead, OutboxRead, OutboxRow, OutboxWrite, StorageError, Stored,
    StreamName,
};

use sqlx::sqlite::SqliteRow;

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, position, size, sql, time},
};

fn outbox_row(row: Fields<'_>) -> Stored<OutboxRow> {
    Ok(OutboxRow {
        seq: row.seq("seq")?,
        row: NewOutboxRow {
            destination: row.parsed("destination")?,
            stream: row.bytes("stream")?,
            id: MessageId::from_bytes(row.bytes("id")?),
            kind: row.number("kind")?,
            expires_at: row.optional_time("expires_at")?,
            payload: row.blob("payload")?,
            at: row.time("at")?,
            request: row.optional_bytes("request")?.map(RequestId::from_bytes),
        },
    })
}

#[async_trait]
impl OutboxRead for Transaction {
    async fn outbox_destinations(&mut self) -> Stored<Vec<Domain>> {
        let query = sql("SELECT DISTINCT destination FROM outbox_streams
                         WHERE acknowledged_seq < last_seq ORDER BY destination");
        let rows = self.rows("outbox_destinations", query).await?;
        each("outbox_streams", &rows, |row| row.parsed("destination"))
    }

    async fn outbox_heads(&mut self, destination: &Domain) -> Stored<Vec<OutboxHead>> {
        let query = sql("SELECT stream, acknowledged_seq, chain, last_seq FROM outbox_streams
                         WHERE destination = ? AND acknowledged_seq < last_seq ORDER BY stream")
        .bind(destination.to_string());
        each("outbox_streams", &self.rows("outbox_heads", query).await?, |row| {
            Ok(OutboxHead {
                stream: row.bytes("stream")?,
                acknowledged: row.seq("acknowledged_seq")?,
                chain: row.optional_bytes("chain")?.map(Digest::from_bytes),
                last: row.seq("last_seq")?,
            })
        })
    }

    async fn outbox_rows(
        &mut self,
        destination: &Domain,
        stream: &StreamName,
        from: Seq,
        limit: usize,
        bytes: usize,
    ) -> Stored<Vec<OutboxRow>> {
        let what = "outbox_rows";
        let query =
            sql("SELECT o.pk, o.seq, s.destination, s.stream, o.id, o.kind, o.expires_at, o.at, o.request, o.payload
                         FROM outbox_streams s JOIN outbox o ON o.stream_pk = s.pk
                         WHERE s.destination = ? AND s.stream = ? AND o.seq >= ?
                         ORDER BY o.seq LIMIT ?")
            .bind(destination.to_string())
            .bind(stream.to_vec())
            .bind(position(from))
            .bind(size(limit));
        let mut taken = 0;
        let mut found = Vec::new();
        let mut failed = None;
        {
            let mut rows = query.fetch(self.connection(what, false)?);
            loop {
                match rows.try_next().await {
                    Ok(Some(row)) => {
                        let row = outbox_row(Fields::of("outbox", &row))?;
                        taken += row.row.payload.len();
                        if taken > bytes && !found.is_empty() {
                            break;
                        }
                        found.push(row);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
        }
        self.checked(what, failed.map_or(Ok(found), Err))
    }

    async fn outbox_depth(&mut self, destination: &Domain) -> Stored<OutboxDepth> {
        let query =
            sql("SELECT COUNT(*) AS waiting, COALESCE(SUM(o.bytes), 0) AS bytes, MIN(o.at) AS oldest_at,
                                (SELECT COALESCE(SUM(a.rows), 0) FROM outbox_acknowledgements a
                                 WHERE a.destination = ?1) AS kept
                         FROM outbox_streams s
                         JOIN outbox o ON o.stream_pk = s.pk AND o.seq > s.acknowledged_seq
                         WHERE s.destination = ?1 AND s.acknowledged_seq < s.last_seq")
            .bind(destination.to_string());
        depth(self.row("outbox_depth", query).await?.as_ref())
    }

    async fn outbox_depth_of_all(&mut self) -> Stored<OutboxDepth> {
        let query =
            sql("SELECT COUNT(*) AS waiting, COALESCE(SUM(o.bytes), 0) AS bytes, MIN(o.at) AS oldest_at,
                                (SELECT COALESCE(SUM(a.rows), 0) FROM outbox_acknowledgements a) AS kept
                         FROM outbox_streams s
                         JOIN outbox o ON o.stream_pk = s.pk AND o.seq > s.acknowledged_seq
                         WHERE s.acknowledged_seq < s.last_seq");
        depth(self.row("outbox_depth_of_all", query).await?.as_ref())
    }

    async fn outbox_backoff(&mut self, destination: &Domain) -> Stored<Backoff> {
        let query = sql("SELECT destination, failures, retry_at FROM outbox_backoffs WHERE destination = ?")
            .bind(destination.to_string());
        let row = self.row("outbox_backoff", query).await?;
        let backoff = one("outbox_backoffs", row.as_ref(), |row| {
            Ok(Backoff { failures: row.number("failures")?, retry_at: row.optional_time("retry_at")? })
        })?;
        Ok(backoff.unwrap_or_default())
    }
}

fn depth(row: Option<&SqliteRow>) -> Stored<OutboxDepth> {
    let depth = one("outbox", row, |row| {
        Ok(OutboxDepth {
            rows: row.number("waiting")?,
            bytes: row.number("bytes")?,
            oldest_at: row.optional_time("oldest_at")?,
            kept: row.number("kept")?,
        })
    })?;
    Ok(depth.unwrap_or_default())
}

#[async_trait]
impl OutboxWrite for Transaction {
    async fn outbox_append(&mut self, rows: &[NewOutboxRow]) -> Stored<Vec<Seq>> {
        let what = "outbox_append";
        let mut counts: BTreeMap<(&Domain, &StreamName), u64> = BTreeMap::new();
        for row in rows {
            *counts.entry((&row.destination, &row.stream)).or_default() += 1;
        }
        let mut next: BTreeMap<(&Domain, &StreamName), (i64, Seq)> = BTreeMap::new();
        for ((destination, stream), count) in counts {
            let reserve = sql("INSERT INTO outbox_streams (destination, stream, last_seq, acknowledged_seq)
                               VALUES (?1, ?2, ?3, 0)
                               ON CONFLICT (destination, stream) DO UPDATE SET last_seq = last_seq + ?3
                               RETURNING pk, last_seq - ?3 AS before")
            .bind(destination.to_string())
            .bind(stream.to_vec())
            .bind(crate::transaction::int(count));
            let row = self.row(what, reserve).await?;
            let stream_row =
                one("outbox_streams", row.as_ref(), |row| Ok((row.int("pk")?, row.seq("before")?)))?;
            next.insert((destination, stream), stream_row.ok_or(StorageError::Conflict { what })?);
        }
        let mut positions = Vec::with_capacity(rows.len());
        let mut numbered = Vec::with_capacity(rows.len());
        for row in rows {
            if let Some((pk, last)) = next.get_mut(&(&row.destination, &row.stream)) {
                *last = last.next();
                positions.push(*last);
                numbered.push((*pk, *last, row));
            }
        }
        let head =
            "INSERT INTO outbox (stream_pk, seq, id, kind, expires_at, at, bytes, payload, request) VALUES";
        self.insert_all(what, head, 9, &numbered, |statement, (stream, seq, row)| {
            statement
                .bind(*stream)
                .bind(position(*seq))
                .bind(row.id.as_bytes().to_vec())
                .bind(row.kind)
                .bind(row.expires_at.map(time))
                .bind(time(row.at))
                .bind(size(row.payload.len()))
                .bind(row.payload.clone())
                .bind(row.request.map(|id| id.as_bytes().to_vec()))
        })
        .await?;
        Ok(positions)
    }

    async fn outbox_acknowledge(
        &mut self,
        destination: &Domain,
        stream: &StreamName,
        through: Seq,
        chain: Option<&Digest>,
        now: Timestamp,
    ) -> Stored<()> {
        self.acknowledge_stream(destination, stream, through, chain, now).await
    }

    async fn outbox_expire(
        &mut self,
        now: Timestamp,
        tombstone: u16,
        payload: &[u8],
        limit: usize,
    ) -> Stored<Vec<OutboxRow>> {
        let what = "outbox_expire";
        let query =
            sql("SELECT o.pk, o.seq, s.destination, s.stream, o.id, o.kind, o.expires_at, o.at, o.request, o.payload
                         FROM outbox o JOIN outbox_streams s ON s.pk = o.stream_pk
                         WHERE o.expires_at <= ? AND o.seq > s.acknowledged_seq
                         ORDER BY o.expires_at LIMIT ?")
            .bind(time(now))
            .bind(size(limit));
        let rows = self.rows_job(what, query).await?;
        let expired = each("outbox", &rows, |row| Ok((row.int("pk")?, outbox_row(row)?)))?;
        for (pk, _) in &expired {
            let bury =
                sql("UPDATE outbox SET kind = ?, expires_at = NULL, bytes = ?, payload = ? WHERE pk = ?")
                    .bind(tombstone)
                    .bind(size(payload.len()))
                    .bind(payload.to_vec())
                    .bind(*pk);
            self.run(what, bury).await?;
        }
        Ok(expired.into_iter().map(|(_, row)| row).collect())
    }

    async fn outbox_purge(&mut self, now: Timestamp, retain: Millis, most_bytes: u64) -> Stored<u64> {
        self.purge_kept(now, retain, most_bytes).await
    }

    async fn outbox_backoff_store(&mut self, destination: &Domain, backoff: &Backoff) -> Stored<()> {
        let replace = sql("REPLACE INTO outbox_backoffs (destination, failures, retry_at) VALUES (?, ?, ?)")
            .bind(destination.to_string())
            .bind(backoff.failures)
            .bind(backoff.retry_at.map(time));
        self.run("outbox_backoff_store", replace).await.map(drop)
    }
}
