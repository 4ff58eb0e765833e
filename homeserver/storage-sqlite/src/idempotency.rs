//! What was submitted before.

use std::collections::HashMap;

use async_trait::async_trait;
use qpq_core::{DeviceAddress, Digest, MessageId, Timestamp};
use qpq_storage::{IdempotencyRead, IdempotencyWrite, SeenSubmit, StorageError, Stored, SubmitOutcome};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, json_list, position, sql, time},
};

fn submit(row: Fields<'_>) -> Stored<(MessageId, SeenSubmit)> {
    let at = row.time("at")?;
    let outcome = match row.optional_seq("seq")? {
        Some(seq) => SubmitOutcome::AtHub { seq, at },
        None => SubmitOutcome::AtHome { at },
    };
    Ok((MessageId::from_bytes(row.bytes("id")?), SeenSubmit { payload: row.digest("payload")?, outcome }))
}

#[async_trait]
impl IdempotencyRead for Transaction {
    async fn submits_seen(
        &mut self,
        sender: &DeviceAddress,
        ids: &[MessageId],
    ) -> Stored<Vec<Option<SeenSubmit>>> {
        let query = sql("SELECT s.id, s.payload, s.seq, s.at
                         FROM json_each(?2) AS j
                         CROSS JOIN submits AS s
                         WHERE s.sender_pk = (SELECT pk FROM senders WHERE address = ?1)
                           AND s.id = unhex(j.value)")
        .bind(sender.to_string())
        .bind(json_list(ids.iter().map(|id| *id.as_bytes())));
        let found = each("submits", &self.rows("submits_seen", query).await?, submit)?;
        let found: HashMap<MessageId, SeenSubmit> = found.into_iter().collect();
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    async fn submitters(&mut self, ids: &[MessageId]) -> Stored<Vec<(MessageId, DeviceAddress, Digest)>> {
        let query = sql("SELECT s.id, s.payload, w.address
                         FROM json_each(?1) AS j
                         CROSS JOIN submits AS s ON s.id = unhex(j.value)
                         CROSS JOIN senders AS w ON w.pk = s.sender_pk")
        .bind(json_list(ids.iter().map(|id| *id.as_bytes())));
        let rows = self.rows("submitters", query).await?;
        let mut found = each("submits", &rows, |row| {
            Ok((MessageId::from_bytes(row.bytes("id")?), row.parsed("address")?, row.digest("payload")?))
        })?;
        found.sort();
        Ok(found)
    }
}

#[async_trait]
impl IdempotencyWrite for Transaction {
    async fn submits_remember(
        &mut self,
        sender: &DeviceAddress,
        submits: &[(MessageId, SeenSubmit)],
        until: Timestamp,
    ) -> Stored<()> {
        let what = "submits_remember";
        if submits.is_empty() {
            return Ok(());
        }
        // The update that changes nothing makes SQLite return the row that is there.
        let find = sql("INSERT INTO senders (address) VALUES (?)
                        ON CONFLICT (address) DO UPDATE SET address = excluded.address RETURNING pk")
        .bind(sender.to_string());
        let row = self.row(what, find).await?;
        let sender = one("senders", row.as_ref(), |row| row.int("pk"))?;
        let sender = sender.ok_or(StorageError::Conflict { what })?;
        let head = "INSERT INTO submits (sender_pk, id, payload, seq, at, until) VALUES";
        self.insert_all(what, head, 6, submits, |statement, (id, seen)| {
            let (seq, at) = match seen.outcome {
                SubmitOutcome::AtHub { seq, at } => (Some(position(seq)), at),
                SubmitOutcome::AtHome { at } => (None, at),
            };
            statement
                .bind(sender)
                .bind(id.as_bytes().to_vec())
                .bind(seen.payload.as_bytes().to_vec())
                .bind(seq)
                .bind(time(at))
                .bind(time(until))
        })
        .await
    }

    async fn submit_forget(&mut self, sender: &DeviceAddress, id: &MessageId) -> Stored<()> {
        let delete = sql("DELETE FROM submits
                          WHERE sender_pk = (SELECT pk FROM senders WHERE address = ?) AND id = ?")
        .bind(sender.to_string())
        .bind(id.as_bytes().to_vec());
        self.run("submit_forget", delete).await.map(drop)
    }

    async fn submits_expire(&mut self, now: Timestamp) -> Stored<u64> {
        let delete = sql("DELETE FROM submits WHERE until <= ?").bind(time(now));
        self.run_job("submits_expire", delete).await
    }
}
