//! What a domain's database holds, and the units of work that change it: each is all or nothing.

use std::collections::{BTreeMap, BTreeSet};

use qpq_core::{Digest, Incarnation, MessageId, Millis, Seq, Timestamp};
use qpq_delivery::ordering::{Outcome, Submitted};
use qpq_federation_proto::{
    Batch, CallId, Cut, Finding, Judgement, Kept, Lane, LaneHead, Position, Row, RowKind, SavedLink, StoreId,
    StreamAnswer, StreamHead, StreamId, chain, judge,
};

use super::world::CallKey;
use crate::{
    bug::Bug,
    history::{DomainNo, Entry, Event, GroupNo, Id},
};

/// A kind of row that nobody knows.
pub(crate) const UNKNOWN_KIND: u16 = 900;

/// A database.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) queues: BTreeMap<(DomainNo, Lane), Queue>,
    pub(crate) links: BTreeMap<DomainNo, SavedLink>,
    pub(crate) positions: BTreeMap<(DomainNo, StreamId), Position>,
    pub(crate) known: BTreeMap<DomainNo, Incarnation>,
    pub(crate) groups: BTreeMap<GroupNo, Group>,
    seen: BTreeSet<Id>,
    pub(crate) commits: BTreeMap<Id, (Digest, Seq)>,
}

/// A group's log, or a copy of it, as far as it matters here: how far it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Group {
    pub(crate) epoch: u64,
    length: u64,
}

/// A stream to a peer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    pub(crate) rows: Vec<Stored>,
    kept: u64,
    chain: Option<Digest>,
}

/// A row and when it expires.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) row: Row,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Queue {
    fn last(&self) -> Seq {
        Seq(u64::try_from(self.rows.len()).unwrap_or(u64::MAX))
    }

    fn head(&self, lane: Lane) -> StreamHead {
        StreamHead { lane, accepted: Seq(self.kept), chain: self.chain, last: self.last() }
    }

    /// The chain after one of the rows that wait.
    fn chain_at(&self, seq: Seq) -> Option<Digest> {
        let known = if self.kept == 0 { Digest::ZERO } else { self.chain? };
        let from = usize::try_from(self.kept).unwrap_or(usize::MAX);
        let rows = self.rows.iter().skip(from).take_while(|stored| stored.row.seq <= seq);
        Some(rows.fold(known, |previous, stored| chain(&previous, &stored.row)))
    }
}

impl State {
    /// Where a lane to a peer stands.
    pub(crate) fn head(&self, peer: DomainNo, lane: Lane) -> Option<StreamHead> {
        self.queues.get(&(peer, lane)).map(|queue| queue.head(lane))
    }

    fn lanes_of(&self, peer: DomainNo) -> impl Iterator<Item = StreamHead> {
        let queues = self.queues.iter().filter(move |((to, _), _)| *to == peer);
        queues.map(|((_, lane), queue)| queue.head(*lane))
    }

    /// The lanes to a peer that have rows waiting.
    pub(crate) fn waiting(&self, peer: DomainNo) -> Vec<StreamHead> {
        self.lanes_of(peer).filter(|head| head.last > head.accepted).collect()
    }

    /// All lanes to a peer.
    pub(crate) fn lanes(&self, peer: DomainNo) -> Vec<LaneHead> {
        let head = |StreamHead { lane, accepted, chain, last }| LaneHead { lane, accepted, chain, last };
        self.lanes_of(peer).map(head).collect()
    }

    /// What a peer should say that it has applied, as far as it was heard from.
    pub(crate) fn heard_of(&self, peer: DomainNo) -> BTreeMap<StreamId, Position> {
        // Lanes are ordered by life, so the newest of a stream stays.
        let heard = self.lanes_of(peer).filter(|head| head.accepted > Seq::ZERO);
        heard
            .map(|StreamHead { lane, accepted, chain, .. }| {
                let chain = chain.unwrap_or(Digest::ZERO);
                (lane.stream, Position { incarnation: lane.incarnation, applied: accepted, chain })
            })
            .collect()
    }
}

/// What a client sees of its submit.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) group: GroupNo,
    pub(crate) id: Id,
    pub(crate) ttl: Option<Millis>,
}

/// A commit on its way into the store.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) group: GroupNo,
    pub(crate) id: Id,
    pub(crate) submitted: Submitted,
    /// The domain of those whom it invites.
    pub(crate) invites: DomainNo,
}

/// A unit of work in the writer's queue.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    Accept {
        client: usize,
        message: Message,
    },
    Note {
        client: usize,
        peer: DomainNo,
        id: Id,
    },
    Expire {
        peer: DomainNo,
        call: CallId,
        cuts: Vec<Cut>,
    },
    Relay {
        from: DomainNo,
        session: u64,
        call: CallKey,
        life: Incarnation,
        batches: Vec<Batch>,
        judged: Judged,
    },
    Keep {
        peer: DomainNo,
        store: StoreId,
        kept: Vec<Kept>,
    },
    /// What follows from a peer's heads.
    Reconcile {
        peer: DomainNo,
        findings: Vec<Finding>,
    },
    SaveLink {
        peer: DomainNo,
        link: SavedLink,
    },
    Remember {
        peer: DomainNo,
        life: Incarnation,
        session: u64,
    },
    Commit {
        attempt: u64,
        offer: Offer,
    },
    Invite {
        offer: Offer,
    },
}

/// When a relay call is judged.
#[derive(Debug, Clone)]
pub(crate) enum Judged {
    /// In the transaction that stores its rows.
    Inside,
    /// Before it: a planted bug.
    Before(BTreeMap<StreamId, Position>),
}

/// What came of a job, for whoever waits for it.
#[derive(Debug, Clone)]
pub(crate) enum Done {
    Accepted {
        client: usize,
    },
    Expired {
        peer: DomainNo,
        call: CallId,
        cuts: Vec<Cut>,
    },
    Relayed {
        from: DomainNo,
        session: u64,
        call: CallKey,
        answers: Option<Vec<(StreamId, StreamAnswer)>>,
    },
    Kept {
        peer: DomainNo,
        store: StoreId,
        durable: bool,
    },
    /// `None`: the transaction failed. Otherwise whether rows go out again.
    Reconciled {
        peer: DomainNo,
        replayed: Option<bool>,
    },
    Remembered {
        peer: DomainNo,
        session: u64,
    },
    Committed {
        group: GroupNo,
        attempt: u64,
        outcome: Outcome,
    },
}

/// Who works on a database, and when.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) domain: DomainNo,
    pub(crate) hubs: &'a [DomainNo],
    pub(crate) members: &'a [Vec<DomainNo>],
    pub(crate) bug: Option<Bug>,
    /// The domain's present life.
    pub(crate) life: Incarnation,
    /// The domain's own time.
    pub(crate) now: Timestamp,
    /// The observer's.
    pub(crate) at: u64,
}

/// What follows from a transaction.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) events: Vec<Event>,
    pub(crate) filled: BTreeSet<(DomainNo, Lane)>,
    pub(crate) done: Vec<Done>,
}

/// The stream of a group's submissions to its hub.
pub(crate) fn submissions(origin: DomainNo, hub: DomainNo, group: GroupNo) -> StreamId {
    stream(1, origin, hub, group)
}

/// The stream of a group's log to a member domain.
pub(crate) fn fan_out(hub: DomainNo, member: DomainNo, group: GroupNo) -> StreamId {
    stream(2, hub, member, group)
}

/// The stream of notes from domain to domain.
pub(crate) fn control(origin: DomainNo, destination: DomainNo) -> StreamId {
    stream(3, origin, destination, 0)
}

fn stream(kind: u8, origin: DomainNo, destination: DomainNo, group: GroupNo) -> StreamId {
    let [origin, destination, group] =
        [origin, destination, group].map(|no| u8::try_from(no).unwrap_or(u8::MAX));
    // First what tells streams to one destination apart.
    StreamId::from_bytes([kind, group, origin, destination, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn message_id(id: Id, mark: u8) -> MessageId {
    let mut bytes = [0; 16];
    for (byte, part) in bytes.iter_mut().zip(id.to_be_bytes()) {
        *byte = part;
    }
    bytes[15] = mark;
    MessageId::from_bytes(bytes)
}

/// What a row is about.
pub(crate) fn id_of(row: &Row) -> Id {
    row.id.as_bytes().iter().take(8).fold(0, |id, byte| (id << 8) | u64::from(*byte))
}

const WELCOME_MARK: u8 = 1;
const COMMIT_MARK: u8 = 2;

impl Place<'_> {
    /// Does the work of one job.
    pub(crate) fn perform(&self, state: &mut State, job: Job, effects: &mut Effects) {
        match job {
            Job::Accept { client, message } => {
                if state.seen.insert(message.id) {
                    self.accept(state, &message, effects);
                }
                effects.done.push(Done::Accepted { client });
            }
            Job::Note { client, peer, id } => {
                if state.seen.insert(id) {
                    let (stream, kind) = (control(self.domain, peer), RowKind::Unknown(UNKNOWN_KIND));
                    self.enqueue(state, peer, stream, row(id, 0, kind, 0), None, effects);
                }
                effects.done.push(Done::Accepted { client });
            }
            Job::Expire { peer, call, cuts } => {
                self.expire(state, peer, effects);
                effects.done.push(Done::Expired { peer, call, cuts });
            }
            Job::Relay { from, session, call, life, batches, judged } => {
                let mut answers = Vec::with_capacity(batches.len());
                for batch in &batches {
                    answers
                        .push((batch.stream(), self.apply_batch(state, from, life, batch, &judged, effects)));
                }
                effects.done.push(Done::Relayed { from, session, call, answers: Some(answers) });
            }
            Job::Keep { peer, store, kept } => {
                for Kept { lane, through, chain } in kept {
                    self.keep(state, peer, lane, through, chain, effects);
                }
                effects.done.push(Done::Kept { peer, store, durable: true });
            }
            Job::Reconcile { peer, findings } => {
                let replayed = Some(self.reconcile(state, peer, findings, effects));
                effects.done.push(Done::Reconciled { peer, replayed });
            }
            Job::SaveLink { peer, link } => {
                state.links.insert(peer, link);
            }
            Job::Remember { peer, life, session } => {
                state.known.insert(peer, life);
                effects.done.push(Done::Remembered { peer, session });
            }
            Job::Commit { attempt, offer } => {
                let outcome = self.commit(state, &offer, effects);
                effects.done.push(Done::Committed { group: offer.group, attempt, outcome });
            }
            Job::Invite { offer } => self.invite(state, &offer, effects),
        }
    }

    /// What whoever waits hears when the transaction failed.
    pub(crate) fn failed(job: Job) -> Option<Done> {
        match job {
            Job::Relay { from, session, call, .. } => {
                Some(Done::Relayed { from, session, call, answers: None })
            }
            Job::Keep { peer, store, .. } => Some(Done::Kept { peer, store, durable: false }),
            Job::Commit { attempt, offer } => {
                Some(Done::Committed { group: offer.group, attempt, outcome: Outcome::Failed })
            }
            Job::Reconcile { peer, .. } => Some(Done::Reconciled { peer, replayed: None }),
            // The load is tried again, and expires what is due.
            Job::Expire { peer, call, cuts } => Some(Done::Expired { peer, call, cuts }),
            // Nobody waits, or whoever waits asks again.
            Job::Accept { .. }
            | Job::Note { .. }
            | Job::SaveLink { .. }
            | Job::Remember { .. }
            | Job::Invite { .. } => None,
        }
    }

    fn hub(&self, group: GroupNo) -> DomainNo {
        self.hubs.get(group).copied().unwrap_or(self.domain)
    }

    fn accept(&self, state: &mut State, message: &Message, effects: &mut Effects) {
        let hub = self.hub(message.group);
        if hub == self.domain {
            return self.append(state, message.group, message.id, Entry::Message, effects);
        }
        let stream = submissions(self.domain, hub, message.group);
        let row = row(message.id, 0, RowKind::GroupSubmit, message.group);
        let expires_at = message.ttl.map(|ttl| self.now.after(ttl));
        self.enqueue(state, hub, stream, row, expires_at, effects);
    }

    /// The hub's log goes on: its own copy, and a row for every other member domain.
    fn append(&self, state: &mut State, group: GroupNo, id: Id, entry: Entry, effects: &mut Effects) {
        self.log(state, group, id, entry, effects);
        for member in self.members.get(group).into_iter().flatten().filter(|member| **member != self.domain) {
            let mut row = row(id, 0, RowKind::GroupEntry, group);
            if let Entry::Commit { epoch } = entry {
                row.id = message_id(id, COMMIT_MARK);
                row.payload.extend_from_slice(&epoch.to_be_bytes());
            }
            self.enqueue(state, *member, fan_out(self.domain, *member, group), row, None, effects);
        }
    }

    fn log(&self, state: &mut State, group: GroupNo, id: Id, entry: Entry, effects: &mut Effects) {
        let record = state.groups.entry(group).or_default();
        record.length = record.length.saturating_add(1);
        if let Entry::Commit { epoch } = entry {
            record.epoch = epoch.saturating_add(1);
        }
        effects.events.push(Event::Logged { domain: self.domain, group, id, entry });
    }

    fn enqueue(
        &self,
        state: &mut State,
        peer: DomainNo,
        stream: StreamId,
        mut row: Row,
        expires_at: Option<Timestamp>,
        effects: &mut Effects,
    ) {
        let lane = Lane { incarnation: self.life, stream };
        let queue = state.queues.entry((peer, lane)).or_default();
        row.seq = queue.last().next();
        effects.events.push(Event::Numbered {
            origin: self.domain,
            destination: peer,
            stream,
            life: number(self.life),
            seq: row.seq.0,
            id: id_of(&row),
            at: self.at,
        });
        queue.rows.push(Stored { row, expires_at });
        effects.filled.insert((peer, lane));
    }

    fn keep(
        &self,
        state: &mut State,
        peer: DomainNo,
        lane: Lane,
        through: Seq,
        chain: Option<Digest>,
        effects: &mut Effects,
    ) {
        let Some(queue) = state.queues.get_mut(&(peer, lane)) else { return };
        if through.0 > queue.kept {
            queue.kept = through.0;
            queue.chain = chain;
            effects.events.push(Event::Kept {
                origin: self.domain,
                destination: peer,
                stream: lane.stream,
                life: number(lane.incarnation),
                through: through.0,
                at: self.at,
            });
        }
    }

    /// Acts on what a peer's heads say; tells whether rows go out again.
    fn reconcile(
        &self,
        state: &mut State,
        peer: DomainNo,
        findings: Vec<Finding>,
        effects: &mut Effects,
    ) -> bool {
        let mut replayed = false;
        for finding in findings {
            match finding {
                Finding::Rewind { lane, to, chain } => {
                    let Some(queue) = state.queues.get_mut(&(peer, lane)) else { continue };
                    replayed |= to.0 < queue.kept;
                    (queue.kept, queue.chain) = (to.0, Some(chain));
                    effects.events.push(Event::Rewound {
                        origin: self.domain,
                        destination: peer,
                        stream: lane.stream,
                        life: number(lane.incarnation),
                        to: to.0,
                    });
                }
                Finding::Confirm { lane, through, chain } => {
                    let ours = state.queues.get(&(peer, lane)).and_then(|queue| queue.chain_at(through));
                    if lane.incarnation == self.life && ours.is_some_and(|ours| ours != chain) {
                        let why = format!("it has other rows at {through}");
                        effects.events.push(Event::Alarm { domain: self.domain, peer, why });
                        continue;
                    }
                    self.keep(state, peer, lane, through, Some(chain), effects);
                }
                Finding::Finished { lane } => {
                    let last = state.queues.get(&(peer, lane)).map_or(Seq::ZERO, Queue::last);
                    self.keep(state, peer, lane, last, None, effects);
                }
                Finding::BackedUp { .. } | Finding::Doubt { .. } => {}
            }
        }
        replayed
    }

    /// A restored database begins a new life: what waits is numbered anew.
    pub(crate) fn renumber(&self, state: &mut State, effects: &mut Effects) {
        let waiting: Vec<(DomainNo, StreamId, Vec<Stored>)> = state
            .queues
            .iter_mut()
            .map(|((peer, lane), queue)| {
                let kept = usize::try_from(queue.kept).unwrap_or(usize::MAX).min(queue.rows.len());
                (*peer, lane.stream, queue.rows.split_off(kept))
            })
            .collect();
        for (peer, stream, rows) in waiting {
            for Stored { row, expires_at } in rows {
                self.enqueue(state, peer, stream, row, expires_at, effects);
            }
        }
    }

    /// Rows that wait and whose time is over become tombstones, and their senders are told.
    fn expire(&self, state: &mut State, peer: DomainNo, effects: &mut Effects) {
        for ((_, _), queue) in state.queues.iter_mut().filter(|((to, _), _)| *to == peer) {
            let waiting = queue.rows.iter_mut().filter(|stored| stored.row.seq.0 > queue.kept);
            for stored in waiting.filter(|stored| stored.expires_at.is_some_and(|end| end <= self.now)) {
                stored.expires_at = None;
                stored.row.kind = RowKind::Tombstone;
                stored.row.payload.clear();
                if self.bug != Some(Bug::SilentExpiry) {
                    effects.events.push(Event::Failed { id: id_of(&stored.row) });
                }
            }
        }
    }

    fn apply_batch(
        &self,
        state: &mut State,
        from: DomainNo,
        life: Incarnation,
        batch: &Batch,
        judged: &Judged,
        effects: &mut Effects,
    ) -> StreamAnswer {
        let key = (from, batch.stream());
        let position = match judged {
            Judged::Inside => state.positions.get(&key).copied(),
            Judged::Before(positions) => positions.get(&batch.stream()).copied(),
        };
        match judge(position.as_ref(), life, batch) {
            Judgement::AlreadyApplied(position) => position.already_applied(Vec::new()),
            Judgement::ExpectSeq(next) => StreamAnswer::ExpectSeq(next),
            Judgement::Contradicts(_) => StreamAnswer::ChainDiffers { header: Vec::new() },
            Judgement::Skip(gap) => {
                let why = format!("it has lost rows from {} on", gap.first);
                effects.events.push(Event::Alarm { domain: self.domain, peer: from, why });
                state.positions.insert(key, gap.next());
                gap.durable()
            }
            Judgement::Apply(application) => {
                for row in application.rows() {
                    self.apply_row(state, from, life, batch.stream(), row, effects);
                }
                state.positions.insert(key, application.next());
                application.durable(Vec::new())
            }
        }
    }

    fn apply_row(
        &self,
        state: &mut State,
        from: DomainNo,
        life: Incarnation,
        stream: StreamId,
        row: &Row,
        effects: &mut Effects,
    ) {
        let (id, group) = (id_of(row), row.payload.first().copied().map_or(0, usize::from));
        effects.events.push(Event::Applied {
            domain: self.domain,
            origin: from,
            stream,
            life: number(life),
            seq: row.seq.0,
            id,
        });
        match row.kind {
            // Its home may have been restored, and offers it once more under another number.
            RowKind::GroupSubmit if self.hub(group) == self.domain && state.seen.insert(id) => {
                self.append(state, group, id, Entry::Message, effects);
            }
            RowKind::GroupEntry if self.hub(group) == from => {
                let epoch = row
                    .payload
                    .iter()
                    .skip(1)
                    .fold(None, |epoch, byte| Some((epoch.unwrap_or(0_u64) << 8) | u64::from(*byte)));
                let entry = epoch.map_or(Entry::Message, |epoch| Entry::Commit { epoch });
                self.log(state, group, id, entry, effects);
            }
            RowKind::Welcome if self.hub(group) == from => {
                effects.events.push(Event::Welcomed { domain: self.domain, group, commit: id });
            }
            // Refused, parked, or only a place in the stream.
            _ => {}
        }
    }

    /// Epoch compare-and-set; what follows from a commit belongs to the same transaction.
    fn commit(&self, state: &mut State, offer: &Offer, effects: &mut Effects) -> Outcome {
        if let Some((_, seq)) = state.commits.get(&offer.id) {
            return Outcome::Granted { seq: *seq, at: self.now };
        }
        let group = state.groups.get(&offer.group).copied().unwrap_or_default();
        let epoch = offer.submitted.epoch;
        if group.epoch != epoch && self.bug != Some(Bug::CheckThenWrite) {
            return Outcome::Stale { current: group.epoch };
        }
        if self.bug != Some(Bug::LosersWelcome) {
            self.invite(state, offer, effects);
        }
        self.append(state, offer.group, offer.id, Entry::Commit { epoch }, effects);
        let seq = Seq(group.length.saturating_add(1));
        state.commits.insert(offer.id, (offer.submitted.digest, seq));
        Outcome::Granted { seq, at: self.now }
    }

    fn invite(&self, state: &mut State, offer: &Offer, effects: &mut Effects) {
        if offer.invites == self.domain {
            let welcomed = Event::Welcomed { domain: self.domain, group: offer.group, commit: offer.id };
            return effects.events.push(welcomed);
        }
        let stream = fan_out(self.domain, offer.invites, offer.group);
        let row = row(offer.id, WELCOME_MARK, RowKind::Welcome, offer.group);
        self.enqueue(state, offer.invites, stream, row, None, effects);
    }
}

/// A life as the history names it.
fn number(life: Incarnation) -> u64 {
    life.time().as_millis()
}

fn row(id: Id, mark: u8, kind: RowKind, group: GroupNo) -> Row {
    Row {
        seq: Seq::ZERO,
        id: message_id(id, mark),
        kind,
        ttl: None,
        payload: vec![u8::try_from(group).unwrap_or(u8::MAX)],
        request: None,
    }
}
