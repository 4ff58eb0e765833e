//! Messages that have come, each handed out once; and own ones that turned out to be undeliverable.

use std::time::Duration;

use qpq_core::{Address, GroupId, MessageId, Timestamp};

use crate::{
    Client, ClientError,
    store::{OutgoingState, StoredMessage, Target},
};

/// A message for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Message {
    /// Who sent it.
    pub from: Address,
    /// Its conversation.
    pub group: GroupId,
    /// The id that its sender gave it.
    pub message_id: MessageId,
    /// What it says.
    pub text: String,
    /// When its sender says that it was written.
    pub sent_at: Timestamp,
    /// The epoch that it was encrypted in.
    pub epoch: u64,
    /// Its place in the order of arrival.
    #[serde(skip)]
    pub place: i64,
}

/// A message that the homeserver took and a hub refused later.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Undelivered {
    /// Its id.
    pub message_id: MessageId,
    /// Whom it was for: an address, else a group's id.
    pub to: String,
    /// Why it was refused, in the words of who did.
    pub reason: String,
}

/// Refusals told at a time.
const REFUSALS: u32 = 100;

impl From<StoredMessage> for Message {
    fn from(stored: StoredMessage) -> Self {
        let message = stored.message;
        Self {
            from: message.sender.user,
            group: message.group,
            message_id: message.id,
            text: message.text,
            sent_at: message.sent_at,
            epoch: message.epoch,
            place: stored.place,
        }
    }
}

impl Client {
    /// The oldest messages that were not shown yet, at most `max`; asks nobody.
    pub async fn unread(&self, max: u32) -> Result<Vec<Message>, ClientError> {
        let mut tx = self.inner.store.begin().await?;
        Ok(tx.unread(max).await?.into_iter().map(Message::from).collect())
    }

    /// Own messages that were taken and refused later, until [`Client::mark_told`].
    pub async fn undelivered(&self) -> Result<Vec<Undelivered>, ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let given_up = tx.failed_outgoing(REFUSALS).await?.into_iter().filter_map(|outgoing| {
            let OutgoingState::Failed { reason } = outgoing.state else { return None };
            let to = outgoing.to_user.map_or_else(
                || match &outgoing.target {
                    Target::User(user) => user.to_string(),
                    Target::Group(group) => group.to_string(),
                },
                |user| user.to_string(),
            );
            Some(Undelivered { message_id: outgoing.id, to, reason })
        });
        Ok(given_up.collect())
    }

    /// The user knows that this one was not delivered.
    pub async fn mark_told(&self, undelivered: &Undelivered) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        tx.forget_failed(&undelivered.message_id).await?;
        Ok(tx.commit().await?)
    }

    /// Waits until there is an unread message, at most for `wait`; needs [`Client::go_live`] to have any come.
    pub async fn wait_unread(&self, max: u32, wait: Duration) -> Result<Vec<Message>, ClientError> {
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let mut news = std::pin::pin!(self.inner.news.notified());
            // Registered before looking: news that come in between are not missed.
            news.as_mut().enable();
            let unread = self.unread(max).await?;
            if !unread.is_empty() || tokio::time::timeout_at(deadline, news).await.is_err() {
                return Ok(unread);
            }
        }
    }

    /// Everything up to and including this message was shown: it is not handed out again.
    ///
    /// Call it after the message has reached its reader. A crash in between shows it a second time.
    pub async fn mark_shown(&self, message: &Message) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        tx.mark_read(message.place).await?;
        tx.commit().await?;
        Ok(())
    }
}
