//! A domain: a database, and a process around it that performs what the cores decide. A crash ends the process; the
//! next one begins with the database.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use qpq_core::{Incarnation, Millis};
use qpq_federation_proto::{Outbox, OutboxLimits, SavedLink};

use super::{
    disk::{Done, Effects, Job, Place, State},
    links::Way,
    orders::Order,
    plan::Trouble,
    world::{Due, World},
};
use crate::{
    bug::Bug,
    faults::Fault,
    history::{DomainNo, Event, GroupNo},
};

/// Small, so that short runs reach them.
pub(crate) const LIMITS: OutboxLimits = OutboxLimits { streams: 3, calls: 2, streams_per_call: 2 };
/// The most jobs of one transaction.
const TOGETHER: usize = 16;

/// A domain.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) life: Incarnation,
    /// How far its clock is ahead of the observer's.
    pub(crate) skew: i64,
    pub(crate) disk: State,
    pub(crate) up: Option<Process>,
    pub(crate) boot: u64,
    pub(crate) slow_until: u64,
    pub(crate) bad_until: u64,
    /// A copy of its database, from when it was backed up.
    pub(crate) backup: Option<State>,
    /// It will crash in its next transaction, and be away for so long.
    pub(crate) crashes_writing: Option<u64>,
    /// The most that one of its queues held, and what it may.
    pub(crate) most_held: (usize, usize),
}

/// What a crash ends.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) ways: BTreeMap<DomainNo, Way>,
    pub(crate) sessions: BTreeSet<u64>,
    jobs: VecDeque<Job>,
    writing: Vec<Job>,
    pub(crate) orders: BTreeMap<GroupNo, Order>,
    pub(crate) attempts: u64,
}

impl Node {
    pub(crate) fn new(life: Incarnation, skew: i64) -> Self {
        let bound = LIMITS.streams.saturating_add(LIMITS.calls);
        let (disk, most_held) = (State::default(), (0, bound));
        Self {
            life,
            skew,
            disk,
            up: None,
            boot: 0,
            slow_until: 0,
            bad_until: 0,
            backup: None,
            crashes_writing: None,
            most_held,
        }
    }
}

impl World {
    /// The process begins: queues are taken up from the database, and every peer hears that we are back.
    pub(crate) fn start(&mut self, domain: DomainNo) {
        let now = self.clock(domain);
        let Some(node) = self.nodes.get_mut(domain).filter(|node| node.up.is_none()) else { return };
        node.boot = node.boot.saturating_add(1);
        let mut process = Process::default();
        for (peer, name) in self.names.iter().enumerate().filter(|(peer, _)| *peer != domain) {
            let saved: SavedLink = node.disk.links.get(&peer).copied().unwrap_or_default();
            let outbox = Outbox::resume(name.clone(), LIMITS, saved, node.disk.waiting(peer), now);
            process.ways.insert(peer, Way::new(outbox));
        }
        node.up = Some(process);
        for peer in (0..self.setting.domains).filter(|peer| *peer != domain) {
            self.dial(domain, peer);
            self.pump(domain, peer);
        }
    }

    /// The process ends between two steps; whether its last transaction became durable is for the dice. Tells whether
    /// there was one to end.
    pub(crate) fn crash(&mut self, domain: DomainNo) -> bool {
        let Some(node) = self.nodes.get_mut(domain) else { return false };
        let Some(process) = node.up.take() else { return false };
        self.counts.add(Fault::Crash);
        if !process.writing.is_empty() && self.dice.per_mille(400) {
            self.counts.add(Fault::CrashAfterCommit);
            let effects = self.commit(domain, process.writing);
            for event in effects.events {
                self.tell(event);
            }
        }
        true
    }

    /// Puts a unit of work into the writer's queue.
    pub(crate) fn queue(&mut self, domain: DomainNo, job: Job) {
        if self.bug == Some(Bug::AnswerBeforeCommit) {
            self.answer_early(domain, &job);
        }
        let Some(process) = self.nodes.get_mut(domain).and_then(|node| node.up.as_mut()) else { return };
        process.jobs.push_back(job);
        self.write_next(domain);
    }

    fn write_next(&mut self, domain: DomainNo) {
        let Some(node) = self.nodes.get_mut(domain) else { return };
        let slow = node.slow_until > self.now && !self.healed;
        let boot = node.boot;
        let Some(process) = &mut node.up else { return };
        if !process.writing.is_empty() || process.jobs.is_empty() {
            return;
        }
        let most = process.jobs.len().min(TOGETHER);
        process.writing.extend(process.jobs.drain(..most));
        let takes = if slow {
            self.counts.add(Fault::SlowDisk);
            self.dice.between(1_000, 8_000)
        } else {
            self.dice.between(1, 6)
        };
        let crashes = if self.healed { None } else { node.crashes_writing.take() };
        self.after(takes, Due::Written { domain, boot });
        if let Some(away) = crashes {
            let within = self.dice.below(takes);
            self.after(within, Due::Trouble(Trouble::Crash { domain, away, writing: false }));
        }
    }

    /// The transaction is through: durable, or failed, or durable although it says that it failed.
    pub(crate) fn written(&mut self, domain: DomainNo, boot: u64) {
        let Some(node) = self.nodes.get_mut(domain).filter(|node| node.boot == boot) else { return };
        let bad = node.bad_until > self.now && !self.healed;
        let Some(process) = &mut node.up else { return };
        let jobs = std::mem::take(&mut process.writing);
        let fails = bad && self.dice.per_mille(500);
        let takes_effect = !fails || self.dice.per_mille(300);
        let failed: Vec<Done> =
            if fails { jobs.iter().cloned().filter_map(Place::failed).collect() } else { Vec::new() };
        let effects = if takes_effect { self.commit(domain, jobs) } else { Effects::default() };
        for event in effects.events {
            self.tell(event);
        }
        if fails {
            self.counts.add(if takes_effect { Fault::DiskLied } else { Fault::DiskError });
        }
        // Rows that exist are sent, whatever the caller heard.
        for (peer, lane) in &effects.filled {
            self.filled(domain, *peer, *lane);
        }
        for done in if fails { failed } else { effects.done } {
            self.done(domain, done);
        }
        self.write_next(domain);
    }

    /// Makes the work of one transaction durable.
    fn commit(&mut self, domain: DomainNo, jobs: Vec<Job>) -> Effects {
        let mut effects = Effects::default();
        self.at_disk(domain, |place, disk| {
            for job in jobs {
                place.perform(disk, job, &mut effects);
            }
        });
        effects
    }

    fn at_disk(&mut self, domain: DomainNo, work: impl FnOnce(&Place<'_>, &mut State)) {
        let now = self.clock(domain);
        let Some(node) = self.nodes.get_mut(domain) else { return };
        let place = Place {
            domain,
            hubs: &self.setting.hubs,
            members: &self.setting.members,
            bug: self.bug,
            life: node.life,
            now,
            at: self.now,
        };
        work(&place, &mut node.disk);
    }

    /// The database is copied.
    pub(crate) fn back_up(&mut self, domain: DomainNo) {
        let Some(node) = self.nodes.get_mut(domain) else { return };
        node.backup = Some(node.disk.clone());
        self.tell(Event::Snapshot { domain });
    }

    /// The database is put back to its copy, in a new life; its users offer again what they had handed in.
    pub(crate) fn restore(&mut self, domain: DomainNo) {
        let now = self.clock(domain);
        let Some(node) = self.nodes.get_mut(domain) else { return };
        let Some(backup) = node.backup.clone() else { return };
        node.disk = backup;
        // A new life is later than the one before, whatever the clock says.
        let begun = now.max(node.life.time().after(Millis(1)));
        node.life = Incarnation::begin(begun, self.dice.entropy());
        self.counts.add(Fault::Restore);
        self.tell(Event::Restored { domain });
        let mut effects = Effects::default();
        self.at_disk(domain, |place, disk| place.renumber(disk, &mut effects));
        for event in effects.events {
            self.tell(event);
        }
        self.clients_offer_again(domain);
    }

    /// The planted bug: whoever waits hears of the work at once. What is durable is told later, or never.
    fn answer_early(&mut self, domain: DomainNo, job: &Job) {
        if !matches!(job, Job::Accept { .. } | Job::Relay { .. }) {
            return;
        }
        let mut effects = Effects::default();
        self.at_disk(domain, |place, disk| place.perform(&mut disk.clone(), job.clone(), &mut effects));
        for done in effects.done {
            self.done(domain, done);
        }
    }

    fn done(&mut self, domain: DomainNo, done: Done) {
        match done {
            Done::Accepted { client } => self.client_accepted(client),
            Done::Expired { peer, call, cuts } => self.load(domain, peer, call, cuts),
            Done::Relayed { from, session, call, answers } => {
                self.relayed(domain, from, session, call, answers);
            }
            Done::Kept { peer, store, durable } => {
                let now = self.clock(domain);
                if let Some(way) = self.way(domain, peer) {
                    if durable {
                        way.outbox.handle_stored(store);
                    } else {
                        way.outbox.handle_not_stored(store, now);
                    }
                }
                self.pump(domain, peer);
            }
            Done::Reconciled { peer, replayed } => self.reconciled(domain, peer, replayed),
            Done::Remembered { peer, session } => self.remembered(domain, peer, session),
            Done::Committed { group, attempt, outcome } => self.stored(domain, group, attempt, outcome),
        }
    }

    /// A clock jumped: what is due is looked at again.
    pub(crate) fn look_at_all(&mut self, domain: DomainNo) {
        for peer in (0..self.setting.domains).filter(|peer| *peer != domain) {
            self.pump(domain, peer);
        }
    }

    /// Whether the peer of a way was stopped for something that honest peers don't do.
    pub(crate) fn alarm(&mut self, domain: DomainNo, peer: DomainNo, why: String) {
        self.tell(Event::Alarm { domain, peer, why });
    }
}
