//! Two domains and everything that can happen between them: rows are lost, doubled, late; both sides crash and go on
//! from what they had committed. Whatever the run, each stream arrives whole, in order, once.

use proptest::prelude::*;
use qpq_core::{Incarnation, MessageId, SeededEntropy};

use super::*;
use crate::{
    inbox::{Judgement, Position, judge},
    planted::is_caught,
    stream::{Batch, Row, RowKind},
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
        1 => Just(Event::Wait),
    ];
    prop::collection::vec(event, 0..120)
}

/// What the sender's database holds of a stream.
#[derive(Debug, Default, Clone)]
struct Queue {
    rows: Vec<Row>,
    kept: u64,
    chain: Option<Digest>,
}

struct World {
    now: Timestamp,
    entropy: SeededEntropy,
    life: Incarnation,
    outbox: Outbox,
    queues: BTreeMap<StreamId, Queue>,
    saved: SavedLink,
    on_the_way: VecDeque<(CallId, Vec<Batch>)>,
    earlier: Vec<Vec<Batch>>,
    positions: BTreeMap<StreamId, Position>,
    arrived: BTreeMap<StreamId, Vec<MessageId>>,
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
            saved: SavedLink::default(),
            on_the_way: VecDeque::new(),
            earlier: Vec::new(),
            positions: BTreeMap::new(),
            arrived: BTreeMap::new(),
            fail_next_store: false,
            ids: 0,
        }
    }

    fn head(stream: StreamId, queue: &Queue) -> StreamHead {
        let last = Seq(queue.rows.len() as u64);
        StreamHead { stream, accepted: Seq(queue.kept), chain: queue.chain, last }
    }

    fn waiting(&self) -> Vec<StreamHead> {
        let heads = self.queues.iter().map(|(stream, queue)| Self::head(*stream, queue));
        heads.filter(|head| head.last > head.accepted).collect()
    }

    fn happens(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Enqueue { stream, rows } => self.enqueue(StreamId::from_bytes([stream; 16]), rows),
            Event::Step => return self.step().map(|_| ()),
            Event::Answer => {
                if let Some((call, batches)) = self.on_the_way.pop_front() {
                    let answers = self.receive(&batches)?;
                    self.outbox.handle_answers(call, answers, self.now, &mut self.entropy);
                    self.earlier.push(batches);
                }
            }
            Event::AnswerLost => {
                if let Some((call, batches)) = self.on_the_way.pop_front() {
                    self.receive(&batches)?;
                    self.outbox.handle_failed(call, Failure::Unreachable, self.now, &mut self.entropy);
                    self.earlier.push(batches);
                }
            }
            Event::RequestLost => {
                if let Some((call, batches)) = self.on_the_way.pop_front() {
                    self.outbox.handle_failed(call, Failure::Unreachable, self.now, &mut self.entropy);
                    self.earlier.push(batches);
                }
            }
            Event::Overloaded => {
                if let Some((call, _)) = self.on_the_way.pop_front() {
                    let failure = Failure::Overloaded { retry_after: Millis(100) };
                    self.outbox.handle_failed(call, failure, self.now, &mut self.entropy);
                }
            }
            Event::Late(which) => {
                if let Some(batches) =
                    self.earlier.get(usize::from(which) % self.earlier.len().max(1)).cloned()
                {
                    self.receive(&batches)?;
                }
            }
            Event::PeerSpeaks => {
                self.outbox.handle_peer_spoke(self.now);
            }
            Event::NotStored => self.fail_next_store = true,
            Event::SenderCrashes => {
                self.earlier.extend(self.on_the_way.drain(..).map(|(_, batches)| batches));
                let heads = self.waiting();
                let peer = self.outbox.peer().clone();
                self.outbox = Outbox::resume(peer, LIMITS, self.saved, heads, self.now);
            }
            Event::Wait => {
                self.now = self.outbox.poll_timeout().unwrap_or(self.now).max(self.now.after(Millis(1)));
                self.outbox.handle_timeout(self.now);
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, stream: StreamId, rows: u8) {
        let queue = self.queues.entry(stream).or_default();
        for _ in 0..rows {
            self.ids += 1;
            let mut id = [0; 16];
            id[..8].copy_from_slice(&self.ids.to_be_bytes());
            queue.rows.push(Row {
                seq: Seq(queue.rows.len() as u64 + 1),
                id: MessageId::from_bytes(id),
                kind: RowKind::GroupEntry,
                ttl: None,
                payload: vec![rows],
                request: None,
            });
        }
        let head = Self::head(stream, queue);
        self.outbox.handle_enqueued(head);
    }

    /// The driver performs one action; `false` when there is none.
    fn step(&mut self) -> Result<bool, String> {
        let Some(action) = self.outbox.poll_action() else { return Ok(false) };
        match action {
            Action::Send { call, cuts } => self.send(call, &cuts)?,
            Action::MarkKept { store, .. } if std::mem::take(&mut self.fail_next_store) => {
                self.outbox.handle_not_stored(store, self.now);
            }
            Action::MarkKept { store, kept, .. } => {
                for kept in kept {
                    let queue = self.queues.get_mut(&kept.stream).unwrap();
                    queue.kept = queue.kept.max(kept.through.0);
                    queue.chain = kept.chain;
                    let stored = self.positions.get(&kept.stream).map_or(0, |position| position.applied.0);
                    if queue.kept > stored {
                        return Err(format!(
                            "{} kept through {} but the peer has {stored}",
                            kept.stream, queue.kept
                        ));
                    }
                }
                self.outbox.handle_stored(store);
            }
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

    fn send(&mut self, call: CallId, cuts: &[Cut]) -> Result<(), String> {
        let mut batches = Vec::new();
        for cut in cuts {
            let in_flight = self.on_the_way.iter().flat_map(|(_, batches)| batches);
            if in_flight.into_iter().any(|batch| batch.stream() == cut.stream) {
                return Err(format!("two batches of {} in flight", cut.stream));
            }
            let queue = &self.queues[&cut.stream];
            let rows: Vec<Row> =
                queue.rows.iter().filter(|row| row.seq >= cut.from).take(ROWS).cloned().collect();
            batches.push(Batch::new(cut.stream, cut.before, rows).map_err(|error| error.to_string())?);
        }
        let sent: Vec<Sent> = batches
            .iter()
            .map(|batch| Sent { stream: batch.stream(), last: batch.last(), chain: batch.chain_after() })
            .collect();
        self.outbox.handle_sent(call, &sent, self.now);
        self.on_the_way.push_back((call, batches));
        Ok(())
    }

    /// The receiver's side of a call: judge, commit, answer.
    fn receive(&mut self, batches: &[Batch]) -> Result<Vec<(StreamId, StreamAnswer)>, String> {
        let mut answers = Vec::new();
        for batch in batches {
            let stream = batch.stream();
            let answer = match judge(self.positions.get(&stream), self.life, batch) {
                Judgement::Apply(application) => {
                    let rows = self.arrived.entry(stream).or_default();
                    rows.extend(application.rows().iter().map(|row| row.id));
                    self.positions.insert(stream, application.next());
                    application.durable(vec![])
                }
                Judgement::AlreadyApplied(position) => position.already_applied(vec![]),
                Judgement::ExpectSeq(next) => return Err(format!("a hole before {next}")),
                Judgement::Contradicts(at) => return Err(format!("a contradiction at {at}")),
            };
            answers.push((stream, answer));
            self.check_arrivals()?;
        }
        Ok(answers)
    }

    fn check_arrivals(&self) -> Result<(), String> {
        for (stream, arrived) in &self.arrived {
            let wanted = self.queues[stream].rows.iter().map(|row| row.id);
            if !wanted.take(arrived.len()).eq(arrived.iter().copied()) {
                return Err(format!("{stream} arrived as {arrived:?}"));
            }
        }
        Ok(())
    }

    /// The network is well from now on.
    fn heals(&mut self) -> Result<(), String> {
        self.fail_next_store = false;
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
        for (stream, queue) in &self.queues {
            let arrived = self.arrived.get(stream).map_or(0, Vec::len);
            if arrived != queue.rows.len() || queue.kept != queue.rows.len() as u64 {
                return Err(format!(
                    "{stream}: {} sent, {arrived} arrived, {} kept",
                    queue.rows.len(),
                    queue.kept
                ));
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
    for bug in [Bug::AckOneTooMany, Bug::NoDedup, Bug::TruncatedAtStart] {
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
