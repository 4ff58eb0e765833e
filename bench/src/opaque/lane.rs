//! One pair: who sends, what, and who receives.

use std::{cell::Cell, rc::Rc};

use anyhow::{Context as _, ensure};
use qpq_client::session::{Session, Submit, Submitted};
use qpq_core::{GroupId, MessageId, OsEntropy};
use qpq_tests::lane::framing;

use super::{PAYLOAD, receiver::Receiver};
use crate::people::{self, Person};

/// One pair.
#[derive(Debug)]
pub(crate) struct Lane {
    session: Session,
    group: GroupId,
    epoch: u64,
    pub(crate) receiver: Rc<Receiver>,
    submitted: Cell<u64>,
}

impl Lane {
    /// Introduces each sender to a receiver, then takes the sessions over from the library.
    pub(crate) async fn between(senders: &[Person], receivers: &[Person]) -> anyhow::Result<Vec<Rc<Self>>> {
        let mut lanes = Vec::new();
        for (from, to) in senders.iter().zip(receivers) {
            let group = people::introduce(from, to).await?;
            let shown = from.client.group_show(&group.to_string()).await?;
            lanes.push(Rc::new(Self {
                session: from.client.session()?,
                group,
                epoch: shown.epoch.context("the sender is in no epoch")?,
                receiver: Receiver::subscribe(to.client.session()?).await?,
                submitted: Cell::new(0),
            }));
        }
        Ok(lanes)
    }

    /// Messages handed over and not delivered yet.
    pub(crate) fn under_way(&self) -> u64 {
        self.submitted.get().saturating_sub(self.receiver.delivered())
    }

    /// New messages, each with its own random payload; they count as under way from now on.
    pub(crate) fn write(&self, count: usize) -> anyhow::Result<Vec<Submit>> {
        let mut entropy = OsEntropy::new()?;
        self.submitted.update(|before| before + u64::try_from(count).unwrap_or(0));
        let messages = (0..count).map(|_| Submit {
            id: MessageId::random(&mut entropy),
            group: self.group.clone(),
            message: framing::message(&self.group, self.epoch, PAYLOAD, &mut entropy),
        });
        Ok(messages.collect())
    }

    /// Hands messages over; each must be taken.
    pub(crate) async fn submit(&self, messages: &[Submit]) -> anyhow::Result<()> {
        for answer in self.session.submit(messages).await?.answers {
            ensure!(!matches!(answer, Submitted::Refused(_)), "a message was refused: {answer:?}");
        }
        Ok(())
    }
}
