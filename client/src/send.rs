//! Sending a text: queued first, handed over if the homeserver can be reached.

use std::collections::BTreeSet;

use qpq_core::{Address, GroupId, MessageId};

use crate::{
    Client, ClientError, InLog,
    mls::Content,
    store::{GroupState, NewOutgoing, OutgoingState, Target, Tx},
};

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Sent {
    /// Its id.
    pub message_id: MessageId,
    /// Its conversation; absent while a first message waits for the homeserver.
    pub group: Option<GroupId>,
    /// How far it has got.
    pub state: SendState,
    /// Why it is only queued.
    #[serde(skip)]
    pub waits: Option<String>,
    /// To whom it goes whose domain keeps a log that doesn't have them: nobody proves their key.
    #[serde(skip)]
    pub unlogged: Vec<Address>,
}

/// How far a text has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SendState {
    /// Stored here; it goes out with the next command that reaches the homeserver.
    Queued,
    /// Stored here until the user has accepted this account; then it goes out by itself.
    Requested,
    /// Durable at the homeserver.
    Accepted,
}

impl Client {
    /// Sends a text to a user or a group. An error means that nothing was queued, or that it was given up.
    pub async fn send(&self, target: &str, text: &str) -> Result<Sent, ClientError> {
        let target = self.target(target).await?;
        // While a task keeps the connection, nobody else dials.
        let mut waits = if self.inner.live.get() {
            self.session().err()
        } else {
            match self.connect().await {
                Err(error) if error.is_transient() => Some(error),
                other => other.map(|()| None)?,
            }
        };
        self.check(&target).await?;
        let id = MessageId::random(&mut self.entropy()?);
        let content = Content::text(text, self.now());
        content.encode()?;
        let mut tx = self.inner.store.begin().await?;
        tx.enqueue(&NewOutgoing { id, target, content }).await?;
        tx.commit().await?;
        if waits.is_none() {
            let outcome = if self.inner.live.get() { self.flush().await } else { self.sync().await };
            match outcome {
                Err(error) if error.is_transient() => waits = Some(error),
                other => other?,
            }
        }
        self.sent(&id, waits).await
    }

    /// What became of a message.
    async fn sent(&self, id: &MessageId, waits: Option<ClientError>) -> Result<Sent, ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let Some(outgoing) = tx.outgoing(id).await? else {
            return Err(ClientError::Undeliverable { message: *id, reason: String::from("it is gone") });
        };
        let state = match outgoing.state {
            OutgoingState::Queued => self.queued(&mut tx, &outgoing.target).await?,
            OutgoingState::AtHome { .. } | OutgoingState::AtHub { .. } => SendState::Accepted,
            OutgoingState::Failed { reason } => {
                // Told here and now, not once more later.
                tx.forget_failed(id).await?;
                tx.commit().await?;
                return Err(ClientError::Undeliverable { message: *id, reason });
            }
        };
        let waits = match (state, waits) {
            (SendState::Accepted, _) => None,
            (SendState::Requested, _) => match &outgoing.target {
                Target::User(user) => Some(ClientError::Requested { users: vec![user.clone()] }.to_string()),
                Target::Group(_) => None,
            },
            (SendState::Queued, Some(error)) => Some(error.to_string()),
            (SendState::Queued, None) => {
                let refusal = self.inner.refusals.borrow().get(id).map(ToString::to_string);
                let refusal = refusal.or_else(|| match &outgoing.target {
                    Target::User(user) => self.inner.reasons.borrow().get(user).cloned(),
                    Target::Group(_) => None,
                });
                Some(refusal.unwrap_or_else(|| String::from("something before it has to be settled first")))
            }
        };
        let user = outgoing.to_user;
        let group = match outgoing.target {
            Target::Group(group) => Some(group),
            Target::User(user) => self.direct_group(&mut tx, &user).await?,
        };
        let unlogged = self.unlogged(&mut tx, user, group.as_ref()).await?;
        Ok(Sent { message_id: *id, group, state, waits, unlogged })
    }

    async fn unlogged(
        &self,
        tx: &mut Tx<'_>,
        user: Option<Address>,
        group: Option<&GroupId>,
    ) -> Result<Vec<Address>, ClientError> {
        let mut readers: BTreeSet<Address> = user.into_iter().collect();
        if let Some(group) = group {
            readers.extend(tx.members(group).await?.into_iter().map(|member| member.device.user));
        }
        readers.remove(&self.address()?);
        let mut unlogged = Vec::new();
        for reader in readers {
            if self.in_log(tx, &reader).await? == InLog::Unlogged {
                unlogged.push(reader);
            }
        }
        Ok(unlogged)
    }

    /// Whether a text waits for the homeserver or for the user's consent.
    async fn queued(&self, tx: &mut Tx<'_>, target: &Target) -> Result<SendState, ClientError> {
        let Target::User(user) = target else { return Ok(SendState::Queued) };
        let asked = tx.requested(user).await?;
        Ok(match asked {
            Some(asked) if asked.accepted.is_none() => SendState::Requested,
            Some(_) | None => SendState::Queued,
        })
    }

    /// Whom a text is for: an address, else a group.
    async fn target(&self, text: &str) -> Result<Target, ClientError> {
        if text.starts_with("grp_") {
            return Ok(Target::Group(self.find_group(text).await?.id));
        }
        match text.parse::<Address>() {
            Ok(user) if user == self.address()? => Err(ClientError::Yourself { address: user }),
            Ok(user) => Ok(Target::User(user)),
            Err(_) => Ok(Target::Group(self.find_group(text).await?.id)),
        }
    }

    /// What must hold before a text is taken in at all.
    async fn check(&self, target: &Target) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        self.own_keys_are_fine(&mut tx).await?;
        match target {
            Target::User(user) => {
                drop(tx);
                self.glance(user).await
            }
            Target::Group(id) => {
                match tx.group(id).await?.map(|record| record.state) {
                    Some(GroupState::NeedsResync { .. } | GroupState::Removed) => {
                        return Err(ClientError::CutOff { group: id.clone(), address: self.address()? });
                    }
                    Some(_) => {}
                    None => return Err(ClientError::UnknownGroup { text: id.to_string() }),
                }
                let members = tx.members(id).await?;
                self.others_count(&mut tx, &members).await
            }
        }
    }
}
