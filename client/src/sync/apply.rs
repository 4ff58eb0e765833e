//! What one delivery does.

use std::collections::BTreeSet;

use qpq_core::{
    Cursor, DeviceAddress, Entropy as _, ErrorCode, GroupId, MessageId, OsEntropy, Seq, Timestamp,
};

use super::batch::{Batch, Step};
use crate::{
    ClientError,
    client::Turn,
    error::Refusal,
    mls::{
        CommitFacts, CommitOutcome, Content, ContentKind, Group, JoinError, LogCommit, Member, Received,
        welcome_references,
    },
    proofs,
    store::{
        Feed, GroupRecord, GroupState, NewMessage, NewOutgoing, OutgoingState, Reach, Recorded, Target, Tx,
    },
    trust::is_proven,
    wire::{ContactEvent, Delivery, DeliveryBody},
};

impl Batch<'_> {
    /// Applies one delivery that is new in its feed.
    pub(super) async fn apply(
        &mut self,
        turn: &mut Turn<'_>,
        tx: &mut Tx<'_>,
        delivery: &Delivery,
    ) -> Result<Step, ClientError> {
        match (&delivery.body, &delivery.position.feed) {
            (DeliveryBody::Application { id, message }, Feed::Group(group)) => {
                if self.unproven.contains(&delivery.position.feed) {
                    return Ok(Step::Hold);
                }
                self.application(turn, tx, group, id, message).await
            }
            (DeliveryBody::Commit { id, commit, sender, signature, .. }, Feed::Group(group)) => {
                let commit = LogCommit { id, commit, sender, signature };
                self.commit(turn, tx, group, &commit).await
            }
            (DeliveryBody::Welcome { group, epoch, welcome, start, .. }, _) => {
                let start = Cursor { incarnation: delivery.position.cursor.incarnation, seq: *start };
                self.welcome(turn, tx, group, *epoch, welcome, start).await
            }
            (DeliveryBody::Refused { group, id, refusal }, _) => self.refused(tx, group, id, refusal).await,
            (DeliveryBody::KeyPackagesLow(_), _) => {
                self.outcome.key_packages_low = true;
                Ok(Step::Next)
            }
            (DeliveryBody::NeedsResync { group, reason }, _) => {
                let state = GroupState::NeedsResync { reason: reason.chars().take(200).collect() };
                self.end(tx, group, &state).await
            }
            (DeliveryBody::Removed { group }, _) => self.end(tx, group, &GroupState::Removed).await,
            (DeliveryBody::Contact { address, event: ContactEvent::Accepted }, _) => {
                tx.note_accepted(address, self.now).await?;
                self.outcome.progress.unblocked = true;
                Ok(Step::Next)
            }
            (DeliveryBody::Contact { event: ContactEvent::Requested, .. }, _) => {
                tracing::info!("somebody asks to be accepted");
                Ok(Step::Next)
            }
            (DeliveryBody::Receipt(receipt), _) => {
                proofs::keep(tx, self.me.address().domain(), receipt).await?;
                Ok(Step::Next)
            }
            (DeliveryBody::Expired { .. }, _) => Ok(Step::Next),
            (DeliveryBody::Application { .. } | DeliveryBody::Commit { .. }, Feed::Mailbox) => {
                tracing::warn!("a group's row came in the mailbox; it is skipped");
                Ok(Step::Next)
            }
            (DeliveryBody::Unknown, _) => {
                tracing::warn!("a delivery of an unknown kind is skipped: this program may be too old");
                Ok(Step::Next)
            }
        }
    }

    async fn application(
        &mut self,
        turn: &mut Turn<'_>,
        tx: &mut Tx<'_>,
        id: &GroupId,
        message_id: &MessageId,
        message: &[u8],
    ) -> Result<Step, ClientError> {
        let Some(group) = turn.group(tx, id).await? else { return missing(tx, id).await };
        let received = group.decrypt(message)?;
        let members = match &received {
            Received::Content { .. } => group.members()?,
            _ => Vec::new(),
        };
        self.dirty.insert(id.clone());
        match received {
            Received::Content { sender, epoch, content } => {
                if !sent_by_proven(tx, &members, &sender).await? {
                    tracing::warn!(group = %id, "a message of a device that its account hasn't signed is not shown");
                    return Ok(Step::Next);
                }
                self.content(tx, id, message_id, sender, epoch, content).await?;
            }
            Received::Own => {
                if tx.outgoing(message_id).await?.is_some() {
                    tx.mark_at_hub(message_id, message, self.now).await?;
                }
            }
            Received::NotYet { .. } => return Ok(Step::Hold),
            Received::AlreadyProcessed | Received::TooOld { .. } => {}
            Received::Unreadable { why, .. } => tracing::warn!(group = %id, %why, "a message can't be read"),
            Received::Refused(why) => tracing::warn!(group = %id, why, "a message can't be decrypted"),
        }
        Ok(Step::Next)
    }

    async fn content(
        &mut self,
        tx: &mut Tx<'_>,
        group: &GroupId,
        id: &MessageId,
        sender: DeviceAddress,
        epoch: u64,
        content: Content,
    ) -> Result<(), ClientError> {
        match content.kind {
            ContentKind::Text(text) => {
                let message = NewMessage {
                    group: group.clone(),
                    id: *id,
                    sender,
                    text,
                    sent_at: content.sent_at,
                    received_at: self.now,
                    epoch,
                };
                if tx.record_received(&message).await? == Recorded::New {
                    self.outcome.messages += 1;
                }
            }
            ContentKind::Metadata { name } => {
                if let Some(record) = tx.group(group).await? {
                    // A conversation with a name is a group, whoever is in it.
                    tx.save_group_record(&GroupRecord { name: Some(name), peer: None, ..record }).await?;
                }
            }
            ContentKind::Unknown { kind, .. } => {
                tracing::info!(%group, kind, "a message of a kind that this version doesn't know");
            }
        }
        Ok(())
    }

    async fn commit(
        &mut self,
        turn: &mut Turn<'_>,
        tx: &mut Tx<'_>,
        id: &GroupId,
        commit: &LogCommit<'_>,
    ) -> Result<Step, ClientError> {
        let Some(group) = turn.group(tx, id).await? else { return missing(tx, id).await };
        let outcome = group.apply_commit(commit)?;
        self.dirty.insert(id.clone());
        match outcome {
            CommitOutcome::Applied(facts) => {
                let users = users(group)?;
                self.applied(tx, id, &facts, &users).await
            }
            CommitOutcome::AlreadyProcessed => Ok(Step::Next),
            CommitOutcome::NotYet { .. } => Ok(Step::Hold),
            CommitOutcome::Refused(why) => {
                tracing::error!(group = %id, %why, "a commit that the hub granted can't be applied");
                self.end(tx, id, &GroupState::NeedsResync { reason: why.to_string() }).await
            }
        }
    }

    async fn applied(
        &mut self,
        tx: &mut Tx<'_>,
        id: &GroupId,
        facts: &CommitFacts,
        users: &BTreeSet<qpq_core::Address>,
    ) -> Result<Step, ClientError> {
        self.outcome.progress.unblocked = true;
        self.outcome.changed.insert(id.clone());
        if facts.own || facts.lost_pending {
            tx.delete_pending_commit(id).await?;
        }
        if facts.self_removed {
            return self.end(tx, id, &GroupState::Removed).await;
        }
        let Some(record) = tx.group(id).await? else { return Ok(Step::Next) };
        if let (true, false, Some(name)) = (facts.own, facts.added.is_empty(), &record.name) {
            // The newcomers can't read what was said before: the committer repeats the name.
            let mut bytes = [0; 16];
            OsEntropy::new()
                .map_err(|error| ClientError::Setup { what: error.to_string() })?
                .fill(&mut bytes);
            tx.enqueue(&NewOutgoing {
                id: MessageId::from_bytes(bytes),
                target: Target::Group(id.clone()),
                content: Content::metadata(name.clone(), self.now),
            })
            .await?;
        }
        if record.peer.is_some() && users.len() > 2 {
            tx.save_group_record(&GroupRecord { peer: None, ..record }).await?;
        }
        Ok(if all_proven(tx, &facts.added).await? { Step::Next } else { Step::NextThenHold })
    }

    async fn welcome(
        &mut self,
        turn: &mut Turn<'_>,
        tx: &mut Tx<'_>,
        id: &GroupId,
        epoch: u64,
        welcome: &[u8],
        start: Cursor,
    ) -> Result<Step, ClientError> {
        let stock = match welcome_references(welcome) {
            Ok(references) => tx.key_package_secrets(&references).await?,
            Err(_) => Vec::new(),
        };
        if stock.is_empty() {
            tracing::info!(group = %id, "an invitation that was used before, or for keys that are gone");
            return Ok(Step::Next);
        }
        let tree = match self.trees.get(&(id.clone(), epoch)) {
            Some(Ok(tree)) => tree,
            Some(Err(why)) => {
                tracing::warn!(group = %id, why, "an invitation leads nowhere");
                return Ok(Step::Next);
            }
            None => return Ok(Step::Hold),
        };
        let joined = match Group::join(welcome, tree, &stock) {
            Ok(joined) => joined,
            Err(JoinError::Mls(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(group = %id, %error, "an invitation can't be accepted");
                return Ok(Step::Next);
            }
        };
        if joined.group.id() != id {
            tracing::warn!(group = %id, "an invitation is for another group than it says");
            return Ok(Step::Next);
        }
        self.joined(turn, tx, joined.group, start).await?;
        if let Some(used) = joined.used {
            tx.delete_key_package(&used).await?;
        }
        Ok(Step::Next)
    }

    /// Takes a joined group in, in the place of an earlier state of it.
    async fn joined(
        &mut self,
        turn: &mut Turn<'_>,
        tx: &mut Tx<'_>,
        mut group: Group,
        start: Cursor,
    ) -> Result<(), ClientError> {
        let id = group.id().clone();
        let known = tx.group(&id).await?;
        if known.is_some() {
            tx.delete_group_state(&id).await?;
            tx.delete_pending_commit(&id).await?;
        }
        let me = self.me.address();
        let mut others = users(&group)?;
        others.remove(me);
        let name = known.and_then(|record| record.name);
        let peer = match (others.len(), &name) {
            (1, None) => others.pop_first(),
            _ => None,
        };
        tx.save_group_record(&GroupRecord {
            id: id.clone(),
            name,
            peer,
            state: GroupState::Active,
            since: self.now,
        })
        .await?;
        tx.save_group(&mut group).await?;
        if !all_proven(tx, &group.members()?).await? {
            // Messages wait for a look at who is here.
            self.unproven.insert(Feed::Group(id.clone()));
        }
        turn.put(group);
        if start.seq > Seq::ZERO {
            self.advance(tx, &Feed::Group(id.clone()), start).await?;
        }
        self.outcome.changed.insert(id);
        self.outcome.progress.advanced = true;
        self.outcome.progress.again = true;
        self.outcome.progress.unblocked = true;
        Ok(())
    }

    async fn refused(
        &mut self,
        tx: &mut Tx<'_>,
        group: &GroupId,
        id: &MessageId,
        refusal: &Refusal,
    ) -> Result<Step, ClientError> {
        let Some(outgoing) = tx.outgoing(id).await? else { return Ok(Step::Next) };
        if outgoing.target != Target::Group(group.clone()) {
            // The hub of one group has no say about messages of another.
            tracing::warn!(%group, message = %id, "a refusal names another group than its message's; it is skipped");
            return Ok(Step::Next);
        }
        match (&outgoing.state, refusal.retry_after) {
            // The hub has it, but the other side's domain has no room for its only reader.
            (OutgoingState::AtHub { .. }, Some(wait)) if refusal.is(ErrorCode::MailboxFull) => {
                tx.return_from_hub(id, self.now.after(wait)).await?;
            }
            // Its only reader's domain was away for too long. Of a hub elsewhere this may be our home's word, which lost an
            // answer: what is in the log there was taken.
            (OutgoingState::AtHub { .. }, None)
                if refusal.is(ErrorCode::PeerUnreachable) && group.hub() == self.me.address().domain() =>
            {
                tx.fail_from_hub(id, &refusal.to_string()).await?;
            }
            (OutgoingState::AtHub { .. }, _) => return Ok(Step::Next),
            // A mailbox that was put back tells what was settled long ago.
            _ if outgoing.offered == Some(Reach::Hub) => return Ok(Step::Next),
            _ if refusal.is(ErrorCode::IdReused) => tx.leave_at_hub(id).await?,
            // In another encryption: the hub may have taken later ones meanwhile, and readers keep the keys of a few that
            // are late only; nor must the echo of this one, which may still come, be taken for the other's.
            (_, Some(wait)) => tx.requeue(id, self.now.after(wait), true).await?,
            _ => settle_refusal(tx, id, refusal, self.now).await?,
        }
        self.outcome.progress.unblocked = true;
        Ok(Step::Next)
    }

    async fn end(
        &mut self,
        tx: &mut Tx<'_>,
        group: &GroupId,
        state: &GroupState,
    ) -> Result<Step, ClientError> {
        if tx.group(group).await?.is_some() {
            tx.set_group_state(group, state).await?;
            tx.delete_pending_commit(group).await?;
            self.outcome.progress.unblocked = true;
        }
        Ok(Step::Next)
    }
}

/// What becomes of a message that was not kept: encrypted again, tried later, or given up.
pub(crate) async fn settle_refusal(
    tx: &mut Tx<'_>,
    id: &MessageId,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<(), ClientError> {
    match (refusal.code, refusal.retry_after) {
        (Some(ErrorCode::EpochTooOld), _) => tx.requeue(id, now, true).await?,
        (_, Some(wait)) => tx.requeue(id, now.after(wait), false).await?,
        (Some(ErrorCode::NotStored | ErrorCode::Draining | ErrorCode::Overloaded), None) => {
            tx.requeue(id, now, false).await?;
        }
        (_, None) => tx.mark_failed(id, &refusal.to_string()).await?,
    }
    Ok(())
}

/// A row of a group without MLS state here: it waits for the invitation, unless the group has ended.
async fn missing(tx: &mut Tx<'_>, id: &GroupId) -> Result<Step, ClientError> {
    Ok(if tx.group(id).await?.is_some() { Step::Next } else { Step::Hold })
}

async fn all_proven(tx: &mut Tx<'_>, members: &[Member]) -> Result<bool, ClientError> {
    for member in members {
        if !is_proven(tx, member).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn sent_by_proven(
    tx: &mut Tx<'_>,
    members: &[Member],
    sender: &DeviceAddress,
) -> Result<bool, ClientError> {
    match members.iter().find(|member| member.device == *sender) {
        Some(member) => is_proven(tx, member).await,
        // The hub orders nothing of a device after the commit that removed it. With which key it was in the group isn't
        // known any more, so its name proves nothing.
        None => Ok(false),
    }
}

fn users(group: &Group) -> Result<BTreeSet<qpq_core::Address>, ClientError> {
    Ok(group.members()?.into_iter().map(|member| member.device.user).collect())
}
