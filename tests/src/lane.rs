//! A fast lane between two users: many messages without the clients' own work, written down in the order in which they
//! are delivered.
//!
//! The conversation is real, made by the library with MLS; what goes through it is a well-formed `PrivateMessage` around
//! bytes that nobody can decrypt, which is all that a homeserver ever sees.

pub mod framing;
mod receiver;

use std::{rc::Rc, time::Duration};

use anyhow::{Context as _, ensure};
use qpq_client::session::{Session, Submit, Submitted};
use qpq_core::{GroupId, MessageId, OsEntropy};

use crate::{Resident, eventually};
pub use receiver::Receiver;

/// The bytes of ciphertext in each message.
pub const PAYLOAD: usize = 1_024;
/// Messages of one submit.
const SUBMIT: usize = 128;
/// How long an introduction may take.
const INTRODUCTION: Duration = Duration::from_mins(1);

/// From one user to another.
#[derive(Debug)]
pub struct Lane {
    session: Session,
    group: GroupId,
    epoch: u64,
    receiver: Rc<Receiver>,
}

impl Lane {
    /// Introduces two users, and takes their sessions over from the library. Both must be connected and asleep
    /// (registered, not woken).
    pub async fn between(from: &Resident, to: &Resident) -> anyhow::Result<Self> {
        let sent = from.say(&to.address().to_string(), "hello").await?;
        let group = sent.group.context("a greeting without a conversation")?;
        eventually(&format!("{} hears {}", to.address(), from.address()), INTRODUCTION, async || {
            to.client().sync().await?;
            Ok(to.take().await?.pop().map(drop))
        })
        .await?;
        from.client().sync().await?;
        let shown = from.client().group_show(&group.to_string()).await?;
        Ok(Self {
            session: from.client().session()?,
            epoch: shown.epoch.context("the sender is in no epoch")?,
            receiver: Receiver::subscribe(to.client().session()?).await?,
            group,
        })
    }

    /// What the receiver gets.
    pub const fn receiver(&self) -> &Rc<Receiver> {
        &self.receiver
    }

    /// Submits so many messages, each of which must be taken, and returns their ids in order.
    pub async fn submit(&self, count: usize) -> anyhow::Result<Vec<MessageId>> {
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let messages = self.write(SUBMIT.min(count - ids.len()))?;
            for answer in self.session.submit(&messages).await?.answers {
                ensure!(!matches!(answer, Submitted::Refused(_)), "a message was refused: {answer:?}");
            }
            ids.extend(messages.iter().map(|message| message.id));
        }
        Ok(ids)
    }

    fn write(&self, count: usize) -> anyhow::Result<Vec<Submit>> {
        let mut entropy = OsEntropy::new()?;
        let messages = (0..count).map(|_| Submit {
            id: MessageId::random(&mut entropy),
            group: self.group.clone(),
            message: framing::message(&self.group, self.epoch, PAYLOAD, &mut entropy),
        });
        Ok(messages.collect())
    }
}
