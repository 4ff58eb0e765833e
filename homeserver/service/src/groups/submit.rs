//! Application messages from our own devices: into the log if this domain is the hub, else on their way to it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use qpq_core::{DeviceAddress, Digest, ErrorCode, GroupId, MessageId, Millis, Seq, Timestamp, limits};
use qpq_delivery::policy;
use qpq_federation_proto::{RowKind, StreamId, StreamName};
use qpq_hub::{FramingError, application_framing};
use qpq_metrics::Limit;
use qpq_storage::{NewOutboxRow, SeenSubmit, Stored, SubmitOutcome, WriteTx, payload_digest};

use super::{
    Groups, Place,
    accept::{Incoming, accept},
    check_member,
    records::{GroupSubmit, expires_at},
};
use crate::{
    Answered, Effects, Receipt, Refusal, SessionHandle, WriteJob, peering,
    receipts::{self, Taken},
    relay::quota::{self, QueueRoom},
    request,
};

/// One message for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationSubmit {
    /// The idempotency key.
    pub id: MessageId,
    /// For which group.
    pub group: GroupId,
    /// The serialised PrivateMessage.
    pub message: Vec<u8>,
    /// How long it may wait for its readers; `None`: the domain's default, which is also the most.
    pub ttl: Option<Millis>,
}

/// Where a message is now. Every answer is given after it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitAnswer {
    /// Nothing was kept.
    Refused(Refusal),
    /// In the group's log, at this position.
    AtHub {
        /// The position.
        seq: Seq,
        /// When.
        at: Timestamp,
    },
    /// Durable here, on its way to the hub.
    AtHome {
        /// When.
        at: Timestamp,
    },
}

impl ApplicationSubmit {
    /// What a receipt says of it.
    fn named(&self) -> (GroupId, MessageId, Digest) {
        (self.group.clone(), self.id, payload_digest(&self.message))
    }
}

impl SubmitAnswer {
    /// Since when the message is durable here.
    const fn durable_at(&self) -> Option<Timestamp> {
        match self {
            Self::Refused(_) => None,
            Self::AtHub { at, .. } | Self::AtHome { at } => Some(*at),
        }
    }
}

/// What became of the messages of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// An answer for each message, in the order given.
    pub answers: Vec<SubmitAnswer>,
    /// Proves that those were taken which are durable now.
    pub receipts: Vec<Receipt>,
}

impl Groups {
    /// Takes messages of one device.
    pub async fn submit(
        &self,
        session: &SessionHandle,
        submits: Vec<ApplicationSubmit>,
    ) -> Answered<Submitted> {
        let now = self.ground().now();
        session.check(now)?;
        let most = limits::BATCH_ITEMS;
        if submits.len() > most {
            let text = format!("{} messages in one call, {most} are allowed", submits.len());
            return Err(Refusal::new(ErrorCode::TooLarge, text));
        }
        let mut answers: Vec<Option<SubmitAnswer>> = Vec::with_capacity(submits.len());
        let mut batches: BTreeMap<GroupId, Vec<(usize, Incoming)>> = BTreeMap::new();
        let mut named = Vec::with_capacity(submits.len());
        for (index, submit) in submits.into_iter().enumerate() {
            named.push(submit.named());
            let refused = match self.parse(session, submit, now) {
                Ok((group, incoming)) => {
                    batches.entry(group).or_default().push((index, incoming));
                    None
                }
                Err(refusal) => Some(SubmitAnswer::Refused(refusal)),
            };
            answers.push(refused);
        }
        if !batches.is_empty() {
            let job = Submit {
                place: Place::of(self.ground()),
                sender: session.device().clone(),
                batches: batches.into_iter().collect(),
                now,
                effects: Effects::default(),
            };
            for (index, answer) in self.ground().write(job).await? {
                if let Some(place) = answers.get_mut(index) {
                    *place = Some(answer);
                }
            }
        }
        let lost = || SubmitAnswer::Refused(Refusal::new(ErrorCode::Internal, "the message got no answer"));
        let answers: Vec<SubmitAnswer> =
            answers.into_iter().map(|answer| answer.unwrap_or_else(lost)).collect();
        let taken = named.into_iter().zip(&answers).filter_map(|((group, id, ciphertext), answer)| {
            let at = answer.durable_at()?;
            Some(Taken { group, id, ciphertext, at })
        });
        let receipts = receipts::accepted(self.ground(), taken.collect());
        Ok(Submitted { answers, receipts })
    }

    fn parse(
        &self,
        session: &SessionHandle,
        submit: ApplicationSubmit,
        now: Timestamp,
    ) -> Answered<(GroupId, Incoming)> {
        let epoch = framing(&submit.group, &submit.message)?;
        self.admit(session, now)?;
        let expires_at = expires_at(submit.ttl, self.ground().settings().message_ttl, now);
        Ok((submit.group, Incoming { id: submit.id, epoch, message: submit.message, expires_at }))
    }
}

/// The epoch of an encrypted application message for this group.
pub(super) fn framing(group: &GroupId, message: &[u8]) -> Answered<u64> {
    let framing = application_framing(message).map_err(|error| {
        let code = if error == FramingError::TooLarge { ErrorCode::TooLarge } else { ErrorCode::Malformed };
        Refusal::new(code, error.to_string())
    })?;
    if framing.group == *group {
        Ok(framing.epoch)
    } else {
        Err(Refusal::malformed("the message is another group's"))
    }
}

struct Submit {
    place: Place,
    sender: DeviceAddress,
    batches: Vec<(GroupId, Vec<(usize, Incoming)>)>,
    now: Timestamp,
    effects: Effects,
}

#[async_trait]
impl WriteJob for Submit {
    type Output = Vec<(usize, SubmitAnswer)>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        self.effects = Effects::default();
        let mut answers = Vec::new();
        for (group, batch) in &self.batches {
            let messages: Vec<Incoming> = batch.iter().map(|(_, message)| message.clone()).collect();
            let (place, sender, now) = (&self.place, &self.sender, self.now);
            let answered: Vec<SubmitAnswer> = if *group.hub() == place.domain {
                let placed = accept(tx, place, sender, group, &messages, now, &mut self.effects).await?;
                placed
                    .into_iter()
                    .map(|placed| match placed {
                        Ok(placed) => SubmitAnswer::AtHub { seq: placed.seq, at: placed.at },
                        Err(refusal) => SubmitAnswer::Refused(refusal),
                    })
                    .collect()
            } else {
                forward(tx, place, sender, group, &messages, now, &mut self.effects).await?
            };
            answers.extend(batch.iter().map(|(index, _)| *index).zip(answered));
        }
        Ok(answers)
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}

/// Puts a device's messages for a group of another hub into the outbox, in the order given.
async fn forward(
    tx: &mut dyn WriteTx,
    place: &Place,
    sender: &DeviceAddress,
    group: &GroupId,
    messages: &[Incoming],
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<Vec<SubmitAnswer>> {
    let may = may_forward(tx, place, sender, group, now).await?;
    let ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
    let seen = tx.submits_seen(sender, &ids).await?;
    let mut room = QueueRoom::of(tx, group.hub(), place.peer_queue).await?;
    let stream = StreamId::of(&place.domain, group.hub(), &StreamName::Submissions(group.clone()));
    let (mut answers, mut rows, mut remembered) = (Vec::new(), Vec::new(), Vec::new());
    let mut fresh: BTreeMap<MessageId, SeenSubmit> = BTreeMap::new();
    for (message, seen) in messages.iter().zip(seen) {
        let payload = payload_digest(&message.message);
        if let Some(seen) = seen.or_else(|| fresh.get(&message.id).cloned()) {
            answers.push(repeated(&seen, payload));
            continue;
        }
        if let Err(refusal) = &may {
            answers.push(SubmitAnswer::Refused(refusal.clone()));
            continue;
        }
        if !room.take(message.message.len()) {
            effects.hit(Limit::PeerQueue);
            answers.push(SubmitAnswer::Refused(quota::full(group.hub())));
            continue;
        }
        let record =
            GroupSubmit { group: group.clone(), sender: sender.clone(), message: message.message.clone() };
        rows.push(NewOutboxRow {
            destination: group.hub().clone(),
            stream: *stream.as_bytes(),
            id: message.id,
            kind: RowKind::GroupSubmit.number(),
            expires_at: Some(message.expires_at),
            payload: record.to_bytes(),
            at: now,
            request: request::current(),
        });
        let outcome = SeenSubmit { payload, outcome: SubmitOutcome::AtHome { at: now } };
        fresh.insert(message.id, outcome.clone());
        remembered.push((message.id, outcome));
        answers.push(SubmitAnswer::AtHome { at: now });
    }
    if !rows.is_empty() {
        tx.outbox_append(&rows).await?;
        let until = now.after(place.ttl).after(limits::IDEMPOTENCY_EXTRA);
        tx.submits_remember(sender, &remembered, until).await?;
        effects.send(group.hub().clone());
    }
    Ok(answers)
}

async fn may_forward(
    tx: &mut dyn WriteTx,
    place: &Place,
    sender: &DeviceAddress,
    group: &GroupId,
    now: Timestamp,
) -> Stored<Answered<()>> {
    let member = tx.member(group, &sender.device).await?;
    if let Err(refusal) = check_member(member.as_ref(), sender) {
        return Ok(Err(refusal));
    }
    let why = peering::why_not(tx, &place.domain, group.hub(), now).await?;
    Ok(why.map_or(Ok(()), |why| {
        let text = format!("the domain that orders the group can't be reached: {why}");
        Err(Refusal::new(ErrorCode::PolicyRefused, text))
    }))
}

fn repeated(seen: &SeenSubmit, payload: Digest) -> SubmitAnswer {
    match seen.outcome {
        SubmitOutcome::AtHome { at } if seen.payload == payload => SubmitAnswer::AtHome { at },
        SubmitOutcome::AtHome { .. } | SubmitOutcome::AtHub { .. } => {
            SubmitAnswer::Refused(policy::Refusal::IdReused.into())
        }
    }
}
