//! The hub's side of commits: `delivery`'s ordering core with its driver. A caller that goes away leaves its write in
//! the queue; the next commit gets an ordering of its own, and the store's compare-and-set decides between the two.

use std::collections::BTreeMap;

use qpq_delivery::ordering::{Action, Ordering, Outcome, Recorded, Ticket};

use super::{
    disk::{Job, Offer},
    world::{Letter, World},
};
use crate::{
    bug::Bug,
    faults::Fault,
    history::{DomainNo, GroupNo},
};

/// The ordering of one group, as long as somebody waits for it.
#[derive(Debug)]
pub(crate) struct Order {
    attempt: u64,
    core: Ordering<Offer>,
    offers: BTreeMap<Ticket, (Offer, DomainNo, usize)>,
}

impl World {
    /// A commit reaches the hub, for a client at `from`.
    pub(crate) fn commit_comes(&mut self, hub: DomainNo, offer: Offer, from: DomainNo, client: usize) {
        let Some(node) = self.nodes.get_mut(hub) else { return };
        let epoch = node.disk.groups.get(&offer.group).map_or(0, |group| group.epoch);
        let now = node.life.time();
        let recorded = node.disk.commits.get(&offer.id).map(|(digest, seq)| Recorded {
            digest: *digest,
            seq: *seq,
            at: now,
        });
        let Some(process) = &mut node.up else { return };
        let attempt = process.attempts.saturating_add(1);
        process.attempts = attempt;
        let order = process.orders.entry(offer.group).or_insert_with(|| Order {
            attempt,
            core: Ordering::at(epoch),
            offers: BTreeMap::new(),
        });
        let group = offer.group;
        let ticket = order.core.handle_commit(offer.submitted.clone(), recorded);
        order.offers.insert(ticket, (offer, from, client));
        self.go_on(hub, group);
    }

    /// What became of a write of an ordering; of one that nobody holds any more nothing follows.
    pub(crate) fn stored(&mut self, hub: DomainNo, group: GroupNo, attempt: u64, outcome: Outcome) {
        let Some(order) = self.order(hub, group).filter(|order| order.attempt == attempt) else { return };
        order.core.handle_stored(outcome);
        self.go_on(hub, group);
    }

    fn order(&mut self, hub: DomainNo, group: GroupNo) -> Option<&mut Order> {
        self.nodes.get_mut(hub)?.up.as_mut()?.orders.get_mut(&group)
    }

    fn go_on(&mut self, hub: DomainNo, group: GroupNo) {
        while let Some(order) = self.order(hub, group) {
            let attempt = order.attempt;
            let Some(action) = order.core.poll_action() else { break };
            match action {
                Action::Check { ticket } => {
                    let Some((offer, ..)) = order.offers.get(&ticket).cloned() else { break };
                    order.core.handle_checked(Ok(offer.clone()));
                    if self.bug == Some(Bug::LosersWelcome) {
                        self.queue(hub, Job::Invite { offer });
                    }
                }
                Action::Store { staged, .. } => {
                    self.queue(hub, Job::Commit { attempt, offer: staged });
                    if !self.healed && self.dice.per_mille(self.plan.gone) {
                        self.counts.add(Fault::CallerGone);
                        self.forget(hub, group);
                    }
                }
                Action::Reload => {
                    let epoch = self.nodes.get(hub).and_then(|node| node.disk.groups.get(&group));
                    let epoch = epoch.map_or(0, |group| group.epoch);
                    if let Some(order) = self.order(hub, group) {
                        order.core.handle_reloaded(epoch);
                    }
                }
                Action::Answer { ticket, answer } => {
                    let Some((offer, from, client)) = order.offers.remove(&ticket) else { continue };
                    if from == hub {
                        self.client_committed(client, offer.id, &answer);
                    } else {
                        self.send(hub, from, Letter::Committed { client, id: offer.id, answer });
                    }
                }
            }
        }
        if self.order(hub, group).is_some_and(|order| order.core.is_idle()) {
            self.forget(hub, group);
        }
    }

    fn forget(&mut self, hub: DomainNo, group: GroupNo) {
        if let Some(process) = self.nodes.get_mut(hub).and_then(|node| node.up.as_mut()) {
            process.orders.remove(&group);
        }
    }
}
