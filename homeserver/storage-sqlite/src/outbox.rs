//! Rows on their way to peers.

mod upkeep;

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use qpq_core::{Digest, Domain, MessageId, Millis, RequestId, Seq, Timestamp};
use qpq_storage::{
    Backoff, NewOutboxRow, OutboxDepth, OutboxHead, OutboxLane, OutboxRead, OutboxRow, OutboxWeight,
    OutboxWrite, Page, QueueLine, Stored, StreamName, WaitingRow, Window,
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

fn outbox_head(row: Fields<'_>) -> Stored<OutboxHead> {
    Ok(OutboxHead {
        lane: OutboxLane { incarnation: row.incarnation("incarnation")?, stream: row.bytes("stream")? },
        acknowledged: row.seq("acknowledged_seq")?,
        chain: row.optional_bytes("chain")?.map(Digest::from_bytes),
        last: row.seq("last_seq")?,
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
        let query = sql("SELECT incarnation, stream, acknowledged_seq, chain, last_seq FROM outbox_streams
                         WHERE destination = ? AND acknowledged_seq < last_seq ORDER BY incarnation, stream")
        .bind(destination.to_string());
        each("outbox_streams", &self.rows("outbox_heads", query).await?, outbox_head)
    }

    async fn outbox_lanes(&mut self, destination: &Domain) -> Stored<Vec<OutboxHead>> {
        let query = sql("SELECT incarnation, stream, acknowledged_seq, chain, last_seq FROM outbox_streams
                         WHERE destination = ? ORDER BY incarnation, stream")
        .bind(destination.to_string());
        each("outbox_streams", &self.rows("outbox_lanes", query).await?, outbox_head)
    }

    async fn outbox_rows(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        from: Seq,
        limit: usize,
        bytes: usize,
    ) -> Stored<Vec<OutboxRow>> {
        let what = "outbox_rows";
        let query =
            sql("SELECT o.pk, o.seq, s.destination, s.stream, o.id, o.kind, o.expires_at, o.at, o.request, o.payload
                         FROM outbox_streams s JOIN outbox o ON o.stream_pk = s.pk
                         WHERE s.destination = ? AND s.incarnation = ? AND s.stream = ? AND o.seq >= ?
                         ORDER BY o.seq LIMIT ?")
            .bind(destination.to_string())
            .bind(lane.incarnation.to_bytes().to_vec())
            .bind(lane.stream.to_vec())
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

    async fn outbox_weight(&mut self, destination: &Domain) -> Stored<OutboxWeight> {
        let query = sql("SELECT destination, rows, bytes FROM outbox_queues WHERE destination = ?")
            .bind(destination.to_string());
        let row = self.row("outbox_weight", query).await?;
        let weight = one("outbox_queues", row.as_ref(), |row| {
            Ok(OutboxWeight { rows: row.number("rows")?, bytes: row.number("bytes")? })
        })?;
        Ok(weight.unwrap_or_default())
    }

    async fn outbox_overdue(
        &mut self,
        accepted_before: Timestamp,
        tombstone: u16,
        limit: usize,
    ) -> Stored<Vec<WaitingRow>> {
        self.overdue(accepted_before, tombstone, limit).await
    }

    async fn outbox_depth(&mut self, destination: &Domain) -> Stored<OutboxDepth> {
        let query =
            sql("SELECT COALESCE((SELECT rows FROM outbox_queues WHERE destination = ?1), 0) AS waiting,
                                COALESCE((SELECT bytes FROM outbox_queues WHERE destination = ?1), 0) AS bytes,
                                MIN((SELECT o.at FROM outbox o WHERE o.stream_pk = s.pk AND o.seq > s.acknowledged_seq
                                     ORDER BY o.seq LIMIT 1)) AS oldest_at,
                                (SELECT COALESCE(SUM(a.rows), 0) FROM outbox_acknowledgements a
                                 WHERE a.destination = ?1) AS kept
                         FROM outbox_streams s
                         WHERE s.destination = ?1 AND s.acknowledged_seq < s.last_seq")
            .bind(destination.to_string());
        depth(self.row("outbox_depth", query).await?.as_ref())
    }

    async fn outbox_queue(&mut self, destination: &Domain, window: Window) -> Stored<Page<QueueLine>> {
        let what = "outbox_queue";
        let count = sql("SELECT COUNT(*) AS total FROM outbox_streams
                         WHERE destination = ? AND acknowledged_seq < last_seq");
        let row = self.row(what, count.bind(destination.to_string())).await?;
        let total = one("outbox_streams", row.as_ref(), |row| row.number("total"))?.unwrap_or(0);
        let page = sql("SELECT s.incarnation, s.stream, s.acknowledged_seq, COUNT(o.pk) AS waiting,
                               COALESCE(SUM(o.bytes), 0) AS bytes, f.kind AS kind, f.at AS at
                        FROM (SELECT * FROM outbox_streams
                              WHERE destination = ?1 AND acknowledged_seq < last_seq
                              ORDER BY incarnation, stream LIMIT ?2 OFFSET ?3) s
                        LEFT JOIN outbox o ON o.stream_pk = s.pk AND o.seq > s.acknowledged_seq
                        LEFT JOIN outbox f ON f.stream_pk = s.pk AND f.seq = s.acknowledged_seq + 1
                        GROUP BY s.pk ORDER BY s.incarnation, s.stream")
        .bind(destination.to_string())
        .bind(size(window.limit))
        .bind(crate::transaction::int(window.offset));
        let rows = each("outbox_streams", &self.rows(what, page).await?, |row| {
            let first = match (row.optional_number("kind")?, row.optional_time("at")?) {
                (Some(kind), Some(at)) => Some((kind, at)),
                _ => None,
            };
            Ok(QueueLine {
                lane: OutboxLane {
                    incarnation: row.incarnation("incarnation")?,
                    stream: row.bytes("stream")?,
                },
                next: row.seq("acknowledged_seq")?.next(),
                rows: row.number("waiting")?,
                bytes: row.number("bytes")?,
                first,
            })
        })?;
        Ok(Page { rows, total })
    }

    async fn outbox_depth_of_all(&mut self) -> Stored<OutboxDepth> {
        let query =
            sql("SELECT COALESCE((SELECT SUM(rows) FROM outbox_queues), 0) AS waiting,
                                COALESCE((SELECT SUM(bytes) FROM outbox_queues), 0) AS bytes,
                                MIN((SELECT o.at FROM outbox o WHERE o.stream_pk = s.pk AND o.seq > s.acknowledged_seq
                                     ORDER BY o.seq LIMIT 1)) AS oldest_at,
                                (SELECT COALESCE(SUM(a.rows), 0) FROM outbox_acknowledgements a) AS kept
                         FROM outbox_streams s
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
        let mut more: BTreeMap<&Domain, (i64, i64)> = BTreeMap::new();
        for row in rows {
            *counts.entry((&row.destination, &row.stream)).or_default() += 1;
            let (count, bytes) = more.entry(&row.destination).or_default();
            *count += 1;
            *bytes += size(row.payload.len());
        }
        for (destination, (count, bytes)) in more {
            self.queue_changed(what, destination, count, bytes).await?;
        }
        let mut next: BTreeMap<(&Domain, &StreamName), (i64, Seq)> = BTreeMap::new();
        for ((destination, stream), count) in counts {
            let reserve =
                sql("INSERT INTO outbox_streams (destination, incarnation, stream, last_seq, acknowledged_seq)
                               SELECT ?1, v.incarnation, ?2, ?3, 0 FROM vault v WHERE v.id = 1
                               ON CONFLICT (destination, incarnation, stream) DO UPDATE SET last_seq = last_seq + ?3
                               RETURNING pk, last_seq - ?3 AS before")
            .bind(destination.to_string())
            .bind(stream.to_vec())
            .bind(crate::transaction::int(count));
            let row = self.row(what, reserve).await?;
            let stream_row =
                one("outbox_streams", row.as_ref(), |row| Ok((row.int("pk")?, row.seq("before")?)))?;
            let stream_row = stream_row.ok_or_else(|| self.conflict(what))?;
            next.insert((destination, stream), stream_row);
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
        lane: &OutboxLane,
        through: Seq,
        chain: Option<&Digest>,
        now: Timestamp,
    ) -> Stored<()> {
        self.acknowledge_lane(destination, lane, through, chain, now).await
    }

    async fn outbox_rewind(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        to: Seq,
        chain: &Digest,
    ) -> Stored<()> {
        self.rewind_lane(destination, lane, to, chain).await
    }

    async fn outbox_forget(&mut self, destination: &Domain, lane: &OutboxLane, through: Seq) -> Stored<()> {
        self.forget_kept(destination, lane, through).await
    }

    async fn outbox_bury(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        seq: Seq,
        tombstone: u16,
        payload: &[u8],
    ) -> Stored<Option<OutboxRow>> {
        let what = "outbox_bury";
        let query =
            sql("SELECT o.pk, o.seq, s.destination, s.stream, o.id, o.kind, o.expires_at, o.at, o.request, o.payload
                         FROM outbox o JOIN outbox_streams s ON s.pk = o.stream_pk
                         WHERE s.destination = ? AND s.incarnation = ? AND s.stream = ? AND o.seq = ?
                           AND o.seq > s.acknowledged_seq AND o.kind <> ?")
            .bind(destination.to_string())
            .bind(lane.incarnation.to_bytes().to_vec())
            .bind(lane.stream.to_vec())
            .bind(position(seq))
            .bind(tombstone);
        let row = self.row(what, query).await?;
        let found = one("outbox", row.as_ref(), |row| Ok((row.int("pk")?, outbox_row(row)?)))?;
        let Some((pk, row)) = found else { return Ok(None) };
        self.bury(what, pk, &row, tombstone, payload).await?;
        Ok(Some(row))
    }

    async fn outbox_renumber(&mut self) -> Stored<u64> {
        self.renumber_older_lives().await
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
        for (pk, row) in &expired {
            self.bury(what, *pk, row, tombstone, payload).await?;
        }
        Ok(expired.into_iter().map(|(_, row)| row).collect())
    }

    async fn outbox_take(&mut self, destination: &Domain, limit: usize) -> Stored<Vec<OutboxRow>> {
        self.take_waiting(destination, limit).await
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
