//! Messages that have come, each handed out once.

use std::time::Duration;

use qpq_core::{Address, GroupId, MessageId, Timestamp};

use crate::{Client, ClientError, store::StoredMessage};

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
