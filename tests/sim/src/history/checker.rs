//! Judges a history by the promises of federation.
//!
//! *Crash, partition, restart, hostile peer*: nothing acknowledged is lost, nothing is applied twice, order holds, an
//! epoch has one commit, everything drains, memory is bounded. *Restore of an older backup*: a domain's log goes back
//! to its snapshot and must come back; what can't is reported to its sender or shown as a gap.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use qpq_federation_proto::StreamId;

use super::{DomainNo, Entry, Event, GroupNo, Id, Setting};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// A message that was acknowledged is neither at a member's domain nor reported as failed.
    Lost {
        /// The message.
        id: Id,
        /// Where it is missing.
        domain: DomainNo,
    },
    /// A commit that was granted is not in the log.
    CommitLost {
        /// The commit.
        id: Id,
    },
    /// Something became durable at a domain twice.
    Twice {
        /// The message or commit.
        id: Id,
        /// Where.
        domain: DomainNo,
    },
    /// A row was applied that is not the next one of its stream, or not the one that was numbered so.
    Order {
        /// Where.
        domain: DomainNo,
        /// Whose row.
        origin: DomainNo,
        /// Its number.
        seq: u64,
        /// The number that was due.
        due: u64,
    },
    /// Two members' copies of a log differ.
    Forked {
        /// In which group.
        group: GroupNo,
        /// Whose copy differs from the hub's.
        domain: DomainNo,
    },
    /// A commit is in a log whose epoch was another.
    Epoch {
        /// In which group.
        group: GroupNo,
        /// Where.
        domain: DomainNo,
        /// The epoch that the commit ends.
        epoch: u64,
        /// The epoch that the log was in.
        due: u64,
    },
    /// A Welcome arrived whose commit never won.
    LosersWelcome {
        /// The commit.
        commit: Id,
    },
    /// More was noted as acknowledged than was ever numbered or applied.
    AcknowledgedTooMuch {
        /// Who noted it.
        origin: DomainNo,
        /// Whose acknowledgement it was to be.
        destination: DomainNo,
        /// How many rows too many.
        rows: u64,
    },
    /// Rows still wait at the end.
    NotDrained {
        /// Who holds them.
        origin: DomainNo,
        /// For whom.
        destination: DomainNo,
        /// How many.
        rows: u64,
    },
    /// A peer was heard from, and still what waited for it stayed where it was.
    LateAfterContact {
        /// Who.
        domain: DomainNo,
        /// Whom it had heard from.
        peer: DomainNo,
        /// How many rows waited too long.
        rows: u64,
    },
    /// An honest peer was stopped.
    Alarm {
        /// By whom.
        domain: DomainNo,
        /// Who.
        peer: DomainNo,
        /// With which words.
        why: String,
    },
    /// A queue held more than its limits allow.
    Unbounded {
        /// Where.
        domain: DomainNo,
        /// How much.
        held: usize,
        /// How much was allowed.
        bound: usize,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { id, domain } => {
                write!(f, "message {id} was acknowledged, and is neither at d{domain} nor reported as failed")
            }
            Self::CommitLost { id } => write!(f, "commit {id} was granted and is not in its group's log"),
            Self::Twice { id, domain } => write!(f, "{id} became durable at d{domain} twice"),
            Self::Order { domain, origin, seq, due } => {
                write!(f, "d{domain} applied row {seq} of d{origin} where row {due} was due")
            }
            Self::Forked { group, domain } => {
                write!(f, "the log of group {group} at d{domain} differs from the hub's")
            }
            Self::Epoch { group, domain, epoch, due } => {
                write!(f, "group {group} at d{domain} has a commit of epoch {epoch} in epoch {due}")
            }
            Self::LosersWelcome { commit } => {
                write!(f, "the Welcome of commit {commit} arrived, which never won")
            }
            Self::AcknowledgedTooMuch { origin, destination, rows } => {
                write!(f, "d{origin} took {rows} rows for acknowledged that d{destination} doesn't have")
            }
            Self::NotDrained { origin, destination, rows } => {
                write!(f, "{rows} rows of d{origin} for d{destination} still wait at the end")
            }
            Self::LateAfterContact { domain, peer, rows } => {
                write!(f, "d{domain} had heard from d{peer} and still left {rows} rows for it waiting")
            }
            Self::Alarm { domain, peer, why } => write!(f, "d{domain} stopped honest d{peer}: {why}"),
            Self::Unbounded { domain, held, bound } => {
                write!(f, "the queues of d{domain} held {held} things at once; {bound} are allowed")
            }
        }
    }
}

/// Judges a history; the first broken promise counts.
pub fn check(setting: &Setting, events: &[Event]) -> Result<(), Violation> {
    let mut story = Story { domains: vec![Kept::default(); setting.domains], ..Story::default() };
    for event in events {
        story.hear(setting, event)?;
    }
    story.end(setting)
}

/// What a domain's database holds, as far as the promises speak of it.
#[derive(Debug, Clone, Default)]
struct Kept {
    logs: BTreeMap<GroupNo, Vec<(Id, Entry)>>,
    logged: BTreeSet<(GroupNo, Id)>,
    welcomes: BTreeSet<(GroupNo, Id)>,
    epochs: BTreeMap<GroupNo, u64>,
    positions: BTreeMap<(DomainNo, StreamId), (u64, u64)>,
}

/// Rows of a domain for a peer: numbered and acknowledged, each with its time.
#[derive(Debug, Default)]
struct Queue {
    numbered: Vec<u64>,
    acknowledged: BTreeMap<(StreamId, u64), u64>,
    kept: Vec<u64>,
}

#[derive(Debug, Default)]
struct Story {
    domains: Vec<Kept>,
    snapshots: BTreeMap<DomainNo, Kept>,
    accepted: Vec<(GroupNo, Id)>,
    granted: Vec<(GroupNo, u64, Id)>,
    failed: BTreeSet<Id>,
    gaps: BTreeSet<(DomainNo, GroupNo)>,
    numbers: BTreeMap<(DomainNo, DomainNo, StreamId, u64), Vec<Id>>,
    queues: BTreeMap<(DomainNo, DomainNo), Queue>,
    contacts: BTreeMap<(DomainNo, DomainNo), u64>,
    healed_at: Option<u64>,
    restored: bool,
}

impl Story {
    fn hear(&mut self, setting: &Setting, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Accepted { group, id, .. } => self.accepted.push((*group, *id)),
            Event::Granted { group, epoch, id } => self.granted.push((*group, *epoch, *id)),
            Event::Failed { id } => {
                self.failed.insert(*id);
            }
            Event::Numbered { origin, destination, stream, life, id, at, .. } => {
                self.numbers.entry((*origin, *destination, *stream, *life)).or_default().push(*id);
                self.queues.entry((*origin, *destination)).or_default().numbered.push(*at);
            }
            Event::Kept { origin, destination, stream, life, through, at } => {
                return self.keep(*origin, *destination, (*stream, *life), *through, *at);
            }
            Event::Rewound { origin, destination, stream, life, to } => {
                let queue = self.queues.entry((*origin, *destination)).or_default();
                let before = queue.acknowledged.insert((*stream, *life), *to).unwrap_or(0);
                let rows = usize::try_from(before.saturating_sub(*to)).unwrap_or(usize::MAX);
                queue.kept.truncate(queue.kept.len().saturating_sub(rows));
            }
            Event::Applied { domain, origin, stream, life, seq, id } => {
                return self.apply(*domain, *origin, *stream, (*life, *seq), *id);
            }
            Event::Logged { domain, group, id, entry } => return self.log(*domain, *group, *id, *entry),
            Event::Welcomed { domain, group, commit } => {
                let known = self.domains.get_mut(*domain);
                if known.is_some_and(|domain| !domain.welcomes.insert((*group, *commit))) {
                    return Err(Violation::Twice { id: *commit, domain: *domain });
                }
            }
            Event::Contact { domain, from, at } => {
                self.contacts.entry((*domain, *from)).or_insert(*at);
            }
            Event::Alarm { domain, peer, why } => {
                if setting.is_honest(*domain, *peer) {
                    return Err(Violation::Alarm { domain: *domain, peer: *peer, why: why.clone() });
                }
            }
            Event::Held { domain, held, bound } => {
                if held > bound {
                    return Err(Violation::Unbounded { domain: *domain, held: *held, bound: *bound });
                }
            }
            Event::Snapshot { domain } => {
                self.snapshots.insert(*domain, self.domains.get(*domain).cloned().unwrap_or_default());
            }
            Event::Restored { domain } => {
                self.restored = true;
                // What still waited is numbered anew, and told so.
                self.queues.retain(|(origin, _), _| origin != domain);
                let snapshot = self.snapshots.get(domain).cloned().unwrap_or_default();
                if let Some(now) = self.domains.get_mut(*domain) {
                    *now = snapshot;
                }
            }
            Event::GapShown { domain, group } => {
                self.gaps.insert((*domain, *group));
            }
            Event::Healed { at } => self.healed_at = Some(*at),
        }
        Ok(())
    }

    fn keep(
        &mut self,
        origin: DomainNo,
        destination: DomainNo,
        (stream, life): (StreamId, u64),
        through: u64,
        at: u64,
    ) -> Result<(), Violation> {
        let queue = self.queues.entry((origin, destination)).or_default();
        let before = queue.acknowledged.get(&(stream, life)).copied().unwrap_or(0);
        let rows = through.saturating_sub(before);
        queue.acknowledged.insert((stream, life), before.max(through));
        queue.kept.extend((0..rows).map(|_| at));
        let numbered = self.numbers.get(&(origin, destination, stream, life)).map_or(0, Vec::len);
        let there = self.domains.get(destination).and_then(|domain| domain.positions.get(&(origin, stream)));
        let there = there.filter(|(known, _)| *known == life);
        let applied = there.map_or(0, |(_, seq)| *seq);
        // What a hostile peer says that it applied is its own affair; a restored one has lost rows that it had.
        let numbered = u64::try_from(numbered).unwrap_or(u64::MAX);
        let most = if there.is_some() && !self.restored { numbered.min(applied) } else { numbered };
        if through > most {
            return Err(Violation::AcknowledgedTooMuch {
                origin,
                destination,
                rows: through.saturating_sub(most),
            });
        }
        Ok(())
    }

    fn apply(
        &mut self,
        domain: DomainNo,
        origin: DomainNo,
        stream: StreamId,
        (life, seq): (u64, u64),
        id: Id,
    ) -> Result<(), Violation> {
        let Some(here) = self.domains.get_mut(domain) else { return Ok(()) };
        let due = match here.positions.get(&(origin, stream)) {
            Some((known, applied)) if *known == life => applied.saturating_add(1),
            Some((known, applied)) if *known > life => {
                return Err(Violation::Order { domain, origin, seq, due: applied.saturating_add(1) });
            }
            Some(_) | None => 1,
        };
        here.positions.insert((origin, stream), (life, seq));
        let place = usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX);
        let numbered = self.numbers.get(&(origin, domain, stream, life)).and_then(|ids| ids.get(place));
        if seq != due || numbered.is_some_and(|numbered| *numbered != id) {
            return Err(Violation::Order { domain, origin, seq, due });
        }
        Ok(())
    }

    fn log(&mut self, domain: DomainNo, group: GroupNo, id: Id, entry: Entry) -> Result<(), Violation> {
        let Some(here) = self.domains.get_mut(domain) else { return Ok(()) };
        if !here.logged.insert((group, id)) {
            return Err(Violation::Twice { id, domain });
        }
        if let Entry::Commit { epoch } = entry {
            let due = here.epochs.entry(group).or_insert(0);
            if *due != epoch {
                return Err(Violation::Epoch { group, domain, epoch, due: *due });
            }
            *due = due.saturating_add(1);
        }
        here.logs.entry(group).or_default().push((id, entry));
        Ok(())
    }

    fn end(&self, setting: &Setting) -> Result<(), Violation> {
        self.nothing_is_lost(setting)?;
        self.everything_is_drained(setting)?;
        for (group, hub) in setting.hubs.iter().enumerate() {
            if self.gaps.contains(&(*hub, group)) {
                // What the hub lost, and says so, members may hold.
                continue;
            }
            let original = self.log_of(*hub, group);
            for member in setting.members.get(group).into_iter().flatten() {
                if self.log_of(*member, group) != original && !self.gaps.contains(&(*member, group)) {
                    return Err(Violation::Forked { group, domain: *member });
                }
            }
        }
        Ok(())
    }

    fn log_of(&self, domain: DomainNo, group: GroupNo) -> &[(Id, Entry)] {
        self.domains.get(domain).and_then(|domain| domain.logs.get(&group)).map_or(&[], Vec::as_slice)
    }

    fn has(&self, domain: DomainNo, group: GroupNo, id: Id) -> bool {
        self.domains.get(domain).is_some_and(|domain| domain.logged.contains(&(group, id)))
    }

    fn nothing_is_lost(&self, setting: &Setting) -> Result<(), Violation> {
        for (group, id) in &self.accepted {
            if self.failed.contains(id) {
                continue;
            }
            for member in setting.members.get(*group).into_iter().flatten() {
                if !self.has(*member, *group, *id) && !self.gaps.contains(&(*member, *group)) {
                    return Err(Violation::Lost { id: *id, domain: *member });
                }
            }
        }
        for (group, epoch, id) in &self.granted {
            let hub = setting.hubs.get(*group).copied().unwrap_or(usize::MAX);
            let wanted = (*id, Entry::Commit { epoch: *epoch });
            if !self.log_of(hub, *group).contains(&wanted) && !self.gaps.contains(&(hub, *group)) {
                return Err(Violation::CommitLost { id: *id });
            }
        }
        for domain in &self.domains {
            for (group, commit) in &domain.welcomes {
                let hub = setting.hubs.get(*group).copied().unwrap_or(usize::MAX);
                if !self.has(hub, *group, *commit) {
                    return Err(Violation::LosersWelcome { commit: *commit });
                }
            }
        }
        Ok(())
    }

    fn everything_is_drained(&self, setting: &Setting) -> Result<(), Violation> {
        for ((origin, destination), queue) in &self.queues {
            if !setting.is_honest(*origin, *destination) {
                continue;
            }
            let rows = queue.numbered.len().saturating_sub(queue.kept.len());
            if rows > 0 {
                let rows = u64::try_from(rows).unwrap_or(u64::MAX);
                return Err(Violation::NotDrained { origin: *origin, destination: *destination, rows });
            }
            let Some(contact) = self.contacts.get(&(*origin, *destination)) else { continue };
            if self.healed_at.is_none_or(|healed| *contact < healed) {
                continue;
            }
            let waited = queue.numbered.iter().filter(|at| *at <= contact).count();
            let until = contact.saturating_add(setting.prompt_ms);
            let in_time = queue.kept.iter().filter(|at| **at <= until).count();
            if in_time < waited {
                let rows = u64::try_from(waited.saturating_sub(in_time)).unwrap_or(u64::MAX);
                return Err(Violation::LateAfterContact { domain: *origin, peer: *destination, rows });
            }
        }
        Ok(())
    }
}
