//! Acknowledged rows: kept for a while, then purged; and what waits for a removed peer.

use qpq_core::{Digest, Domain, Millis, Seq, Timestamp};
use qpq_storage::{Stored, StreamName};

use crate::{
    fields::{each, one},
    transaction::{Transaction, int, position, sql, time},
};

impl Transaction {
    /// Moves a stream's mark and notes when, once for all rows in between: rewriting each row would cost as much as
    /// storing it again.
    pub(super) async fn acknowledge_stream(
        &mut self,
        destination: &Domain,
        stream: &StreamName,
        through: Seq,
        chain: Option<&Digest>,
        now: Timestamp,
    ) -> Stored<()> {
        let what = "outbox_acknowledge";
        let query = sql("SELECT pk, acknowledged_seq, last_seq FROM outbox_streams
                         WHERE destination = ? AND stream = ?")
        .bind(destination.to_string())
        .bind(stream.to_vec());
        let row = self.row(what, query).await?;
        let found = one("outbox_streams", row.as_ref(), |row| {
            Ok((row.int("pk")?, row.seq("acknowledged_seq")?, row.seq("last_seq")?))
        })?;
        let Some((pk, before, last)) = found else { return Ok(()) };
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
                        WHERE stream_pk = ?2 AND seq > ?5 AND seq <= ?3")
            .bind(destination.to_string())
            .bind(pk)
            .bind(position(through))
            .bind(time(now))
            .bind(position(before));
        self.run(what, note).await.map(drop)
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

    /// Drops what waits for a destination, and its backoff. Positions that were never stored there are free again:
    /// a hole would block the stream for ever if the domain came back.
    pub(crate) async fn outbox_drop_waiting(
        &mut self,
        what: &'static str,
        destination: &Domain,
    ) -> Stored<()> {
        let rows = sql("DELETE FROM outbox WHERE pk IN (
                            SELECT o.pk FROM outbox_streams s
                            JOIN outbox o ON o.stream_pk = s.pk AND o.seq > s.acknowledged_seq
                            WHERE s.destination = ? AND s.acknowledged_seq < s.last_seq)")
        .bind(destination.to_string());
        self.run_job(what, rows).await?;
        let streams = sql("UPDATE outbox_streams SET last_seq = acknowledged_seq WHERE destination = ?");
        self.run(what, streams.bind(destination.to_string())).await?;
        let backoff = sql("DELETE FROM outbox_backoffs WHERE destination = ?");
        self.run(what, backoff.bind(destination.to_string())).await.map(drop)
    }
}
