//! One search: which question comes next, and which targets come out.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use qpq_core::{Domain, Entropy};

use super::{
    Answer, FEDERATION_PORT, Forbidden, Heard, LookupFailure, PrivateTargets, Question, Service, Target,
    Undiscovered, service::ordered,
};
use crate::address::{FederationAddress, Host};

/// Targets that come out of a search.
const TARGETS: usize = 4;
/// Addresses of one host, where an SRV record names several hosts.
const EACH: usize = 2;
/// Hosts of SRV records that are looked up.
const HOSTS: usize = 4;

/// Which IP versions our socket can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Families {
    /// Of a socket that is bound to this address; `[::]` is open for both.
    pub const fn of(local: IpAddr) -> Self {
        match local {
            IpAddr::V4(_) => Self { v4: true, v6: false },
            IpAddr::V6(address) => Self { v4: address.is_unspecified(), v6: true },
        }
    }

    const fn has(self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        }
    }
}

/// What a search wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask this, and tell it with [`Search::handle_answer`].
    Ask(Question),
    /// It is over.
    Done(Result<Vec<Target>, Undiscovered>),
}

/// The search for one domain.
#[derive(Debug)]
pub struct Search {
    domain: Domain,
    private: PrivateTargets,
    families: Families,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The record names a host.
    Host {
        host: Domain,
        port: u16,
    },
    /// Whether there are SRV records.
    Service,
    /// The hosts of SRV records, first the one to ask about.
    Hosts(Hosts),
    /// There is no SRV record: the domain itself is the host.
    Apex,
    Done(Result<Vec<Target>, Undiscovered>),
}

/// Hosts of SRV records.
#[derive(Debug)]
struct Hosts {
    asked: (Domain, u16),
    left: VecDeque<(Domain, u16)>,
    each: usize,
    found: Vec<Target>,
    /// The first thing that was wrong.
    trouble: Option<Undiscovered>,
}

impl Search {
    /// Begins. `known` is the address in the domain's record, which an admin answers for; `private` is said of what DNS
    /// says.
    pub fn new(
        domain: Domain,
        known: Option<&FederationAddress>,
        private: PrivateTargets,
        families: Families,
    ) -> Self {
        let Some(known) = known else { return Self { domain, private, families, state: State::Service } };
        let mut search = Self { domain, private: PrivateTargets::Allowed, families, state: State::Service };
        search.state = match known.place() {
            Host::Name(host) => State::Host { host: host.clone(), port: known.port() },
            Host::Address(address) => {
                let target = Target { address: SocketAddr::new(*address, known.port()), host: None };
                State::Done(if families.has(*address) {
                    Ok(vec![target])
                } else {
                    Err(Undiscovered::OtherFamily { host: address.to_string() })
                })
            }
        };
        search
    }

    /// What comes next.
    pub fn step(&self) -> Step {
        match &self.state {
            State::Host { host, .. } => Step::Ask(Question::Addresses(host.clone())),
            State::Service => Step::Ask(Question::Service(self.domain.clone())),
            State::Hosts(hosts) => Step::Ask(Question::Addresses(hosts.asked.0.clone())),
            State::Apex => Step::Ask(Question::Addresses(self.domain.clone())),
            State::Done(found) => Step::Done(found.clone()),
        }
    }

    /// Takes the answer to the question of [`Self::step`].
    pub fn handle_answer(&mut self, heard: &Heard, entropy: &mut dyn Entropy) {
        let state = std::mem::replace(&mut self.state, State::Apex);
        self.state = match state {
            State::Host { host, port } => State::Done(self.targets(&host, port, &heard.answer, TARGETS)),
            State::Service => self.service(&heard.answer, entropy),
            State::Hosts(hosts) => self.host(hosts, &heard.answer),
            State::Apex => State::Done(self.apex(&heard.answer)),
            State::Done(found) => State::Done(found),
        };
    }

    fn service(&self, answer: &Answer, entropy: &mut dyn Entropy) -> State {
        match answer {
            Answer::Services(services) => self.services(services, entropy),
            Answer::Nothing => State::Apex,
            // Who can break the answer about SRV must not choose for us that there is none.
            Answer::Failed(failure) => State::Done(Err(self.lookup(*failure))),
            Answer::Addresses(_) => State::Done(Err(self.lookup(LookupFailure::Malformed))),
        }
    }

    fn services(&self, services: &[Service], entropy: &mut dyn Entropy) -> State {
        let offered: Vec<Service> = services
            .iter()
            .filter(|service| service.target.is_some() && service.port != 0)
            .cloned()
            .collect();
        let order = ordered(offered, entropy);
        let mut left: VecDeque<(Domain, u16)> = order
            .into_iter()
            .filter_map(|service| Some((service.target?, service.port)))
            .take(HOSTS)
            .collect();
        let each = if left.len() > 1 { EACH } else { TARGETS };
        match left.pop_front() {
            None => State::Done(Err(Undiscovered::NotOffered { domain: self.domain.clone() })),
            Some(asked) => State::Hosts(Hosts { asked, left, each, found: Vec::new(), trouble: None }),
        }
    }

    fn host(&self, mut hosts: Hosts, answer: &Answer) -> State {
        let (host, port) = &hosts.asked;
        match self.targets(host, *port, answer, hosts.each) {
            Ok(targets) => hosts.found.extend(targets),
            Err(trouble) => hosts.trouble = hosts.trouble.or(Some(trouble)),
        }
        if hosts.found.len() < TARGETS
            && let Some(next) = hosts.left.pop_front()
        {
            hosts.asked = next;
            return State::Hosts(hosts);
        }
        hosts.found.truncate(TARGETS);
        State::Done(match hosts.trouble {
            Some(trouble) if hosts.found.is_empty() => Err(trouble),
            _ => Ok(hosts.found),
        })
    }

    fn apex(&self, answer: &Answer) -> Result<Vec<Target>, Undiscovered> {
        let found = self.targets(&self.domain, FEDERATION_PORT, answer, TARGETS);
        if let Err(Undiscovered::NoAddress { host }) = &found {
            return Err(Undiscovered::NoRecords { domain: host.clone() });
        }
        found
    }

    /// The addresses of a host that may be dialled, IPv6 and IPv4 in turn.
    fn targets(
        &self,
        host: &Domain,
        port: u16,
        answer: &Answer,
        most: usize,
    ) -> Result<Vec<Target>, Undiscovered> {
        let lookup = |failure| Undiscovered::Lookup { question: Question::Addresses(host.clone()), failure };
        let addresses = match answer {
            Answer::Addresses(addresses) => addresses,
            Answer::Nothing => return Err(Undiscovered::NoAddress { host: host.clone() }),
            Answer::Failed(failure) => return Err(lookup(*failure)),
            Answer::Services(_) => return Err(lookup(LookupFailure::Malformed)),
        };
        let (refused, allowed) = self.sort(addresses);
        let dialable: Vec<IpAddr> =
            allowed.iter().copied().filter(|address| self.families.has(*address)).collect();
        match (dialable.is_empty(), allowed.is_empty(), refused) {
            (true, true, Some((address, reason))) => {
                Err(Undiscovered::Refused { host: host.clone(), address, reason })
            }
            (true, true, None) => Err(Undiscovered::NoAddress { host: host.clone() }),
            (true, false, _) => Err(Undiscovered::OtherFamily { host: host.to_string() }),
            (false, ..) => Ok(alternating(&dialable)
                .take(most)
                .map(|address| Target { address: SocketAddr::new(address, port), host: Some(host.clone()) })
                .collect()),
        }
    }

    /// The first address that is refused, and those that aren't.
    fn sort(&self, addresses: &[IpAddr]) -> (Option<(IpAddr, Forbidden)>, Vec<IpAddr>) {
        let (mut refused, mut allowed) = (None, Vec::new());
        for address in addresses {
            match self.private.judge(*address) {
                Ok(()) if !allowed.contains(address) => allowed.push(*address),
                Ok(()) => {}
                Err(reason) => refused = refused.or(Some((*address, reason))),
            }
        }
        (refused, allowed)
    }

    fn lookup(&self, failure: LookupFailure) -> Undiscovered {
        Undiscovered::Lookup { question: Question::Service(self.domain.clone()), failure }
    }
}

/// IPv6 and IPv4 in turn, so that one that is broken costs one attempt.
fn alternating(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let (v6, v4): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| address.is_ipv6());
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    std::iter::from_fn(move || match (v6.next(), v4.next()) {
        (None, None) => None,
        (one, other) => Some([one, other]),
    })
    .flatten()
    .flatten()
}
