//! The observer: sees every domain's committed rows and writes the history.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use qpq_core::{Domain, Incarnation, MessageId};
use qpq_federation_proto::StreamId;
use qpq_storage::{OutboxLane, StreamName, memory::MemoryStorage};
use tokio::time::Instant;

use crate::history::{DomainNo, Entry, Event, GroupNo, Id};

/// The observer of a run. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub(crate) struct Watch(Arc<Mutex<Seen>>);

#[derive(Debug)]
struct Seen {
    names: Vec<Domain>,
    began: Instant,
    history: Vec<Event>,
    trace: Option<Vec<String>>,
    /// Rows seen of (domain, peer, stream): numbered, acknowledged; and parked from (domain, origin, stream).
    queues: BTreeMap<(DomainNo, DomainNo, OutboxLane), (u64, u64)>,
    parked: BTreeMap<(DomainNo, DomainNo, StreamName), usize>,
    /// What is in a domain's database of what it was sent.
    logged: BTreeSet<(DomainNo, Id)>,
    /// What was numbered anew or handed in again after a restore: it may come a second time, under another number.
    repeated: BTreeSet<Id>,
}

/// The pseudo-group of what one domain sends another: its only member is the receiver.
pub(crate) const fn pair(from: DomainNo, to: DomainNo, domains: usize) -> GroupNo {
    from.saturating_mul(domains).saturating_add(to)
}

/// The message id of an id.
pub(crate) fn message_id(id: Id) -> MessageId {
    let mut bytes = [0; 16];
    for (byte, part) in bytes.iter_mut().zip(id.to_be_bytes()) {
        *byte = part;
    }
    MessageId::from_bytes(bytes)
}

fn id_of(bytes: &[u8; 16]) -> Id {
    bytes.iter().take(8).fold(0, |id, byte| (id << 8) | u64::from(*byte))
}

impl Watch {
    pub(crate) fn new(names: Vec<Domain>, traced: bool) -> Self {
        Self(Arc::new(Mutex::new(Seen {
            names,
            began: Instant::now(),
            history: Vec::new(),
            trace: traced.then(Vec::new),
            queues: BTreeMap::new(),
            parked: BTreeMap::new(),
            logged: BTreeSet::new(),
            repeated: BTreeSet::new(),
        })))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the run began.
    pub(crate) fn at(&self) -> u64 {
        self.seen().at()
    }

    pub(crate) fn tell(&self, event: Event) {
        self.seen().tell(event);
    }

    /// A line for whoever reads along.
    pub(crate) fn note(&self, line: &str) {
        let mut seen = self.seen();
        let at = seen.at();
        if let Some(trace) = &mut seen.trace {
            trace.push(format!("{at:>8} {line}"));
        }
    }

    /// Whether every row that was numbered between honest domains is acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        self.seen().queues.values().all(|(numbered, kept)| numbered == kept)
    }

    pub(crate) fn take(&self) -> (Vec<Event>, Vec<String>) {
        let mut seen = self.seen();
        (std::mem::take(&mut seen.history), seen.trace.take().unwrap_or_default())
    }

    /// A user hands in again what the homeserver had accepted.
    pub(crate) fn offers_again(&self, id: Id) {
        self.seen().repeated.insert(id);
    }

    /// A domain's database was put back.
    pub(crate) fn restored(&self, domain: DomainNo, store: &MemoryStorage) {
        let mut seen = self.seen();
        seen.tell(Event::Restored { domain });
        seen.queues.retain(|(origin, ..), _| *origin != domain);
        seen.parked.retain(|(receiver, ..), _| *receiver != domain);
        seen.logged.retain(|(receiver, _)| *receiver != domain);
        for parked in store.parked_seen() {
            let Some(origin) = seen.number_of(&parked.origin) else { continue };
            seen.parked.insert((domain, origin, parked.stream), parked.rows.len());
            seen.logged.extend(parked.rows.iter().map(|row| (domain, id_of(&row.id))));
        }
        let queues = store.queues_seen();
        let kept: BTreeSet<Id> =
            queues.iter().flat_map(|queue| queue.rows.iter().map(|(_, id)| id_of(id.as_bytes()))).collect();
        // Whoever was not answered about what the homeserver forgets now will ask it again.
        let forgotten: Vec<Id> = seen.numbered_by(domain).filter(|id| !kept.contains(id)).collect();
        seen.repeated.extend(forgotten);
        for queue in queues {
            let Some(peer) = seen.number_of(&queue.destination) else { continue };
            let last = queue.rows.iter().map(|(seq, _)| seq.0).max().unwrap_or(queue.acknowledged.0);
            let waiting = queue.rows.iter().filter(|(seq, _)| *seq > queue.acknowledged);
            seen.repeated.extend(waiting.map(|(_, id)| id_of(id.as_bytes())));
            seen.queues.insert((domain, peer, queue.lane), (last, queue.acknowledged.0));
        }
    }

    /// Looks at what a domain has committed.
    pub(crate) fn look(&self, domain: DomainNo, store: &MemoryStorage) {
        let mut seen = self.seen();
        let (at, domains) = (seen.at(), seen.names.len());
        for parked in store.parked_seen() {
            let Some(origin) = seen.number_of(&parked.origin) else { continue };
            let known = seen.parked.insert((domain, origin, parked.stream), parked.rows.len()).unwrap_or(0);
            for row in parked.rows.iter().skip(known) {
                let (id, stream) = (id_of(&row.id), StreamId::from_bytes(parked.stream));
                let life = number(parked.life);
                seen.tell(Event::Applied { domain, origin, stream, life, seq: row.seq.0, id });
                let group = pair(origin, domain, domains);
                // Whoever takes parked rows up knows a message by its id.
                if seen.logged.insert((domain, id)) || !seen.repeated.contains(&id) {
                    seen.tell(Event::Logged { domain, group, id, entry: Entry::Message });
                }
            }
        }
        for queue in store.queues_seen() {
            let Some(peer) = seen.number_of(&queue.destination) else { continue };
            let key = (domain, peer, queue.lane);
            let (numbered, kept) = seen.queues.get(&key).copied().unwrap_or_default();
            let (stream, life) = (StreamId::from_bytes(queue.lane.stream), number(queue.lane.incarnation));
            let mut last = numbered;
            for (seq, id) in queue.rows.iter().filter(|(seq, _)| seq.0 > numbered) {
                last = last.max(seq.0);
                let id = id_of(id.as_bytes());
                seen.tell(Event::Numbered {
                    origin: domain,
                    destination: peer,
                    stream,
                    life,
                    seq: seq.0,
                    id,
                    at,
                });
            }
            let through = queue.acknowledged.0;
            if through > kept {
                seen.tell(Event::Kept { origin: domain, destination: peer, stream, life, through, at });
            } else if through < kept {
                seen.tell(Event::Rewound { origin: domain, destination: peer, stream, life, to: through });
            }
            if queue.rows.iter().all(|(seq, _)| seq.0 <= through) {
                // What waited has another number in a later life.
                last = through;
            }
            seen.queues.insert(key, (last, through));
        }
    }
}

/// Lives are told apart by when they began.
const fn number(life: Incarnation) -> u64 {
    life.time().as_millis()
}

impl Seen {
    fn at(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn number_of(&self, name: &Domain) -> Option<DomainNo> {
        self.names.iter().position(|known| known == name)
    }

    /// What a domain has numbered so far, for whomever.
    fn numbered_by(&self, domain: DomainNo) -> impl Iterator<Item = Id> + '_ {
        self.history.iter().filter_map(move |event| match event {
            Event::Numbered { origin, id, .. } if *origin == domain => Some(*id),
            _ => None,
        })
    }

    fn tell(&mut self, event: Event) {
        let at = self.at();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{at:>8}   {event:?}"));
        }
        self.history.push(event);
    }
}
