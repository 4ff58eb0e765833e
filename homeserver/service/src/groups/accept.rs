//! Takes application messages into the log of a group that this domain orders, for every member's domain.
//!
//! One function for both ways in: a session of ours and a peer's row. A batch is judged against one look at the
//! group; a refused message is a value and leaves its neighbours alone.

use std::collections::{BTreeMap, BTreeSet};

use qpq_core::{DeviceAddress, DeviceId, Domain, ErrorCode, GroupId, MessageId, Seq, Timestamp, limits};
use qpq_delivery::{
    fanout,
    mailbox::{Room, Waiting},
    messages::{Membership, judge},
    policy,
};
use qpq_federation_proto::{RowKind, StreamId, StreamName};
use qpq_metrics::Limit;
use qpq_storage::{
    Backlog, EntryBody, Feed, Group, LogEntry, Member, NewOutboxRow, Notice, SeenSubmit, Stored,
    SubmitOutcome, WriteTx, payload_digest,
};

use super::{
    Place,
    behind::{Missed, audience, domains_behind},
    check_member, no_group,
    records::GroupEntry,
};
use crate::{
    Answered, Effects, Refusal, peering,
    relay::quota::{self, QueueRoom},
    request,
};

/// A message for a group's log, its framing already read.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) id: MessageId,
    pub(super) epoch: u64,
    pub(super) message: Vec<u8>,
    pub(super) expires_at: Timestamp,
}

/// Where a message is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) seq: Seq,
    pub(super) at: Timestamp,
    /// It was there before.
    pub(super) repeated: bool,
}

/// Devices of ours that read a group's log, and how much waits for each of them.
pub(super) struct Readers {
    waiting: Vec<Waiting>,
}

impl Readers {
    /// Counts once for a whole batch; `except` is the sender's own device, which is not cut off by what it sends.
    pub(super) async fn of(
        tx: &mut dyn WriteTx,
        us: &Domain,
        members: &[Member],
        except: Option<&DeviceId>,
    ) -> Stored<Self> {
        let active = |member: &&Member| member.left_seq.is_none() && member.needs_resync.is_none();
        let ours = members.iter().filter(active).filter(|member| member.device.user.domain() == us);
        let ids: Vec<DeviceId> = ours.map(|member| member.device.device).collect();
        let backlogs = tx.backlogs(&ids).await?;
        let waiting = ids.into_iter().zip(backlogs);
        let waiting =
            waiting.map(|(device, Backlog { messages, bytes })| Waiting { device, messages, bytes });
        Ok(Self { waiting: waiting.filter(|waiting| Some(&waiting.device) != except).collect() })
    }

    /// Whether one more message fits, and who must be cut off for it.
    pub(super) fn room(&self, place: &Place, accounts: u32, message: &[u8]) -> Room {
        place.limit.room(accounts, size(message), &self.waiting)
    }

    /// One more waits for everybody who was not cut off.
    pub(super) fn stored(&mut self, cut_off: &[DeviceId], message: &[u8]) {
        self.waiting.retain(|waiting| !cut_off.contains(&waiting.device));
        for waiting in &mut self.waiting {
            waiting.messages = waiting.messages.saturating_add(1);
            waiting.bytes = waiting.bytes.saturating_add(size(message));
        }
    }
}

fn size(message: &[u8]) -> u64 {
    u64::try_from(message.len()).unwrap_or(u64::MAX)
}

/// Accepts a device's messages for one group in the order given; an answer for each.
pub(super) async fn accept(
    tx: &mut dyn WriteTx,
    place: &Place,
    sender: &DeviceAddress,
    group: &GroupId,
    messages: &[Incoming],
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<Vec<Answered<Placed>>> {
    let ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
    let seen = tx.submits_seen(sender, &ids).await?;
    let mut batch = Batch::open(tx, place, sender, group, now).await?;
    let mut answers = Vec::with_capacity(messages.len());
    for (message, seen) in messages.iter().zip(seen) {
        answers.push(match repeated(seen, message) {
            Some(answer) => Taken::Answered(answer),
            None => batch.take(message, now),
        });
    }
    batch.limits.iter().for_each(|limit| effects.hit(*limit));
    batch.store(tx, sender, answers, now, effects).await
}

/// The answer that a repeat gets.
fn repeated(seen: Option<SeenSubmit>, message: &Incoming) -> Option<Answered<Placed>> {
    let seen = seen?;
    Some(match seen.outcome {
        SubmitOutcome::AtHub { seq, at } if seen.payload == payload_digest(&message.message) => {
            Ok(Placed { seq, at, repeated: true })
        }
        SubmitOutcome::AtHub { .. } | SubmitOutcome::AtHome { .. } => Err(policy::Refusal::IdReused.into()),
    })
}

/// What becomes of one message of a batch.
enum Taken {
    Answered(Answered<Placed>),
    /// It is this one among the entries to append.
    Entry(usize),
}

/// What one batch does to one group.
struct Batch<'a> {
    place: &'a Place,
    group: &'a GroupId,
    record: Option<Group>,
    members: Vec<Member>,
    sender: Answered<()>,
    readers: Readers,
    /// What the queues of the members' other domains take, as far as those follow the group.
    queues: BTreeMap<Domain, QueueRoom>,
    /// The domains of those who read what is sent.
    audience: BTreeSet<Domain>,
    limits: Vec<Limit>,
    entries: Vec<LogEntry>,
    places: BTreeMap<MessageId, usize>,
    cut_off: Vec<DeviceId>,
}

impl<'a> Batch<'a> {
    async fn open(
        tx: &mut dyn WriteTx,
        place: &'a Place,
        sender: &DeviceAddress,
        group: &'a GroupId,
        now: Timestamp,
    ) -> Stored<Self> {
        let record = tx.group(group).await?;
        let members = tx.members(group).await?;
        let own = members.iter().find(|member| member.device == *sender);
        let mut sender_may = check_member(own, sender);
        let behind = domains_behind(&members);
        let audience = audience(&members, &sender.user);
        let whom = Audience { members: &members, follow: &audience, behind: &behind };
        let why = unreachable_reader(tx, &place.domain, record.as_ref(), &whom, now).await?;
        if let Some(why) = why {
            let text = format!("nobody would read this: {why}");
            sender_may = sender_may.and_then(|()| Err(Refusal::new(ErrorCode::PolicyRefused, text)));
        }
        let except = (sender.user.domain() == &place.domain).then_some(&sender.device);
        let readers = Readers::of(tx, &place.domain, &members, except).await?;
        let present = members.iter().filter(|member| member.left_seq.is_none());
        let present: Vec<DeviceAddress> = present.map(|member| member.device.clone()).collect();
        let mut queues = BTreeMap::new();
        for domain in fanout::of_message(&present) {
            if domain != place.domain && !behind.contains(&domain) {
                let room = QueueRoom::of(tx, &domain, place.peer_queue).await?;
                queues.insert(domain, room);
            }
        }
        Ok(Self {
            place,
            group,
            record,
            sender: sender_may,
            readers,
            queues,
            audience,
            limits: Vec::new(),
            members,
            entries: Vec::new(),
            places: BTreeMap::new(),
            cut_off: Vec::new(),
        })
    }

    fn take(&mut self, message: &Incoming, now: Timestamp) -> Taken {
        match self.judge(message, now) {
            Ok(index) => Taken::Entry(index),
            Err(refusal) => Taken::Answered(Err(refusal)),
        }
    }

    fn judge(&mut self, message: &Incoming, now: Timestamp) -> Answered<usize> {
        let record = self.record.as_ref().ok_or_else(|| no_group(self.group))?;
        if let Some(index) = self.places.get(&message.id) {
            // Twice in one batch: the second is a repeat of the first, or another message under its id.
            let same = self.entries.get(*index).is_some_and(|entry| {
                matches!(&entry.body, EntryBody::Application { message: first } if *first == message.message)
            });
            return if same { Ok(*index) } else { Err(policy::Refusal::IdReused.into()) };
        }
        self.sender.clone()?;
        judge(message.epoch, record.epoch, Membership::Member)?;
        match self.readers.room(self.place, record.accounts, &message.message) {
            Room::Store { cut_off } => {
                self.readers.stored(&cut_off, &message.message);
                self.cut_off.extend(cut_off);
            }
            Room::Full { retry_after } => {
                self.limits.push(Limit::Mailbox);
                let text = "a member's device has too many undelivered messages";
                return Err(Refusal::retry(ErrorCode::MailboxFull, text, retry_after));
            }
        }
        // What nobody else reads is refused if nothing more is kept for its readers; else their domain is left behind.
        for (domain, room) in &mut self.queues {
            if sole(record.accounts, &self.audience, domain) && !room.take(message.message.len()) {
                self.limits.push(Limit::PeerQueue);
                return Err(quota::full(domain));
            }
        }
        let index = self.entries.len();
        self.places.insert(message.id, index);
        self.entries.push(LogEntry {
            seq: Seq::ZERO,
            id: message.id,
            epoch: message.epoch,
            at: now,
            expires_at: Some(message.expires_at),
            body: EntryBody::Application { message: message.message.clone() },
        });
        Ok(index)
    }

    async fn store(
        mut self,
        tx: &mut dyn WriteTx,
        sender: &DeviceAddress,
        taken: Vec<Taken>,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Stored<Vec<Answered<Placed>>> {
        let mut positions = Vec::new();
        if !self.entries.is_empty() {
            if !self.cut_off.is_empty() {
                cut_off(tx, self.group, &self.cut_off, now, effects).await?;
            }
            positions = tx.log_append(self.group, &self.entries).await?;
            self.remember(tx, sender, &positions, now).await?;
            self.spread(tx, &positions, now, effects).await?;
        }
        let answer = |taken| match taken {
            Taken::Answered(answer) => answer,
            Taken::Entry(index) => positions
                .get(index)
                .map(|seq| Placed { seq: *seq, at: now, repeated: false })
                .ok_or_else(|| Refusal::new(ErrorCode::Internal, "the store gave a message no position")),
        };
        Ok(taken.into_iter().map(answer).collect())
    }

    async fn remember(
        &self,
        tx: &mut dyn WriteTx,
        sender: &DeviceAddress,
        positions: &[Seq],
        now: Timestamp,
    ) -> Stored<()> {
        let mut submits = Vec::with_capacity(self.entries.len());
        for (entry, seq) in self.entries.iter().zip(positions) {
            if let EntryBody::Application { message } = &entry.body {
                let outcome = SubmitOutcome::AtHub { seq: *seq, at: now };
                submits.push((entry.id, SeenSubmit { payload: payload_digest(message), outcome }));
            }
        }
        tx.submits_remember(sender, &submits, now.after(self.place.ttl).after(limits::IDEMPOTENCY_EXTRA))
            .await
    }

    /// Our devices are woken, every other member domain gets its rows or is left behind.
    async fn spread(
        &mut self,
        tx: &mut dyn WriteTx,
        positions: &[Seq],
        now: Timestamp,
        effects: &mut Effects,
    ) -> Stored<()> {
        let present = self.members.iter().filter(|member| member.left_seq.is_none());
        let present: Vec<DeviceAddress> = present.map(|member| member.device.clone()).collect();
        for device in present.iter().filter(|device| device.user.domain() == &self.place.domain) {
            effects.wake(device.device, Feed::Group(self.group.clone()));
        }
        let accounts = self.record.as_ref().map_or(0, |record| record.accounts);
        let (mut rows, mut missed) = (Vec::new(), Vec::new());
        for (domain, room) in &mut self.queues {
            let stream = StreamId::of(&self.place.domain, domain, &StreamName::FanOut(self.group.clone()));
            for (entry, seq) in self.entries.iter().zip(positions) {
                let EntryBody::Application { message } = &entry.body else { continue };
                if !sole(accounts, &self.audience, domain) && !room.take(message.len()) {
                    missed.push((domain.clone(), entry.id));
                    break;
                }
                let record = GroupEntry {
                    group: self.group.clone(),
                    seq: *seq,
                    epoch: entry.epoch,
                    at: now,
                    message: message.clone(),
                    committer: None,
                    removed: Vec::new(),
                    accounts,
                };
                rows.push(NewOutboxRow {
                    destination: domain.clone(),
                    stream: *stream.as_bytes(),
                    id: entry.id,
                    kind: RowKind::GroupEntry.number(),
                    expires_at: entry.expires_at,
                    payload: record.to_bytes(),
                    at: now,
                    request: request::current(),
                });
            }
            effects.send(domain.clone());
        }
        if !rows.is_empty() {
            tx.outbox_append(&rows).await?;
        }
        for (domain, id) in missed {
            effects.hit(Limit::PeerQueue);
            let missed = Missed { us: &self.place.domain, group: self.group, domain: &domain, id, now };
            missed.leave_behind(tx, effects).await?;
        }
        Ok(())
    }
}

/// Whether nobody else reads what a domain has no room for: between two accounts, or if all other readers are there.
fn sole(accounts: u32, audience: &BTreeSet<Domain>, domain: &Domain) -> bool {
    accounts <= 2 || (audience.len() == 1 && audience.contains(domain))
}

/// Whom a message is for.
struct Audience<'a> {
    members: &'a [Member],
    /// The domains of those who follow the group.
    follow: &'a BTreeSet<Domain>,
    behind: &'a BTreeSet<Domain>,
}

/// Why nobody reads: between two, the admin ended the peering with the other account's domain, or blocked it; or every other
/// domain was left behind. Better refused than queued for somebody who may never come back. Else the others read on.
async fn unreachable_reader(
    tx: &mut dyn WriteTx,
    us: &Domain,
    record: Option<&Group>,
    whom: &Audience<'_>,
    now: Timestamp,
) -> Stored<Option<String>> {
    if let Some(domain) = whom.behind.iter().find(|domain| *domain != us)
        && whom.follow.is_empty()
    {
        let why = format!("`{domain}` can't follow the group any more: its users must be added again");
        return Ok(Some(why));
    }
    if record.is_none_or(|record| record.accounts > 2) {
        return Ok(None);
    }
    let present = whom.members.iter().filter(|member| member.left_seq.is_none());
    for domain in present.map(|member| member.device.user.domain()).filter(|domain| *domain != us) {
        if let Some(why) = peering::why_not(tx, us, domain, now).await? {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// Cuts devices off from a group and tells them.
pub(super) async fn cut_off(
    tx: &mut dyn WriteTx,
    group: &GroupId,
    devices: &[DeviceId],
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<()> {
    tx.members_cut_off(group, devices).await?;
    let notices: Vec<_> =
        devices.iter().map(|device| (*device, Notice::NeedsResync { group: group.clone() })).collect();
    for device in tx.mailbox_append(&notices, now).await? {
        effects.wake(device, Feed::Mailbox);
    }
    Ok(())
}
