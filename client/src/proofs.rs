//! Delivery proofs of this device's messages: which receipts count, and what is handed out of them.

use qpq_core::{Domain, MessageId};
use qpq_proof::{FileProof, Message, ProofFile, Role};

use crate::{
    Client, ClientError,
    store::{StoredProof, Tx},
    wire::Receipt,
};

impl Client {
    /// All that is proven of a message of this device, for anybody to check offline.
    pub async fn proofs(&self, id: &MessageId) -> Result<ProofFile, ClientError> {
        let home = self.address()?.domain().clone();
        let mut tx = self.inner.store.begin().await?;
        if tx.outgoing(id).await?.is_none() {
            return Err(ClientError::UnknownMessage { id: *id });
        }
        let Some(ciphertext) = tx.ciphertext_of(id).await? else {
            return Err(ClientError::NotProven { id: *id });
        };
        let proofs = tx.proofs(id, &ciphertext).await?;
        if proofs.is_empty() {
            return Err(ClientError::NotProven { id: *id });
        }
        let proof = |proof: &StoredProof| {
            FileProof::of(&proof.signed, &proof.place, &proof.recipient, (proof.pin, Some(home.clone())))
        };
        Ok(ProofFile::new(*id, ciphertext, proofs.iter().map(proof).collect()))
    }
}

/// Keeps what a receipt proves of messages of this device; the rest of it is skipped, because it isn't true of what was sent.
pub(crate) async fn keep(tx: &mut Tx<'_>, home: &Domain, receipt: &Receipt) -> Result<(), ClientError> {
    let terms = &receipt.signed.statement().terms;
    let recipient = match terms.role {
        Role::Accepted if terms.domain == *home => receipt.group.hub().clone(),
        Role::Accepted => {
            tracing::warn!(domain = %terms.domain, "another domain says that it accepted a message; it is skipped");
            return Ok(());
        }
        Role::Stored => terms.domain.clone(),
    };
    for (id, place) in &receipt.messages {
        let Some(ciphertext) = tx.ciphertext_of(id).await? else { continue };
        let message = Message { id: *id, ciphertext, recipient: recipient.clone() };
        if let Err(error) = receipt.signed.covers(&message, place) {
            // Of a message that was encrypted again, the receipt for the former ciphertext comes late.
            tracing::debug!(message = %id, %error, "a receipt proves nothing of what was sent");
            continue;
        }
        let proof = StoredProof {
            recipient: recipient.clone(),
            signed: receipt.signed.clone(),
            place: place.clone(),
            pin: receipt.pin,
        };
        tx.keep_proof(id, &ciphertext, &proof).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
