//! Two domains and everything that can happen between them: rows are lost, doubled, late; both sides crash and go on
//! from what they had committed; either is put back to an older state, the sender with a new incarnation. Whatever the
//! run, each stream arrives whole, in order, once; what a receiver had to lose comes back as far as it was kept, and the
//! rest is named as a gap.

use proptest::prelude::*;
use qpq_core::{Incarnation, MessageId, SeededEntropy};

use super::*;
use crate::{
    answer::StreamAnswer,
    inbox::{Judgement, Position, heads_digest, judge},
    planted::is_caught,
    reconcile::{Finding, LaneHead, PeerHead, reconcile},
    stream::{Batch, Row, RowKind, chain},
};

const STREAMS: u8 = 3;
const LIMITS: OutboxLimits = OutboxLimits { streams: 2, calls: 2, streams_per_call: 2 };
/// Small batches, so that a short run has many of them.
const ROWS: usize = 3;

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Event {
    Enqueue {
        stream: u8,
        rows: u8,
    },
    Step,
    /// The oldest call arrives and its answer too.
    Answer,
    /// The call arrives, the answer is lost.
    AnswerLost,
    /// The call is lost.
    RequestLost,
    Overloaded,
    /// A call from before arrives once more; nobody waits for its answer.
    Late(u8),
    PeerSpeaks,
    /// The next transaction of the sender fails.
    NotStored,
    SenderCrashes,
    /// The receiver's database is copied.
    Backup,
    /// It is put back to the copy, and a new link comes up.
    ReceiverGoesBack,
    /// The sender forgets what was acknowledged.
    Purge,
    /// The sender is put back to an older state under a new incarnation: what waited then is numbered anew.
    SenderRestored,
    SenderBackup,
    Wait,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0..STREAMS, 1..6_u8).prop_map(|(stream, rows)| Event::Enqueue { stream, rows }),
        6 => Just(Event::Step),
        4 => Just(Event::Answer),
        2 => Just(Event::AnswerLost),
        1 => Just(Event::RequestLost),
        1 => Just(Event::Overloaded),
        2 => any::<u8>().prop_map(Event::Late),
        1 => Just(Event::PeerSpeaks),
        1 => Just(Event::NotStored),
        1 => Just(Event::SenderCrashes),
        1 => Just(Event::Backup),
        1 => Just(Event::ReceiverGoesBack),
        1 => Just(Event::Purge),
        1 => Just(Event::SenderBackup),
        1 => Just(Event::SenderRestored),
        1 => Just(Event::Wait),
    ];
    prop::collection::vec(event, 0..120)
}

/// What the sender's database holds of a lane.
#[derive(Debug, Default, Clone)]
struct Queue {
    rows: BTreeMap<Seq, Row>,
    accepted: Seq,
    last: Seq,
    chain: Option<Digest>,
}

impl Queue {
    fn append(&mut self, mut row: Row) {
        self.last = self.last.next();
        row.seq = self.last;
        self.rows.insert(self.last, row);
    }

    fn chain_at(&self, seq: Seq) -> Option<Digest> {
        let mut at = if self.accepted == Seq::ZERO { Digest::ZERO } else { self.chain? };
        for number in self.accepted.0 + 1..=seq.0 {
            at = chain(&at, self.rows.get(&Seq(number))?);
        }
        Some(at)
    }

    fn accept(&mut self, through: Seq, chain: Option<Digest>) {
        if through > self.accepted {
            self.accepted = through;
            self.chain = chain;
        }
    }
}

/// What the receiver's database holds.
#[derive(Debug, Default, Clone)]
struct Receiver {
    positions: BTreeMap<StreamId, Position>,
    /// Messages in the order in which they came, each once.
    arrived: BTreeMap<StreamId, Vec<MessageId>>,
    gaps: u32,
}

struct World {
    now: Timestamp,
    entropy: SeededEntropy,
    life: Incarnation,
    outbox: Outbox,
    queues: BTreeMap<Lane, Queue>,
    /// What the sender's database held when it was copied.
    older: BTreeMap<Lane, Queue>,
    saved: SavedLink,
    on_the_way: VecDeque<(CallId, Incarnation, Vec<Batch>)>,
    earlier: Vec<(Incarnation, Vec<Batch>)>,
    receiver: Receiver,
    backup: Receiver,
    /// The last row of each lane that the receiver ever stored.
    stored: BTreeMap<Lane, Seq>,
    /// Rows that the receiver was told it would never get.
    skipped: Vec<(Lane, Seq, Seq)>,
    /// Something was forgotten or lost for good on purpose: then arrivals may have holes.
    forgotten: bool,
    fail_next_store: bool,
    ids: u64,
}

impl World {
    fn new() -> Self {
        let mut entropy = SeededEntropy::new(9);
        let now = Timestamp::from_millis(1_000_000);
        Self {
            now,
            life: Incarnation::begin(now, &mut entropy),
            entropy,
            outbox: Outbox::resume("beta.test".parse().unwrap(), LIMITS, SavedLink::default(), [], now),
            queues: BTreeMap::new(),
            older: BTreeMap::new(),
            saved: SavedLink::default(),
            on_the_way: VecDeque::new(),
            earlier: Vec::new(),
            receiver: Receiver::default(),
            backup: Receiver::default(),
            stored: BTreeMap::new(),
            skipped: Vec::new(),
            forgotten: false,
            fail_next_store: false,
            ids: 0,
        }
    }

    fn head(lane: Lane, queue: &Queue) -> StreamHead {
        StreamHead { lane, accepted: queue.accepted, chain: queue.chain, last: queue.last }
    }

    fn waiting(&self) -> Vec<StreamHead> {
        let heads = self.queues.iter().map(|(lane, queue)| Self::head(*lane, queue));
        heads.filter(|head| head.last > head.accepted).collect()
    }

    /// The process ends and goes on from its database; what was on its way may still arrive.
    fn sender_starts(&mut self) {
        self.earlier.extend(self.on_the_way.drain(..).map(|(_, life, batches)| (life, batches)));
        let peer = self.outbox.peer().clone();
        self.outbox = Outbox::resume(peer, LIMITS, self.saved, self.waiting(), self.now);
        self.link_comes_up();
    }

    /// Both say hello.
    fn link_comes_up(&mut self) {
        let theirs = heads_digest(self.receiver.positions.iter().map(|(stream, at)| (*stream, *at)));
        let mut newest: BTreeMap<StreamId, Position> = BTreeMap::new();
        for (lane, queue) in self.queues.iter().filter(|(_, queue)| queue.accepted > Seq::ZERO) {
            let chain = queue.chain.unwrap_or(Digest::ZERO);
            let at = Position { incarnation: lane.incarnation, applied: queue.accepted, chain };
            newest.insert(lane.stream, at);
        }
        self.outbox.handle_claims(heads_digest(newest.into_iter()) == theirs);
    }

    fn link_breaks(&mut self) {
        while let Some((call, life, batches)) = self.on_the_way.pop_front() {
            self.outbox.handle_failed(call, Failure::Unreachable, self.now, &mut self.entropy);
            self.earlier.push((life, batches));
        }
    }

    fn happens(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Enqueue { stream, rows } => self.enqueue(StreamId::from_bytes([stream; 16]), rows),
            Event::Step => return self.step().map(|_| ()),
            Event::Answer => {
                if let Some((call, life, batches)) = self.on_the_way.pop_front() {
                    let answers = self.receive(life, &batches)?;
                    self.outbox.handle_answers(call, answers, self.now, &mut self.entropy);
                    self.earlier.push((life, batches));
                }
            }
            Event::AnswerLost => {
                if let Some((call, life, batches)) = self.on_the_way.pop_front() {
                    self.receive(life, &batches)?;
                    self.outbox.handle_failed(call, Failure::Unreachable, self.now, &mut self.entropy);
                    self.earlier.push((life, batches));
                }
            }
            Event::RequestLost => {
                if let Some((call, life, batches)) = self.on_the_way.pop_front() {
                    self.outbox.handle_failed(call, Failure::Unreachable, self.now, &mut self.entropy);
                    self.earlier.push((life, batches));
                }
            }
            Event::Overloaded => {
                if let Some((call, ..)) = self.on_the_way.pop_front() {
                    let failure = Failure::Overloaded { retry_after: Millis(100) };
                    self.outbox.handle_failed(call, failure, self.now, &mut self.entropy);
                }
            }
            Event::Late(which) => {
                let which = usize::from(which) % self.earlier.len().max(1);
                if let Some((life, batches)) = self.earlier.get(which).cloned() {
                    self.receive(life, &batches)?;
                }
            }
            Event::PeerSpeaks => {
                self.outbox.handle_peer_spoke(self.now);
            }
            Event::NotStored => self.fail_next_store = true,
            Event::SenderCrashes => self.sender_starts(),
            Event::Backup => self.backup = self.receiver.clone(),
            Event::ReceiverGoesBack => {
                self.link_breaks();
                // A call over a link that has ended reaches nobody.
                self.earlier.clear();
                self.receiver = self.backup.clone();
                self.link_comes_up();
            }
            Event::Purge => {
                for queue in self.queues.values_mut() {
                    self.forgotten |= queue.rows.keys().any(|seq| *seq <= queue.accepted);
                    queue.rows.retain(|seq, _| *seq > queue.accepted);
                }
            }
            Event::SenderBackup => self.older = self.queues.clone(),
            Event::SenderRestored => self.sender_restored(),
            Event::Wait => {
                self.now = self.outbox.poll_timeout().unwrap_or(self.now).max(self.now.after(Millis(1)));
                self.outbox.handle_timeout(self.now);
            }
        }
        Ok(())
    }

    fn sender_restored(&mut self) {
        self.link_breaks();
        self.earlier.clear();
        // What the sender itself has lost comes back from nobody here.
        self.forgotten = true;
        self.queues = self.older.clone();
        self.now = self.now.after(Millis(1));
        self.life = Incarnation::begin(self.now, &mut self.entropy);
        let lanes: Vec<Lane> = self.queues.keys().copied().collect();
        for lane in lanes {
            let queue = self.queues.get_mut(&lane).unwrap();
            let waiting = queue.rows.split_off(&queue.accepted.next());
            queue.last = queue.accepted;
            let anew = self.queues.entry(Lane { incarnation: self.life, ..lane }).or_default();
            for row in waiting.into_values() {
                anew.append(row);
            }
        }
        self.older = self.queues.clone();
        self.sender_starts();
    }

    fn enqueue(&mut self, stream: StreamId, rows: u8) {
        let lane = Lane { incarnation: self.life, stream };
        let queue = self.queues.entry(lane).or_default();
        for _ in 0..rows {
            self.ids += 1;
            let mut id = [0; 16];
            id[..8].copy_from_slice(&self.ids.to_be_bytes());
            queue.append(Row {
                seq: Seq::ZERO,
                id: MessageId::from_bytes(id),
                kind: RowKind::GroupEntry,
                ttl: None,
                payload: vec![rows],
                request: None,
            });
        }
        let head = Self::head(lane, queue);
        self.outbox.handle_enqueued(head);
    }

    /// The driver performs one action; `false` when there is none.
    fn step(&mut self) -> Result<bool, String> {
        let Some(action) = self.outbox.poll_action() else { return Ok(false) };
        match action {
            Action::Send { call, incarnation, cuts } => self.send(call, incarnation, &cuts)?,
            Action::MarkKept { store, .. } if std::mem::take(&mut self.fail_next_store) => {
                self.outbox.handle_not_stored(store, self.now);
            }
            Action::MarkKept { store, kept, .. } => {
                for kept in kept {
                    let queue = self.queues.get_mut(&kept.lane).unwrap();
                    queue.accept(kept.through, kept.chain);
                    let stored = self.stored.get(&kept.lane).copied().unwrap_or(Seq::ZERO);
                    if queue.accepted > stored {
                        return Err(format!("{kept:?} but the peer stored up to {stored}"));
                    }
                }
                self.outbox.handle_stored(store);
            }
            Action::GiveUp { .. } => return Err("a row was given up between honest peers".to_owned()),
            Action::AskHeads => self.compare()?,
            Action::LoadHeads { limit } => {
                let heads = self.waiting();
                let all = heads.len() <= limit;
                self.outbox.handle_heads(heads.into_iter().take(limit), all);
            }
            Action::SaveLink(saved) => self.saved = saved,
            Action::Alarm(alarm) => return Err(format!("{alarm:?} between honest peers")),
        }
        if self.outbox.streams.len() > LIMITS.streams || self.outbox.calls.len() > LIMITS.calls {
            return Err("the core holds more than its limits".to_owned());
        }
        Ok(true)
    }

    fn compare(&mut self) -> Result<(), String> {
        let lanes: Vec<LaneHead> = self
            .queues
            .iter()
            .map(|(lane, queue)| LaneHead {
                lane: *lane,
                accepted: queue.accepted,
                chain: queue.chain,
                last: queue.last,
            })
            .collect();
        let heads = self.receiver.positions.iter();
        let heads: Vec<PeerHead> =
            heads.map(|(stream, at)| PeerHead { stream: *stream, at: *at, backed_up: Seq::ZERO }).collect();
        let mut replayed = false;
        for finding in reconcile(self.life, &lanes, &heads) {
            match finding {
                Finding::Rewind { lane, to, chain } => {
                    let queue = self.queues.get_mut(&lane).unwrap();
                    replayed |= to < queue.accepted;
                    (queue.accepted, queue.chain) = (to, Some(chain));
                }
                Finding::Confirm { lane, through, chain } => {
                    let queue = self.queues.get_mut(&lane).unwrap();
                    let ours = queue.chain_at(through);
                    if lane.incarnation == self.life && ours.is_some_and(|ours| ours != chain) {
                        return Err(format!("an honest peer has other rows at {through}"));
                    }
                    queue.accept(through, Some(chain));
                }
                Finding::Finished { lane } => {
                    let queue = self.queues.get_mut(&lane).unwrap();
                    let last = queue.last;
                    queue.accept(last, None);
                }
                Finding::BackedUp { .. } => {}
                Finding::Doubt { stream } => {
                    return Err(format!("an honest peer is in doubt about {stream}"));
                }
            }
        }
        let heads = self.waiting();
        let all = heads.len() <= LIMITS.streams;
        let heads = heads.into_iter().take(LIMITS.streams);
        self.outbox.handle_reconciled(heads, all, replayed, self.now);
        Ok(())
    }

    fn send(&mut self, call: CallId, life: Incarnation, cuts: &[Cut]) -> Result<(), String> {
        let mut batches = Vec::new();
        for cut in cuts {
            let in_flight = self.on_the_way.iter().flat_map(|(_, _, batches)| batches);
            if in_flight.into_iter().any(|batch| batch.stream() == cut.lane.stream) {
                return Err(format!("two batches of {} in flight", cut.lane.stream));
            }
            let queue = &self.queues[&cut.lane];
            let first = queue.rows.range(cut.from..).next().map(|(seq, _)| *seq);
            let batch = match first {
                Some(first) if first == cut.from => {
                    let rows = queue.rows.range(cut.from..).map(|(_, row)| row.clone()).take(ROWS);
                    Batch::new(cut.lane.stream, cut.before, rows.collect())
                }
                first => {
                    let through = first.map_or(queue.last, |first| Seq(first.0 - 1));
                    Batch::gap(cut.lane.stream, cut.before, cut.from, through)
                }
            };
            batches.push(batch.map_err(|error| error.to_string())?);
        }
        let sent: Vec<Sent> = batches
            .iter()
            .map(|batch| Sent {
                lane: Lane { incarnation: life, stream: batch.stream() },
                last: batch.last(),
                rows: batch.rows().len(),
                chain: batch.chain_after(),
            })
            .collect();
        self.outbox.handle_sent(call, &sent, self.now);
        self.on_the_way.push_back((call, life, batches));
        Ok(())
    }

    /// The receiver's side of a call: judge, commit, answer.
    fn receive(
        &mut self,
        life: Incarnation,
        batches: &[Batch],
    ) -> Result<Vec<(StreamId, StreamAnswer)>, String> {
        let mut answers = Vec::new();
        for batch in batches {
            let stream = batch.stream();
            let answer = match judge(self.receiver.positions.get(&stream), life, batch) {
                Judgement::Apply(application) => {
                    let rows = self.receiver.arrived.entry(stream).or_default();
                    for row in application.rows() {
                        if self.receiver.gaps == 0 && !self.forgotten && rows.contains(&row.id) {
                            return Err(format!("{:?} arrived twice", row.id));
                        }
                        // What is numbered anew after a restore may come again; its id shows it.
                        if !rows.contains(&row.id) || active(Bug::NoDedup) {
                            rows.push(row.id);
                        }
                    }
                    self.receiver.positions.insert(stream, application.next());
                    let stored = self.stored.entry(Lane { incarnation: life, stream }).or_default();
                    *stored = application.next().applied.max(*stored);
                    application.durable(vec![])
                }
                Judgement::Skip(gap) => {
                    if !self.forgotten {
                        return Err(format!("{stream}: a gap although everything was kept"));
                    }
                    self.receiver.gaps += 1;
                    self.skipped.push((Lane { incarnation: life, stream }, gap.first, gap.through()));
                    self.receiver.positions.insert(stream, gap.next());
                    let stored = self.stored.entry(Lane { incarnation: life, stream }).or_default();
                    *stored = gap.through().max(*stored);
                    gap.durable()
                }
                Judgement::AlreadyApplied(position) => position.already_applied(vec![]),
                Judgement::ExpectSeq(next) => StreamAnswer::ExpectSeq(next),
                Judgement::Contradicts(_) => StreamAnswer::ChainDiffers { header: vec![] },
            };
            answers.push((stream, answer));
            self.check_arrivals()?;
        }
        Ok(answers)
    }

    /// The ids of a stream in the order in which the sender has them.
    fn sent(&self, stream: StreamId) -> Vec<MessageId> {
        let lanes = self.queues.iter().filter(|(lane, _)| lane.stream == stream);
        lanes.flat_map(|(_, queue)| queue.rows.values().map(|row| row.id)).collect()
    }

    fn check_arrivals(&self) -> Result<(), String> {
        for (stream, arrived) in &self.receiver.arrived {
            let wanted = self.sent(*stream);
            if !self.forgotten && !wanted.iter().take(arrived.len()).eq(arrived) {
                return Err(format!("{stream} arrived as {arrived:?}"));
            }
            // A row that was given up as lost may still come, late, out of an older state of the sender.
            if self.skipped.is_empty() && !arrived.is_sorted() {
                return Err(format!("{stream} arrived out of order: {arrived:?}"));
            }
        }
        Ok(())
    }

    /// The network is well from now on.
    fn heals(&mut self) -> Result<(), String> {
        self.fail_next_store = false;
        // Rows that the receiver has lost meanwhile are found when a link comes up.
        self.link_comes_up();
        for _ in 0..10_000 {
            if self.step()? {
                continue;
            }
            if !self.on_the_way.is_empty() {
                self.happens(Event::Answer)?;
            } else if self.outbox.poll_timeout().is_some() {
                self.happens(Event::Wait)?;
            } else {
                break;
            }
        }
        for (lane, queue) in &self.queues {
            let arrived = self.receiver.arrived.get(&lane.stream).map_or(&[][..], |arrived| arrived);
            let skipped = |row: &Row| {
                let is_in = |(of, first, through): &(Lane, Seq, Seq)| {
                    of == lane && (*first..=*through).contains(&row.seq)
                };
                self.skipped.iter().any(is_in)
            };
            let missing = queue.rows.values().find(|row| !arrived.contains(&row.id) && !skipped(row));
            if let Some(row) = missing {
                return Err(format!("{row:?} never arrived: {arrived:?}"));
            }
            if queue.accepted != queue.last {
                return Err(format!("{lane:?}: {} of {} kept", queue.accepted, queue.last));
            }
        }
        if !self.outbox.streams.is_empty() || !self.outbox.stores.is_empty() {
            return Err("the drained outbox still holds something".to_owned());
        }
        Ok(())
    }
}

fn run(events: &[Event]) -> Result<(), String> {
    let mut world = World::new();
    for event in events {
        world.happens(*event)?;
    }
    world.heals()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_happens_each_stream_arrives_whole_in_order_and_once(events in events()) {
        let outcome = run(&events);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}

/// Whether the property above fails with the bug in the code, within the cases of one run.
fn property_catches(bug: Bug) -> bool {
    is_caught(bug, || {
        let config = ProptestConfig {
            failure_persistence: None,
            max_shrink_iters: 0,
            ..ProptestConfig::with_cases(500)
        };
        let mut runner = proptest::test_runner::TestRunner::new_with_rng(
            config,
            proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
        );
        let outcome = runner.run(&events(), |events| run(&events).map_err(TestCaseError::fail));
        outcome.map_err(|error| error.to_string())
    })
}

#[test]
fn the_property_sees_planted_bugs() {
    for bug in [Bug::AckOneTooMany, Bug::NoDedup, Bug::TruncatedAtStart, Bug::LossIgnored] {
        assert!(property_catches(bug), "{bug:?} was not seen");
    }
}

/// A peer that was away for hours and says hello is sent to at once, not at the end of a long backoff.
fn contact_is_used() -> Result<(), String> {
    let mut world = World::new();
    world.happens(Event::Enqueue { stream: 1, rows: 1 })?;
    for _ in 0..20 {
        while world.step()? {}
        world.happens(Event::RequestLost)?;
        world.happens(Event::Wait)?;
    }
    while world.step()? {}
    world.happens(Event::RequestLost)?;
    world.happens(Event::PeerSpeaks)?;
    while world.step()? {}
    if world.on_the_way.is_empty() { Err("nothing goes out after contact".to_owned()) } else { Ok(()) }
}

#[test]
fn contact_clears_the_backoff_and_its_test_would_notice() {
    assert_eq!(contact_is_used(), Ok(()));
    assert!(is_caught(Bug::ContactIgnored, contact_is_used));
}

/// A row that overtook its predecessors is not applied.
fn gaps_are_refused() -> Result<(), String> {
    let life = World::new().life;
    let row = Row {
        seq: Seq(5),
        id: MessageId::from_bytes([1; 16]),
        kind: RowKind::GroupEntry,
        ttl: None,
        payload: vec![],
        request: None,
    };
    let batch =
        Batch::new(StreamId::from_bytes([1; 16]), None, vec![row]).map_err(|error| error.to_string())?;
    match judge(None, life, &batch) {
        Judgement::ExpectSeq(Seq(1)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn a_gap_is_refused_and_its_test_would_notice() {
    assert_eq!(gaps_are_refused(), Ok(()));
    assert!(is_caught(Bug::GapIgnored, gaps_are_refused));
}
