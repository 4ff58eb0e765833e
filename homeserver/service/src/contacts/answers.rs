//! Our user's answers: accepting, which the other's domain hears of if they had asked, and declining.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{AccountId, Address, MessageId, Timestamp, limits};
use qpq_delivery::contacts::Tell;
use qpq_federation_proto::{RowKind, StreamId, StreamName};
use qpq_storage::{Contact, NewOutboxRow, Stored, WriteTx};

use super::accepted::ContactAccepted;
use crate::{
    Effects, Ground, WriteJob, peering,
    relay::quota::{QueueRoom, queue_answer},
    request,
};

/// Accepts users of other domains.
pub(super) struct Accept {
    ground: Arc<Ground>,
    account: AccountId,
    user: Address,
    /// Whom, and the id of the row that tells their domain.
    others: Vec<(Address, MessageId)>,
    now: Timestamp,
    effects: Effects,
}

impl Accept {
    pub(super) fn new(
        ground: &Arc<Ground>,
        account: AccountId,
        user: Address,
        others: Vec<Address>,
        now: Timestamp,
    ) -> Self {
        let others = others.into_iter().map(|other| (other, ground.draw(MessageId::random))).collect();
        Self { ground: Arc::clone(ground), account, user, others, now, effects: Effects::default() }
    }

    /// The row for the other's domain, if there is a way to it.
    async fn tell(&mut self, tx: &mut dyn WriteTx, other: &Address, id: MessageId) -> Stored<()> {
        let (us, destination) = (self.ground.domain(), other.domain());
        if peering::why_not(tx, us, destination, self.now).await?.is_some() {
            return Ok(());
        }
        let record = ContactAccepted { user: self.user.clone(), asker: other.clone() };
        let row = NewOutboxRow {
            destination: destination.clone(),
            stream: *StreamId::of(us, destination, &StreamName::Control).as_bytes(),
            id,
            kind: RowKind::ContactAccepted.number(),
            expires_at: Some(self.now.after(self.ground.settings().message_ttl)),
            payload: record.to_bytes(),
            at: self.now,
            request: request::current(),
        };
        let quota = self.ground.settings().peer_queue_bytes;
        let room = QueueRoom::with_reserve(tx, destination, quota).await?;
        queue_answer(tx, room, row, &mut self.effects).await
    }
}

#[async_trait]
impl WriteJob for Accept {
    /// Those who had asked; `None`: the account holds too many contacts, and nothing was changed.
    type Output = Option<Vec<Address>>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        self.effects = Effects::default();
        let held = tx.contacts_held(&self.account).await?;
        let more = u64::try_from(self.others.len()).unwrap_or(u64::MAX);
        if held.saturating_add(more) > limits::CONTACTS_PER_ACCOUNT {
            return Ok(None);
        }
        let mut asked = Vec::new();
        for (other, id) in self.others.clone() {
            let known = tx.contact(&self.account, &other).await?;
            let (contact, tell) = Contact::accept(known, self.now);
            tx.contact_store(&self.account, &other, &contact).await?;
            if tell == Tell::Them {
                self.tell(tx, &other, id).await?;
                asked.push(other);
            }
        }
        Ok(Some(asked))
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}

/// Declines a user of another domain; `false` if there was nothing to decline.
pub(super) struct Decline {
    pub(super) account: AccountId,
    pub(super) other: Address,
    pub(super) now: Timestamp,
}

#[async_trait]
impl WriteJob for Decline {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        let known = tx.contact(&self.account, &self.other).await?;
        let Some(declined) = Contact::decline(known, self.now) else { return Ok(false) };
        tx.contact_store(&self.account, &self.other, &declined).await?;
        Ok(true)
    }
}
