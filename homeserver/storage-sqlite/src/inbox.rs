//! How far each peer's streams were applied here.

use async_trait::async_trait;
use qpq_core::Domain;
use qpq_storage::{InboxHead, InboxRead, InboxWrite, ParkedKind, ParkedRow, Stored, StreamName};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, position, size, sql},
};

fn head(row: Fields<'_>) -> Stored<InboxHead> {
    Ok(InboxHead {
        incarnation: row.incarnation("incarnation")?,
        last_applied: row.seq("last_applied")?,
        chain: row.digest("chain")?,
        header: row.blob("header")?,
        backed_up: row.seq("backed_up")?,
    })
}

#[async_trait]
impl InboxRead for Transaction {
    async fn inbox_head(&mut self, origin: &Domain, stream: &StreamName) -> Stored<Option<InboxHead>> {
        let query = sql("SELECT origin, incarnation, last_applied, chain, header, backed_up
                         FROM inbox_streams WHERE origin = ? AND stream = ?")
        .bind(origin.to_string())
        .bind(stream.to_vec());
        let row = self.row("inbox_head", query).await?;
        one("inbox_streams", row.as_ref(), head)
    }

    async fn inbox_heads(&mut self, origin: &Domain) -> Stored<Vec<(StreamName, InboxHead)>> {
        let query = sql("SELECT stream, incarnation, last_applied, chain, header, backed_up
                         FROM inbox_streams WHERE origin = ? ORDER BY stream")
        .bind(origin.to_string());
        let rows = self.rows("inbox_heads", query).await?;
        each("inbox_streams", &rows, |row| Ok((row.bytes("stream")?, head(row)?)))
    }

    async fn inbox_heads_after(
        &mut self,
        origin: &Domain,
        after: Option<&StreamName>,
        limit: usize,
    ) -> Stored<Vec<(StreamName, InboxHead)>> {
        let query = sql("SELECT stream, incarnation, last_applied, chain, header, backed_up
                         FROM inbox_streams WHERE origin = ?1 AND (?2 IS NULL OR stream > ?2)
                         ORDER BY stream LIMIT ?3")
        .bind(origin.to_string())
        .bind(after.map(|after| after.to_vec()))
        .bind(size(limit));
        let rows = self.rows("inbox_heads_after", query).await?;
        each("inbox_streams", &rows, |row| Ok((row.bytes("stream")?, head(row)?)))
    }

    async fn inbox_streams(&mut self, origin: &Domain) -> Stored<u64> {
        let query =
            sql("SELECT COUNT(*) AS streams FROM inbox_streams WHERE origin = ?").bind(origin.to_string());
        let row = self.row("inbox_streams", query).await?;
        Ok(one("inbox_streams", row.as_ref(), |row| row.number("streams"))?.unwrap_or(0))
    }

    async fn inbox_parked_bytes(&mut self, origin: &Domain) -> Stored<u64> {
        let query =
            sql("SELECT COALESCE(SUM(LENGTH(payload)), 0) AS bytes FROM inbox_parked WHERE origin = ?")
                .bind(origin.to_string());
        let row = self.row("inbox_parked_bytes", query).await?;
        Ok(one("inbox_parked", row.as_ref(), |row| row.number("bytes"))?.unwrap_or(0))
    }

    async fn inbox_parked(&mut self, origin: &Domain) -> Stored<Vec<ParkedKind>> {
        let query = sql("SELECT kind, COUNT(*) AS parked, SUM(LENGTH(payload)) AS bytes
                         FROM inbox_parked WHERE origin = ? GROUP BY kind ORDER BY kind")
        .bind(origin.to_string());
        let rows = self.rows("inbox_parked", query).await?;
        each("inbox_parked", &rows, |row| {
            Ok(ParkedKind {
                kind: row.number("kind")?,
                rows: row.number("parked")?,
                bytes: row.number("bytes")?,
            })
        })
    }
}

#[async_trait]
impl InboxWrite for Transaction {
    async fn inbox_advance(&mut self, origin: &Domain, stream: &StreamName, head: &InboxHead) -> Stored<()> {
        let what = "inbox_advance";
        // Incarnations are stored in their wire form, whose bytes have the order of the lives.
        let upsert = sql(
            "INSERT INTO inbox_streams (origin, stream, incarnation, last_applied, chain, header)
                          VALUES (?, ?, ?, ?, ?, ?)
                          ON CONFLICT (origin, stream) DO UPDATE
                          SET incarnation = excluded.incarnation, last_applied = excluded.last_applied,
                              chain = excluded.chain, header = excluded.header,
                              backed_up = IIF(incarnation = excluded.incarnation, backed_up, 0)
                          WHERE (excluded.incarnation, excluded.last_applied) >= (incarnation, last_applied)",
        )
        .bind(origin.to_string())
        .bind(stream.to_vec())
        .bind(head.incarnation.to_bytes().to_vec())
        .bind(position(head.last_applied))
        .bind(head.chain.as_bytes().to_vec())
        .bind(head.header.clone());
        if self.run(what, upsert).await? == 0 {
            return Err(self.conflict(what));
        }
        Ok(())
    }

    async fn inbox_park(&mut self, origin: &Domain, stream: &StreamName, rows: &[ParkedRow]) -> Stored<()> {
        let head = "INSERT INTO inbox_parked (origin, stream, seq, kind, id, payload) VALUES";
        self.insert_all("inbox_park", head, 6, rows, |statement, row| {
            statement
                .bind(origin.to_string())
                .bind(stream.to_vec())
                .bind(position(row.seq))
                .bind(row.kind)
                .bind(row.id.to_vec())
                .bind(row.payload.clone())
        })
        .await
    }

    async fn inbox_unpark(
        &mut self,
        origin: &Domain,
        kinds: &[u16],
        limit: usize,
    ) -> Stored<Vec<(StreamName, ParkedRow)>> {
        let what = "inbox_unpark";
        let numbers: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        let query = sql("SELECT pk, stream, seq, kind, id, payload FROM inbox_parked
                         WHERE origin = ? AND kind IN (SELECT value FROM json_each(?)) ORDER BY pk LIMIT ?")
        .bind(origin.to_string())
        .bind(format!("[{}]", numbers.join(",")))
        .bind(size(limit));
        let rows = self.rows(what, query).await?;
        let parked = |row: Fields<'_>| {
            Ok(ParkedRow {
                seq: row.seq("seq")?,
                kind: row.number("kind")?,
                id: row.bytes("id")?,
                payload: row.blob("payload")?,
            })
        };
        let taken =
            each("inbox_parked", &rows, |row| Ok((row.int("pk")?, row.bytes("stream")?, parked(row)?)))?;
        for (pk, ..) in &taken {
            self.run(what, sql("DELETE FROM inbox_parked WHERE pk = ?").bind(*pk)).await?;
        }
        Ok(taken.into_iter().map(|(_, stream, row)| (stream, row)).collect())
    }
}
