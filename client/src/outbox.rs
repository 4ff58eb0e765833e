//! What goes out: queued messages are encrypted when they can be, stored, and then handed over.
//!
//! A message keeps its id and, once encrypted, its ciphertext, so that handing it over again after a lost answer
//! is the same request. Within one conversation nothing overtakes: the first message that has to wait makes the
//! later ones wait.

use std::collections::{BTreeSet, HashSet};

use qpq_core::{Address, ErrorCode, GroupId, MessageId, Millis};

use crate::{
    Client, ClientError,
    client::Turn,
    error::Refusal,
    mls::Member,
    proofs,
    session::{HandedOver, Submit, Submitted},
    store::{GroupState, Outgoing, Target, Tx},
    sync::settle_refusal,
    trust::{Proof, is_proven},
};

/// Messages handed over in one call.
const BATCH: usize = 64;
/// Bytes of ciphertext handed over in one call; a single message may be larger.
const BATCH_BYTES: usize = 1024 * 1024;
/// Messages looked at in one turn.
const LOOK: u32 = 1_000;

/// How long a homeserver whose database was put back is given to hear from its peers of groups that it doesn't know any more;
/// the longest backoff is 30 minutes.
const CATCHES_UP: Millis = Millis::from_secs(3_600);
/// When it is asked again.
const REPLAYED: Millis = Millis::from_secs(30);

/// Whether a homeserver that has not heard of a group would refuse so.
fn is_unknown(refusal: &Refusal) -> bool {
    [ErrorCode::NotFound, ErrorCode::NotMember, ErrorCode::NeedsResync]
        .into_iter()
        .any(|code| refusal.is(code))
}

/// What keeps a message here.
#[derive(Debug)]
enum Step {
    /// It is encrypted, stored and ready.
    Ready(Submit),
    /// It waits.
    Wait(String),
    /// It can't ever go.
    Fail(String),
    /// Its user has no usable conversation yet.
    Open(Address),
    /// The members of its group have to be looked at first.
    Prove(GroupId),
}

/// A turn's result.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) submits: Vec<Submit>,
    open: Vec<Address>,
    prove: BTreeSet<GroupId>,
}

/// Conversations that wait in this flush, and why.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    users: Vec<(Address, String)>,
    groups: HashSet<GroupId>,
}

impl Client {
    /// Hands over everything that can go now.
    pub async fn flush(&self) -> Result<(), ClientError> {
        let _one_at_a_time = self.inner.outbox.lock().await;
        Box::pin(self.look_again()).await?;
        let mut waiting = Waiting::default();
        let mut opened: HashSet<Address> = HashSet::new();
        loop {
            let prepared = self.prepare(&waiting).await?;
            for group in &prepared.prove {
                if self.prove(group).await? == Proof::Unknown {
                    waiting.groups.insert(group.clone());
                }
            }
            for user in &prepared.open {
                self.inner.reasons.borrow_mut().remove(user);
                if !opened.insert(user.clone()) {
                    // It was made a moment ago and still can't be used: not again and again.
                    waiting.users.push((user.clone(), String::from("the conversation can't be used yet")));
                    continue;
                }
                if let Err(error) = self.open_direct(user).await {
                    if matches!(error, ClientError::Disconnected { .. }) {
                        return Err(error);
                    }
                    if !error.is_transient() && !error.is_about_keys() {
                        self.give_up(user, &error).await?;
                    }
                    if let ClientError::Refused(refusal) = &error
                        && refusal.is(ErrorCode::Requested)
                    {
                        // Its hub says so; the user's home has said so already where it is another.
                        self.note_requested(std::slice::from_ref(user), refusal).await?;
                    }
                    self.inner.reasons.borrow_mut().insert(user.clone(), error.to_string());
                    waiting.users.push((user.clone(), error.to_string()));
                }
            }
            if prepared.submits.is_empty() {
                if prepared.open.is_empty() && prepared.prove.is_empty() {
                    return Ok(());
                }
                continue;
            }
            self.hand_over(&prepared.submits).await?;
        }
    }

    /// Encrypts what can go, and stores it, before any of it leaves.
    pub(crate) async fn prepare(&self, waiting: &Waiting) -> Result<Prepared, ClientError> {
        let mut prepared = Prepared::default();
        let mut turn = self.turn().await;
        let mut tx = self.inner.store.begin().await?;
        let mut blocked: HashSet<Target> = HashSet::new();
        let mut touched: BTreeSet<GroupId> = BTreeSet::new();
        let mut bytes = 0;
        for outgoing in tx.queued(LOOK).await? {
            if prepared.submits.len() >= BATCH || bytes >= BATCH_BYTES {
                break;
            }
            let conversation = self.conversation(&mut tx, &outgoing.target).await?;
            if blocked.contains(&conversation) {
                continue;
            }
            let step = self.step(&mut turn, &mut tx, &outgoing, &conversation, waiting, &mut touched).await?;
            match step {
                Step::Ready(submit) => {
                    bytes += submit.message.len();
                    prepared.submits.push(submit);
                    continue;
                }
                Step::Fail(reason) => {
                    tx.mark_failed(&outgoing.id, &reason).await?;
                    continue;
                }
                Step::Wait(reason) => tracing::debug!(message = %outgoing.id, reason, "a message waits"),
                Step::Open(user) => prepared.open.push(user),
                Step::Prove(group) => drop(prepared.prove.insert(group)),
            }
            blocked.insert(conversation);
        }
        for id in &touched {
            if let Some(group) = turn.group(&mut tx, id).await? {
                tx.save_group(group).await?;
            }
        }
        tx.commit().await?;
        turn.done();
        Ok(prepared)
    }

    /// Where a message goes now: one that is still for a user has to line up behind those that are already in the
    /// group with that user.
    async fn conversation(&self, tx: &mut Tx<'_>, target: &Target) -> Result<Target, ClientError> {
        let Target::User(user) = target else { return Ok(target.clone()) };
        Ok(self.direct_group(tx, user).await?.map_or_else(|| target.clone(), Target::Group))
    }

    async fn step(
        &self,
        turn: &mut Turn<'_>,
        tx: &mut Tx<'_>,
        outgoing: &Outgoing,
        conversation: &Target,
        waiting: &Waiting,
        touched: &mut BTreeSet<GroupId>,
    ) -> Result<Step, ClientError> {
        let me = self.me()?;
        if outgoing.not_before > self.now() {
            return Ok(Step::Wait(format!("until {}", outgoing.not_before)));
        }
        let id = match conversation {
            Target::Group(group) => group.clone(),
            Target::User(user) => {
                if let Some((_, reason)) = waiting.users.iter().find(|(waits, _)| waits == user) {
                    return Ok(Step::Wait(reason.clone()));
                }
                return match self.own_keys_are_fine(tx).await {
                    Ok(()) => self.first_contact(tx, user).await,
                    Err(error @ ClientError::Store(_)) => Err(error),
                    Err(error) => Ok(Step::Wait(error.to_string())),
                };
            }
        };
        if waiting.groups.contains(&id) {
            return Ok(Step::Wait(String::from("a member's keys can't be had now")));
        }
        let Some(record) = tx.group(&id).await? else {
            return Ok(Step::Fail(String::from("the group is gone from this device")));
        };
        match record.state {
            GroupState::Active => {}
            GroupState::Creating => return Ok(Step::Wait(String::from("the group is not at its hub yet"))),
            // It is looked at again now and then, whether it still is.
            GroupState::Blocked { reason } => {
                let seen = self.known_proof(&id).is_some();
                return Ok(if seen { Step::Wait(reason) } else { Step::Prove(id) });
            }
            GroupState::NeedsResync { .. } | GroupState::Removed => {
                let gone = ClientError::CutOff { group: id, address: me.address().clone() };
                return Ok(Step::Fail(gone.to_string()));
            }
        }
        if let Some((message, _)) = &outgoing.encrypted {
            return Ok(Step::Ready(Submit { id: outgoing.id, group: id, message: message.clone() }));
        }
        let members = tx.members(&id).await?;
        if let Err(error) = self.all_count(tx, &members).await {
            return Ok(Step::Wait(error.to_string()));
        }
        match self.known_proof(&id) {
            None => return Ok(Step::Prove(id)),
            Some(Proof::Proven) => {}
            Some(Proof::Blocked | Proof::Unknown) => {
                return Ok(Step::Wait(String::from("a member isn't proven")));
            }
        }
        for member in &members {
            // The look at the members may be older than a commit that came in while it was taken.
            if !is_proven(tx, member).await? {
                self.inner.proofs.borrow_mut().remove(&id);
                return Ok(Step::Prove(id));
            }
        }
        let Some(group) = turn.group(tx, &id).await? else {
            return Ok(Step::Fail(String::from("the group's keys are gone from this device")));
        };
        if group.has_pending() {
            return Ok(Step::Wait(String::from("a change of the group is under way")));
        }
        let epoch = group.epoch();
        let message = group.encrypt(&me.device, &outgoing.content)?;
        tx.set_encrypted(&outgoing.id, &message, epoch).await?;
        if matches!(outgoing.target, Target::User(_)) {
            tx.set_target_group(&outgoing.id, &id).await?;
        }
        touched.insert(id.clone());
        Ok(Step::Ready(Submit { id: outgoing.id, group: id, message }))
    }

    /// Whether one's own keys and those of every member count as they are.
    async fn all_count(&self, tx: &mut Tx<'_>, members: &[Member]) -> Result<(), ClientError> {
        self.own_keys_are_fine(tx).await?;
        self.others_count(tx, members).await
    }

    /// Whether those of every member do. Whose account was closed reads nothing any more, and others go on without them.
    pub(crate) async fn others_count(&self, tx: &mut Tx<'_>, members: &[Member]) -> Result<(), ClientError> {
        let users: BTreeSet<_> = members.iter().map(|member| &member.device.user).collect();
        let talk_on = users.len() > 2;
        for user in users {
            match self.unchanged(tx, user).await {
                Err(ClientError::Closed { .. }) if talk_on => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// A conversation is made when the first message can go; not while the other is asked for their consent.
    async fn first_contact(&self, tx: &mut Tx<'_>, user: &Address) -> Result<Step, ClientError> {
        if tx.requested(user).await?.is_some_and(|asked| asked.waits(self.now())) {
            return Ok(Step::Wait(ClientError::Requested { users: vec![user.clone()] }.to_string()));
        }
        Ok(Step::Open(user.clone()))
    }

    /// Submits what is stored, and stores the answers.
    async fn hand_over(&self, submits: &[Submit]) -> Result<(), ClientError> {
        let HandedOver { answers, receipts } = match self.session()?.submit(submits).await {
            // All of it was refused, for instance by the rate limit.
            Err(ClientError::Refused(refusal)) => {
                let answers = submits.iter().map(|_| Submitted::Refused(refusal.clone())).collect();
                HandedOver { answers, receipts: Vec::new() }
            }
            other => other?,
        };
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let behind = tx.put_back().await?.is_some_and(|at| at <= now && now.since(at) < CATCHES_UP);
        let me = self.address()?;
        let home = me.domain();
        let mut changed = Vec::new();
        for (submit, answer) in submits.iter().zip(answers) {
            self.inner.refusals.borrow_mut().remove(&submit.id);
            match answer {
                Submitted::AtHub => tx.mark_at_hub(&submit.id, &submit.message, now).await?,
                Submitted::AtHome => tx.mark_at_home(&submit.id, &submit.message, now).await?,
                Submitted::Refused(refusal) => {
                    if behind && is_unknown(&refusal) && submit.group.hub() != home {
                        tx.requeue(&submit.id, now.after(REPLAYED), false).await?;
                        self.inner.refusals.borrow_mut().insert(submit.id, refusal);
                        continue;
                    }
                    let offered = tx.outgoing(&submit.id).await?.is_some_and(|known| known.offered.is_some());
                    if refusal.is(ErrorCode::IdReused) && offered {
                        // It has another encryption: in its log, or on the way to the hub, whose word comes.
                        if submit.group.hub() == home {
                            tx.leave_at_hub(&submit.id).await?;
                        } else {
                            tx.mark_at_home(&submit.id, &submit.message, now).await?;
                        }
                        continue;
                    }
                    if refusal.is(ErrorCode::NotMember) || refusal.is(ErrorCode::NeedsResync) {
                        let state = GroupState::NeedsResync { reason: refusal.text.clone() };
                        tx.set_group_state(&submit.group, &state).await?;
                        changed.push(submit.group.clone());
                    }
                    settle_refusal(&mut tx, &submit.id, &refusal, now).await?;
                    self.inner.refusals.borrow_mut().insert(submit.id, refusal);
                }
            }
        }
        for receipt in &receipts {
            proofs::keep(&mut tx, self.address()?.domain(), receipt).await?;
        }
        tx.commit().await?;
        let mut kept = self.inner.proofs.borrow_mut();
        for group in changed {
            kept.remove(&group);
        }
        Ok(())
    }

    /// Nothing that waits for this user can ever go.
    async fn give_up(&self, user: &Address, error: &ClientError) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let theirs: Vec<MessageId> = tx
            .queued(LOOK)
            .await?
            .into_iter()
            .filter(|outgoing| outgoing.target == Target::User(user.clone()))
            .map(|outgoing| outgoing.id)
            .collect();
        for id in theirs {
            tx.mark_failed(&id, &error.to_string()).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
