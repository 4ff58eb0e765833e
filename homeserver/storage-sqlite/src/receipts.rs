//! Which domains have proven that they stored which submits.

use async_trait::async_trait;
use qpq_core::{DeviceAddress, Domain, MessageId};
use qpq_storage::{ReceiptsWrite, Stored};

use crate::transaction::{Transaction, sql};

#[async_trait]
impl ReceiptsWrite for Transaction {
    async fn receipts_note(
        &mut self,
        domain: &Domain,
        submits: &[(DeviceAddress, MessageId)],
    ) -> Stored<Vec<bool>> {
        let mut news = Vec::with_capacity(submits.len());
        for (sender, id) in submits {
            let insert = sql("INSERT INTO receipts (sender_pk, id, domain)
                              VALUES ((SELECT pk FROM senders WHERE address = ?), ?, ?)
                              ON CONFLICT (sender_pk, id, domain) DO NOTHING")
            .bind(sender.to_string())
            .bind(id.as_bytes().to_vec())
            .bind(domain.to_string());
            news.push(self.run("receipts_note", insert).await? > 0);
        }
        Ok(news)
    }
}
