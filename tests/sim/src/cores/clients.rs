//! Users of the domains: they hand in messages and commits, and ask again until they have an answer.

use qpq_core::{DeviceAddress, Digest, MessageId, Millis};
use qpq_delivery::ordering::{Answer, Submitted};

use super::{
    disk::{Job, Message, Offer},
    world::{Due, Letter, World},
};
use crate::history::{DomainNo, Event, GroupNo, Id};

/// Ids of commits come from their own range: a commit that is made anew is another one.
const COMMITS: Id = 1 << 32;
/// A client without an answer asks again after this time.
const PATIENCE_MS: u64 = 10_000;
/// A client gives a commit up after so many lost races.
const MOST_RACES: u64 = 6;

/// What a client wants.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Want {
    /// To send a message, which may expire.
    Message { group: GroupNo, ttl: Option<Millis> },
    /// To commit, with a Welcome for somebody at a domain.
    Commit { group: GroupNo, invites: DomainNo },
    /// To send something to a peer outside of any group.
    Note { peer: DomainNo },
}

/// One client and its one wish.
#[derive(Debug)]
pub(crate) struct Client {
    domain: DomainNo,
    want: Want,
    id: Id,
    /// Races that its commit has lost; each makes it another commit.
    lost: u64,
    /// The epoch from which the present commit starts, once it is made.
    epoch: Option<u64>,
    done: bool,
}

impl Client {
    pub(crate) const fn new(domain: DomainNo, want: Want, id: Id) -> Self {
        Self { domain, want, id, lost: 0, epoch: None, done: false }
    }

    const fn commit_id(&self) -> Id {
        COMMITS.saturating_add(self.id.saturating_mul(MOST_RACES + 1)).saturating_add(self.lost)
    }
}

impl World {
    /// A client acts, if it has anything left to do.
    pub(crate) fn client_acts(&mut self, no: usize) {
        let Some(client) = self.clients.get(no).filter(|client| !client.done) else { return };
        let (domain, want, id) = (client.domain, client.want, client.id);
        let wait = self.dice.between(PATIENCE_MS, 2 * PATIENCE_MS);
        self.after(wait, Due::Client(no));
        if self.nodes.get(domain).is_none_or(|node| node.up.is_none()) {
            return;
        }
        match want {
            Want::Message { group, ttl } => {
                self.queue(domain, Job::Accept { client: no, message: Message { group, id, ttl } });
            }
            Want::Note { peer } => self.queue(domain, Job::Note { client: no, peer, id }),
            Want::Commit { group, invites } => self.offer(no, domain, group, invites),
        }
    }

    fn offer(&mut self, no: usize, domain: DomainNo, group: GroupNo, invites: DomainNo) {
        let known = self.nodes.get(domain).and_then(|node| node.disk.groups.get(&group));
        let known = known.map_or(0, |group| group.epoch);
        let (Some(client), Some(device)) = (self.clients.get_mut(no), self.devices.get(domain)) else {
            return;
        };
        let device = device.clone();
        let epoch = *client.epoch.get_or_insert(known);
        let id = client.commit_id();
        let offer = Offer { group, id, submitted: submitted(device, id, epoch), invites };
        let hub = self.setting.hubs.get(group).copied().unwrap_or(domain);
        if hub == domain {
            self.commit_comes(domain, offer, domain, no);
        } else {
            self.send(domain, hub, Letter::Commit { offer, client: no });
        }
    }

    /// Its domain was restored: users offer again what they had handed in, since no backup may hold it.
    pub(crate) fn clients_offer_again(&mut self, domain: DomainNo) {
        let mut again = Vec::new();
        for (no, client) in self.clients.iter_mut().enumerate() {
            let is_sent = client.done && matches!(client.want, Want::Message { .. } | Want::Note { .. });
            if client.domain == domain && is_sent {
                client.done = false;
                again.push(no);
            }
        }
        for no in again {
            let wait = self.dice.between(1_000, 20_000);
            self.after(wait, Due::Client(no));
        }
    }

    /// A client hears that its message is safe.
    pub(crate) fn client_accepted(&mut self, no: usize) {
        let Some(client) = self.clients.get_mut(no).filter(|client| !client.done) else { return };
        client.done = true;
        if let Want::Message { group, .. } = client.want {
            let (domain, id) = (client.domain, client.id);
            self.tell(Event::Accepted { domain, group, id });
        }
    }

    /// A client hears what became of its commit.
    pub(crate) fn client_committed(&mut self, no: usize, id: Id, answer: &Answer) {
        let Some(client) = self.clients.get_mut(no) else { return };
        let Want::Commit { group, .. } = client.want else { return };
        if client.done || client.commit_id() != id {
            return;
        }
        match answer {
            Answer::Accepted { .. } => {
                client.done = true;
                let epoch = client.epoch.unwrap_or(0);
                self.tell(Event::Granted { group, epoch, id });
            }
            Answer::WrongEpoch { .. } => {
                client.lost = client.lost.saturating_add(1);
                client.epoch = None;
                client.done = client.lost >= MOST_RACES;
            }
            // The same commit is offered again.
            Answer::Refused(_) | Answer::NotStored => {}
        }
    }
}

fn submitted(device: DeviceAddress, id: Id, epoch: u64) -> Submitted {
    let mut bytes = [0; 16];
    for (byte, part) in bytes.iter_mut().zip(id.to_be_bytes()) {
        *byte = part;
    }
    let digest = Digest::from_bytes([bytes[7]; 32]);
    Submitted { sender: device, id: MessageId::from_bytes(bytes), digest, epoch }
}
