//! One run: an observer's clock, everything that is due, and the domains. One thing happens at a time.

use std::collections::{BTreeMap, BTreeSet};

use qpq_core::{DeviceAddress, DeviceId, Domain, Incarnation, Timestamp};
use qpq_delivery::ordering::Answer;
use qpq_federation_proto::{Batch, CallId, Hello, PeerHead, SignedHeader, StreamAnswer, StreamId};

use super::{
    clients::Client,
    disk::Offer,
    hostile::Hostile,
    node::Node,
    plan::{Plan, Trouble},
};
use crate::{
    bug::Bug,
    dice::Dice,
    faults::{Counts, Fault},
    history::{DomainNo, Event, Id, Setting},
};

/// The observer's time 0, on a clock that is right.
const EPOCH_MS: u64 = 1_800_000_000_000;
/// The longest backoff is 30 minutes; this much after the faults everything has gone through.
const DRAINED_AFTER_MS: u64 = 35 * 60 * 1_000;
/// No run has so many steps; one that does goes in circles.
const MOST_STEPS: u64 = 200_000;

/// What one domain sends another.
#[derive(Debug, Clone)]
pub(crate) enum Letter {
    /// A dial and its introduction.
    Hello { session: u64, hello: Box<Hello> },
    /// The answer to it: the link is up.
    Welcome { session: u64, hello: Box<Hello> },
    /// The answer to it: not with you.
    Refused { session: u64 },
    /// Rows.
    Relay { session: u64, call: CallKey, life: Incarnation, batches: Vec<Batch>, proof: Proof },
    /// What became of them; nothing if they could not be stored.
    Answer { session: u64, call: CallKey, answers: Option<Vec<(StreamId, StreamAnswer)>> },
    /// Asks which rows of the sender the other side has.
    AskHeads { session: u64, boot: u64 },
    /// These.
    Heads { boot: u64, heads: Vec<PeerHead> },
    /// A user's commit, for the hub.
    Commit { offer: Offer, client: usize },
    /// What became of it.
    Committed { client: usize, id: Id, answer: Answer },
    /// There is no such link here (any more).
    Gone { session: u64 },
}

/// A call, by the process that made it; the hostile peer's calls have no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallKey {
    pub(crate) boot: u64,
    pub(crate) call: Option<CallId>,
}

/// Why a receiver believes that batches are the origin's.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// An honest domain's signature: it always fits, so nobody computes it.
    Honest,
    /// The hostile peer's, as it made it.
    Signed(Box<SignedHeader>),
}

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Due {
    Arrives {
        from: DomainNo,
        to: DomainNo,
        order: u64,
        letter: Letter,
    },
    Client(usize),
    Trouble(Trouble),
    Mends {
        from: DomainNo,
        to: DomainNo,
    },
    Starts(DomainNo),
    /// The transaction of this life of the process is through.
    Written {
        domain: DomainNo,
        boot: u64,
    },
    /// A queue's own time-out.
    Timer {
        domain: DomainNo,
        boot: u64,
        peer: DomainNo,
        timer: u64,
    },
    CallEnds {
        domain: DomainNo,
        boot: u64,
        peer: DomainNo,
        call: CallId,
        session: u64,
    },
    DialEnds {
        domain: DomainNo,
        boot: u64,
        peer: DomainNo,
        session: u64,
    },
    /// A dial at start led to nothing, and is made again.
    Greets {
        domain: DomainNo,
        boot: u64,
        peer: DomainNo,
    },
    /// No answer to the question for heads.
    AskEnds {
        domain: DomainNo,
        boot: u64,
        peer: DomainNo,
        asked: u64,
    },
    HostileActs,
    Heals,
}

/// A run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: u64,
    due: BTreeMap<(u64, u64), Due>,
    order: u64,
    pub(crate) dice: Dice,
    pub(crate) plan: Plan,
    pub(crate) setting: Setting,
    pub(crate) names: Vec<Domain>,
    pub(crate) devices: Vec<DeviceAddress>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    pub(crate) hostile: Option<Hostile>,
    pub(crate) bug: Option<Bug>,
    pub(crate) sessions: u64,
    cuts: BTreeSet<(DomainNo, DomainNo)>,
    arrived: BTreeMap<(DomainNo, DomainNo), u64>,
    pub(crate) healed: bool,
    pub(crate) counts: Counts,
    pub(crate) history: Vec<Event>,
    /// Filled while somebody wants to read along.
    pub(crate) trace: Option<Vec<String>>,
}

impl World {
    /// Draws a run and sets its domains up.
    pub(crate) fn new(seed: u64, bug: Option<Bug>, traced: bool) -> Result<Self, String> {
        let mut dice = Dice::new(seed);
        let mut plan = Plan::draw(&mut dice);
        let setting = plan.setting.clone();
        let clients = std::mem::take(&mut plan.clients);
        let mut world = Self {
            now: 0,
            due: BTreeMap::new(),
            order: 0,
            names: Vec::new(),
            devices: Vec::new(),
            nodes: Vec::new(),
            clients: Vec::new(),
            hostile: None,
            bug,
            sessions: 0,
            cuts: BTreeSet::new(),
            arrived: BTreeMap::new(),
            healed: false,
            counts: Counts::default(),
            history: Vec::new(),
            trace: traced.then(Vec::new),
            dice,
            plan,
            setting,
        };
        for no in 0..world.setting.domains {
            let name = format!("d{no}.test");
            let user = format!("u@{name}").parse().map_err(|error| format!("{error}"))?;
            world.names.push(name.parse().map_err(|error| format!("{error}"))?);
            world.devices.push(DeviceAddress { user, device: DeviceId::from_bytes([1; 16]) });
            let skew = world.plan.skews.get(no).copied().unwrap_or(0);
            if skew.unsigned_abs() > 60_000 {
                world.counts.add(Fault::ClockSkew);
            }
            let begun = at(0, skew);
            let life = Incarnation::begin(begun, world.dice.entropy());
            world.nodes.push(Node::new(life, skew));
        }
        for (no, (time, client)) in clients.into_iter().enumerate() {
            world.clients.push(client);
            world.after(time, Due::Client(no));
        }
        for (time, trouble) in world.plan.troubles.clone() {
            world.after(time, Due::Trouble(trouble));
        }
        world.after(world.plan.heals_at, Due::Heals);
        for no in 0..world.setting.domains {
            if world.setting.hostile == Some(no) {
                world.hostile_begins(no);
            } else {
                let time = world.dice.below(2_000);
                world.after(time, Due::Starts(no));
            }
        }
        Ok(world)
    }

    /// Plays it to its end: nothing is due any more, or long enough after the faults.
    pub(crate) fn play(&mut self) {
        let end = self.plan.heals_at.saturating_add(DRAINED_AFTER_MS);
        for _ in 0..MOST_STEPS {
            let Some(((time, _), due)) = self.due.pop_first() else { break };
            if time > end {
                break;
            }
            self.now = time;
            if let Some(trace) = &mut self.trace {
                trace.push(format!("{time:>8} {due:?}"));
            }
            self.happens(due);
        }
        for domain in 0..self.nodes.len() {
            if let Some(node) = self.nodes.get(domain) {
                let (held, bound) = node.most_held;
                self.tell(Event::Held { domain, held, bound });
            }
        }
    }

    fn happens(&mut self, due: Due) {
        match due {
            Due::Arrives { from, to, order, letter } => {
                let last = self.arrived.entry((from, to)).or_insert(0);
                if order < *last {
                    self.counts.add(Fault::Reordering);
                }
                *last = order.max(*last);
                if self.setting.hostile == Some(to) {
                    self.hostile_hears(from, letter);
                } else {
                    self.hears(to, from, letter);
                }
            }
            Due::Client(no) => self.client_acts(no),
            Due::Trouble(trouble) => self.trouble(trouble),
            Due::Mends { from, to } => {
                self.cuts.remove(&(from, to));
            }
            Due::Starts(domain) => self.start(domain),
            Due::Written { domain, boot } => self.written(domain, boot),
            Due::Timer { domain, boot, peer, timer } => self.timer(domain, boot, peer, timer),
            Due::CallEnds { domain, boot, peer, call, session } => {
                self.call_ends(domain, boot, peer, call, session);
            }
            Due::DialEnds { domain, boot, peer, session } => self.dial_ends(domain, boot, peer, session),
            Due::Greets { domain, boot, peer } => self.greets(domain, boot, peer),
            Due::AskEnds { domain, boot, peer, asked } => self.ask_ends(domain, boot, peer, asked),
            Due::HostileActs => self.hostile_acts(),
            Due::Heals => {
                self.healed = true;
                self.cuts.clear();
                let at = self.now;
                self.tell(Event::Healed { at });
            }
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Cut { from, to, both, lasts } => {
                self.counts.add(if both { Fault::TwoWayPartition } else { Fault::OneWayPartition });
                for (from, to) in [(from, to), (to, from)].into_iter().take(if both { 2 } else { 1 }) {
                    self.cuts.insert((from, to));
                    self.after(lasts, Due::Mends { from, to });
                }
            }
            Trouble::Crash { domain, away, writing: true } => {
                if let Some(node) = self.nodes.get_mut(domain) {
                    node.crashes_writing = Some(away);
                }
            }
            Trouble::Crash { domain, away, writing: false } => {
                if self.crash(domain) {
                    self.after(away, Due::Starts(domain));
                }
            }
            Trouble::BackUp { domain } => self.back_up(domain),
            Trouble::Restore { domain, away } => {
                let was_up = self.crash(domain);
                self.restore(domain);
                if was_up {
                    self.after(away, Due::Starts(domain));
                }
            }
            Trouble::SlowDisk { domain, lasts } => {
                if let Some(node) = self.nodes.get_mut(domain) {
                    node.slow_until = self.now.saturating_add(lasts);
                }
            }
            Trouble::BadDisk { domain, lasts } => {
                if let Some(node) = self.nodes.get_mut(domain) {
                    node.bad_until = self.now.saturating_add(lasts);
                }
            }
            Trouble::ClockJump { domain, by } => {
                self.counts.add(Fault::ClockJump);
                if let Some(node) = self.nodes.get_mut(domain) {
                    node.skew = node.skew.saturating_add(by);
                }
                self.look_at_all(domain);
            }
        }
    }

    /// So long from now.
    pub(crate) fn after(&mut self, wait: u64, due: Due) {
        self.order = self.order.saturating_add(1);
        self.due.insert((self.now.saturating_add(wait), self.order), due);
    }

    /// Hands a letter to the network.
    pub(crate) fn send(&mut self, from: DomainNo, to: DomainNo, letter: Letter) {
        if self.cuts.contains(&(from, to)) {
            return;
        }
        let mut wait = self.dice.between(1, 40);
        if !self.healed {
            if self.dice.per_mille(self.plan.loss) {
                return self.counts.add(Fault::Loss);
            }
            if self.dice.per_mille(self.plan.late) {
                self.counts.add(Fault::Latency);
                wait = self.dice.between(500, 12_000);
            }
            if matches!(letter, Letter::Relay { .. }) && self.dice.per_mille(self.plan.repeated) {
                self.counts.add(Fault::Repeated);
                let later = self.dice.between(50, 60_000);
                let order = self.order;
                self.after(later, Due::Arrives { from, to, order, letter: letter.clone() });
            }
        }
        let order = self.order;
        self.after(wait, Due::Arrives { from, to, order, letter });
    }

    pub(crate) fn tell(&mut self, event: Event) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>8}   {event:?}", self.now));
        }
        self.history.push(event);
    }

    /// A domain's own time.
    pub(crate) fn clock(&self, domain: DomainNo) -> Timestamp {
        at(self.now, self.nodes.get(domain).map_or(0, |node| node.skew))
    }
}

fn at(now: u64, skew: i64) -> Timestamp {
    Timestamp::from_millis(EPOCH_MS.saturating_add(now).saturating_add_signed(skew))
}
