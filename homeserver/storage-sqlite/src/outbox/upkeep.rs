//! Acknowledged rows: kept for a while, sent again if they must be, then purged; what waits in older lives or for a removed
//! peer.

use qpq_core::{Digest, Domain, Millis, Seq, Timestamp};
use qpq_storage::{OutboxLane, OutboxRow, Stored, WaitingRow};

use super::outbox_row;
use crate::{
    fields::{each, one},
    transaction::{Transaction, int, position, size, sql, time},
};

impl Transaction {
    /// Moves a stream's mark and notes when, once for all rows in between: rewriting each row would cost as much as
    /// storing it again.
    pub(super) async fn acknowledge_lane(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        through: Seq,
        chain: Option<&Digest>,
        now: Timestamp,
    ) -> Stored<()> {
        let what = "outbox_acknowledge";
        let Some((pk, before, last)) = self.lane(what, destination, lane).await? else { return Ok(()) };
        let through = through.min(last);
        if through <= before {
            return Ok(());
        }
        let advance = sql("UPDATE outbox_streams SET acknowledged_seq = ?, chain = ? WHERE pk = ?")
            .bind(position(through))
            .bind(chain.map(|chain| chain.as_bytes().to_vec()))
            .bind(pk);
        self.run(what, advance).await?;
        let note =
            sql("INSERT INTO outbox_acknowledgements (destination, stream_pk, through, at, rows, bytes)
                        SELECT ?1, ?2, ?3, ?4, COUNT(*), COALESCE(SUM(bytes), 0) FROM outbox
                        WHERE stream_pk = ?2 AND seq > ?5 AND seq <= ?3
                        RETURNING rows, bytes")
            .bind(destination.to_string())
            .bind(pk)
            .bind(position(through))
            .bind(time(now))
            .bind(position(before));
        let row = self.row(what, note).await?;
        let noted =
            one("outbox_acknowledgements", row.as_ref(), |row| Ok((row.int("rows")?, row.int("bytes")?)))?;
        let (rows, bytes) = noted.unwrap_or_default();
        self.queue_changed(what, destination, -rows, -bytes).await
    }

    /// So many rows and bytes more wait for a destination, or less.
    pub(super) async fn queue_changed(
        &mut self,
        what: &'static str,
        destination: &Domain,
        rows: i64,
        bytes: i64,
    ) -> Stored<()> {
        let change = sql("INSERT INTO outbox_queues (destination, rows, bytes) VALUES (?1, ?2, ?3)
                          ON CONFLICT (destination) DO UPDATE SET rows = rows + ?2, bytes = bytes + ?3")
        .bind(destination.to_string())
        .bind(rows)
        .bind(bytes);
        self.run(what, change).await.map(drop)
    }

    /// The lane's row, its last acknowledged and its last number.
    async fn lane(
        &mut self,
        what: &'static str,
        destination: &Domain,
        lane: &OutboxLane,
    ) -> Stored<Option<(i64, Seq, Seq)>> {
        let query = sql("SELECT pk, acknowledged_seq, last_seq FROM outbox_streams
                         WHERE destination = ? AND incarnation = ? AND stream = ?")
        .bind(destination.to_string())
        .bind(lane.incarnation.to_bytes().to_vec())
        .bind(lane.stream.to_vec());
        let row = self.row(what, query).await?;
        one("outbox_streams", row.as_ref(), |row| {
            Ok((row.int("pk")?, row.seq("acknowledged_seq")?, row.seq("last_seq")?))
        })
    }

    /// Moves a lane's mark back. A note that reaches beyond it is cut: what is left of it stays kept.
    pub(super) async fn rewind_lane(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        to: Seq,
        chain: &Digest,
    ) -> Stored<()> {
        let what = "outbox_rewind";
        let Some((pk, before, _)) = self.lane(what, destination, lane).await? else { return Ok(()) };
        if to > before {
            return Ok(());
        }
        let move_back = sql("UPDATE outbox_streams SET acknowledged_seq = ?, chain = ? WHERE pk = ?")
            .bind(position(to))
            .bind(chain.as_bytes().to_vec())
            .bind(pk);
        self.run(what, move_back).await?;
        let query = sql("SELECT COUNT(*) AS rows, COALESCE(SUM(bytes), 0) AS bytes FROM outbox
                         WHERE stream_pk = ? AND seq > ? AND seq <= ?")
        .bind(pk)
        .bind(position(to))
        .bind(position(before));
        let row = self.row(what, query).await?;
        let again = one("outbox", row.as_ref(), |row| Ok((row.int("rows")?, row.int("bytes")?)))?;
        let (rows, bytes) = again.unwrap_or_default();
        self.queue_changed(what, destination, rows, bytes).await?;
        let query = sql("SELECT MIN(through) AS through, MIN(at) AS at FROM outbox_acknowledgements
                         WHERE stream_pk = ? AND through > ?")
        .bind(pk)
        .bind(position(to));
        let row = self.row(what, query).await?;
        let cut = one("outbox_acknowledgements", row.as_ref(), |row| row.optional_time("at"))?.flatten();
        let notes = sql("DELETE FROM outbox_acknowledgements WHERE stream_pk = ? AND through > ?");
        self.run(what, notes.bind(pk).bind(position(to))).await?;
        let Some(at) = cut else { return Ok(()) };
        let note =
            sql("INSERT INTO outbox_acknowledgements (destination, stream_pk, through, at, rows, bytes)
                        SELECT ?1, ?2, ?3, ?4, COUNT(*), COALESCE(SUM(bytes), 0) FROM outbox
                        WHERE stream_pk = ?2 AND seq <= ?3 AND seq > COALESCE(
                            (SELECT MAX(through) FROM outbox_acknowledgements WHERE stream_pk = ?2), 0)
                        HAVING COUNT(*) > 0")
            .bind(destination.to_string())
            .bind(pk)
            .bind(position(to))
            .bind(time(at));
        self.run(what, note).await.map(drop)
    }

    /// Forgets kept rows that need not be kept. A note that reaches beyond them is cut.
    pub(super) async fn forget_kept(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        through: Seq,
    ) -> Stored<()> {
        let what = "outbox_forget";
        let Some((pk, acknowledged, _)) = self.lane(what, destination, lane).await? else { return Ok(()) };
        let through = position(through.min(acknowledged));
        let rows = sql("DELETE FROM outbox WHERE stream_pk = ? AND seq <= ?").bind(pk).bind(through);
        self.run(what, rows).await?;
        let notes = sql("DELETE FROM outbox_acknowledgements WHERE stream_pk = ? AND through <= ?");
        self.run(what, notes.bind(pk).bind(through)).await?;
        let recount = sql("UPDATE outbox_acknowledgements AS a SET (rows, bytes) = (
                               SELECT COUNT(*), COALESCE(SUM(o.bytes), 0) FROM outbox o
                               WHERE o.stream_pk = a.stream_pk AND o.seq <= a.through)
                           WHERE a.pk = (SELECT pk FROM outbox_acknowledgements
                                         WHERE stream_pk = ? ORDER BY through LIMIT 1)");
        self.run(what, recount.bind(pk)).await.map(drop)
    }

    /// Turns a waiting row into a tombstone under its number.
    pub(super) async fn bury(
        &mut self,
        what: &'static str,
        pk: i64,
        row: &OutboxRow,
        tombstone: u16,
        payload: &[u8],
    ) -> Stored<()> {
        let change = size(payload.len()) - size(row.row.payload.len());
        self.queue_changed(what, &row.row.destination, 0, change).await?;
        let bury = sql("UPDATE outbox SET kind = ?, expires_at = NULL, bytes = ?, payload = ? WHERE pk = ?")
            .bind(tombstone)
            .bind(size(payload.len()))
            .bind(payload.to_vec())
            .bind(pk);
        self.run(what, bury).await.map(drop)
    }

    /// Numbers what waits in lanes of other lives anew, before what waits in ours. Our own waiting rows move out of the way
    /// first, beyond every number that will be used.
    pub(super) async fn renumber_older_lives(&mut self) -> Stored<u64> {
        let what = "outbox_renumber";
        let query = sql("SELECT s.pk, s.destination, s.stream, v.incarnation FROM outbox_streams s, vault v
                         WHERE s.acknowledged_seq < s.last_seq AND s.incarnation <> v.incarnation
                         ORDER BY s.incarnation DESC, s.pk");
        let rows = self.rows_job(what, query).await?;
        let older = each("outbox_streams", &rows, |row| {
            let lane =
                OutboxLane { incarnation: row.incarnation("incarnation")?, stream: row.bytes("stream")? };
            Ok((row.int("pk")?, row.parsed::<Domain>("destination")?, lane))
        })?;
        let mut moved = 0;
        // The latest life first: each older one goes before what is there already.
        for (from, destination, lane) in older {
            moved += self.renumber_lane(what, from, &destination, &lane).await?;
        }
        Ok(moved)
    }

    async fn renumber_lane(
        &mut self,
        what: &'static str,
        from: i64,
        destination: &Domain,
        lane: &OutboxLane,
    ) -> Stored<u64> {
        let reserve = sql(
            "INSERT INTO outbox_streams (destination, incarnation, stream, last_seq, acknowledged_seq)
                           VALUES (?, ?, ?, 0, 0)
                           ON CONFLICT (destination, incarnation, stream) DO UPDATE SET pk = pk RETURNING pk",
        )
        .bind(destination.to_string())
        .bind(lane.incarnation.to_bytes().to_vec())
        .bind(lane.stream.to_vec());
        let row = self.row(what, reserve).await?;
        let Some(to) = one("outbox_streams", row.as_ref(), |row| row.int("pk"))? else {
            return Err(self.conflict(what));
        };
        let query =
            sql("SELECT COUNT(*) AS waiting FROM outbox o JOIN outbox_streams s ON s.pk = o.stream_pk
                         WHERE s.pk = ? AND o.seq > s.acknowledged_seq")
            .bind(from);
        let row = self.row(what, query).await?;
        let count: i64 = one("outbox", row.as_ref(), |row| row.int("waiting"))?.unwrap_or(0);
        // Numbers are unique at every moment, so what stands where the others go moves away first and back then.
        for step in [
            "UPDATE outbox SET seq = -seq WHERE stream_pk = ?2
                 AND seq > (SELECT acknowledged_seq FROM outbox_streams WHERE pk = ?2) AND ?1 = ?1 AND ?3 = ?3",
            "UPDATE outbox SET seq = ?3 - seq WHERE stream_pk = ?2 AND seq < 0 AND ?1 = ?1",
            "UPDATE outbox AS o SET stream_pk = ?2, seq = moved.seq FROM (
                 SELECT w.pk, (SELECT acknowledged_seq FROM outbox_streams WHERE pk = ?2)
                              + ROW_NUMBER() OVER (ORDER BY w.seq) AS seq
                 FROM outbox w JOIN outbox_streams s ON s.pk = w.stream_pk
                 WHERE s.pk = ?1 AND w.seq > s.acknowledged_seq) AS moved
             WHERE o.pk = moved.pk AND ?3 = ?3",
            "UPDATE outbox_streams SET last_seq = last_seq + ?3 WHERE pk = ?2 AND ?1 = ?1",
            "UPDATE outbox_streams SET last_seq = acknowledged_seq WHERE pk = ?1 AND ?2 = ?2 AND ?3 = ?3",
        ] {
            self.run_job(what, sql(step).bind(from).bind(to).bind(count)).await?;
        }
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Forgets kept rows, one acknowledgement's at a time.
    pub(super) async fn purge_kept(
        &mut self,
        now: Timestamp,
        retain: Millis,
        most_bytes: u64,
    ) -> Stored<u64> {
        let what = "outbox_purge";
        let query = sql("SELECT pk, stream_pk, through FROM (
                             SELECT pk, stream_pk, through, at,
                                    SUM(bytes) OVER (PARTITION BY destination ORDER BY pk DESC) AS newer
                             FROM outbox_acknowledgements)
                         WHERE at < ? OR newer > ?")
        .bind(time(now.before(retain)))
        .bind(int(most_bytes));
        let rows = self.rows_job(what, query).await?;
        let due = each("outbox_acknowledgements", &rows, |row| {
            Ok((row.int("pk")?, row.int("stream_pk")?, row.int("through")?))
        })?;
        let mut gone = 0;
        for (_, stream, through) in due {
            let rows = sql("DELETE FROM outbox WHERE stream_pk = ? AND seq <= ?").bind(stream).bind(through);
            gone += self.run_job(what, rows).await?;
            let notes = sql("DELETE FROM outbox_acknowledgements WHERE stream_pk = ? AND through <= ?");
            self.run_job(what, notes.bind(stream).bind(through)).await?;
        }
        Ok(gone)
    }

    /// Rows without an end that wait for too long.
    pub(super) async fn overdue(
        &mut self,
        accepted_before: Timestamp,
        tombstone: u16,
        limit: usize,
    ) -> Stored<Vec<WaitingRow>> {
        // The first two terms are those of the index.
        let query =
            sql("SELECT o.pk, o.seq, s.destination, s.incarnation, s.stream, o.id, o.kind, o.expires_at, o.at, o.request,
                                o.payload
                         FROM outbox o JOIN outbox_streams s ON s.pk = o.stream_pk
                         WHERE o.expires_at IS NULL AND o.kind <> 5 AND o.at < ? AND o.kind <> ?
                           AND o.seq > s.acknowledged_seq
                         ORDER BY o.at, s.destination, s.incarnation, s.stream, o.seq LIMIT ?")
            .bind(time(accepted_before))
            .bind(tombstone)
            .bind(size(limit));
        let rows = self.rows_job("outbox_overdue", query).await?;
        each("outbox", &rows, |row| {
            let lane =
                OutboxLane { incarnation: row.incarnation("incarnation")?, stream: row.bytes("stream")? };
            Ok(WaitingRow { lane, row: outbox_row(row)? })
        })
    }

    /// Takes waiting rows of a destination away. The numbers stay taken: a domain that comes back hears by a gap that those
    /// rows will never come.
    pub(super) async fn take_waiting(
        &mut self,
        destination: &Domain,
        limit: usize,
    ) -> Stored<Vec<OutboxRow>> {
        let what = "outbox_take";
        let query =
            sql("SELECT o.pk, o.seq, s.destination, s.stream, o.id, o.kind, o.expires_at, o.at, o.request, o.payload
                         FROM outbox_streams s JOIN outbox o ON o.stream_pk = s.pk AND o.seq > s.acknowledged_seq
                         WHERE s.destination = ? AND s.acknowledged_seq < s.last_seq
                         ORDER BY s.incarnation, s.stream, o.seq LIMIT ?")
            .bind(destination.to_string())
            .bind(size(limit));
        let rows = self.rows_job(what, query).await?;
        let taken = each("outbox", &rows, |row| Ok((row.int("pk")?, outbox_row(row)?)))?;
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let (mut count, mut bytes) = (0, 0);
        for (pk, row) in &taken {
            self.run_job(what, sql("DELETE FROM outbox WHERE pk = ?").bind(*pk)).await?;
            count += 1;
            bytes += size(row.row.payload.len());
        }
        self.queue_changed(what, destination, -count, -bytes).await?;
        Ok(taken.into_iter().map(|(_, row)| row).collect())
    }

    /// Forgets when to try a destination again.
    pub(crate) async fn forget_backoff(&mut self, what: &'static str, destination: &Domain) -> Stored<()> {
        let backoff = sql("DELETE FROM outbox_backoffs WHERE destination = ?");
        self.run(what, backoff.bind(destination.to_string())).await.map(drop)
    }
}
