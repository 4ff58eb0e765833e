//! What a peer has of our rows is compared with what we heard: the driver's part of it.

use qpq_core::Seq;
use qpq_federation_proto::{Failure, Finding, PeerHead, StopReason, reconcile};

use super::{
    disk::Job,
    links::CALL_MS,
    node::LIMITS,
    world::{Due, Letter, World},
};
use crate::history::DomainNo;

/// A question on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    /// Over which link; none yet: it waits for one.
    over: Option<u64>,
    /// Its answer came, and what follows is being stored.
    answered: bool,
}

impl World {
    /// Asks the peer for its heads as soon as there is a link.
    pub(crate) fn ask_heads(&mut self, domain: DomainNo, peer: DomainNo) {
        let Some(way) = self.way(domain, peer) else { return };
        way.question = Some(Question { over: None, answered: false });
        if way.link.is_none() {
            return self.dial(domain, peer);
        }
        self.put_question(domain, peer);
    }

    /// A link is up: a question that waits goes out.
    pub(crate) fn put_question(&mut self, domain: DomainNo, peer: DomainNo) {
        let boot = self.nodes.get(domain).map_or(0, |node| node.boot);
        let Some(way) = self.way(domain, peer) else { return };
        let (Some(session), Some(question)) = (way.link, &mut way.question) else { return };
        if question.over.is_some() {
            return;
        }
        question.over = Some(session);
        self.send(domain, peer, Letter::AskHeads { session, boot });
        self.after(CALL_MS, Due::AskEnds { domain, boot, peer, asked: session });
    }

    pub(crate) fn ask_ends(&mut self, domain: DomainNo, boot: u64, peer: DomainNo, asked: u64) {
        let waits = |question: Question| !question.answered && question.over == Some(asked);
        if self.is_boot(domain, boot)
            && self.way(domain, peer).is_some_and(|way| way.question.is_some_and(waits))
        {
            self.lost(domain, peer, asked);
        }
    }

    /// A link broke, or the answer didn't come over it: another one is tried.
    pub(crate) fn question_lost(&mut self, domain: DomainNo, peer: DomainNo, session: u64) {
        let now = self.clock(domain);
        let Some(process) = self.nodes.get_mut(domain).and_then(|node| node.up.as_mut()) else { return };
        let Some(way) = process.ways.get_mut(&peer) else { return };
        let Some(question) = &mut way.question else { return };
        if question.answered || question.over != Some(session) {
            return;
        }
        if way.link.is_some_and(|link| link != session) {
            question.over = None;
            return self.put_question(domain, peer);
        }
        way.question = None;
        way.outbox.handle_not_reconciled(Failure::Unreachable, now, self.dice.entropy());
    }

    /// A peer asks which of its rows are here.
    pub(crate) fn tell_heads(&mut self, domain: DomainNo, origin: DomainNo, boot: u64) {
        let Some(node) = self.nodes.get(domain) else { return };
        let known = node.disk.positions.iter().filter(|((from, _), _)| *from == origin);
        let head = |((_, stream), at): (&(DomainNo, _), &_)| PeerHead {
            stream: *stream,
            at: *at,
            backed_up: Seq::ZERO,
        };
        let heads = known.map(head).collect();
        self.send(domain, origin, Letter::Heads { boot, heads });
    }

    /// The peer's heads: what follows from them is stored before anything else goes out.
    pub(crate) fn heads_come(&mut self, domain: DomainNo, peer: DomainNo, boot: u64, heads: &[PeerHead]) {
        let now = self.clock(domain);
        let Some(node) = self.nodes.get_mut(domain).filter(|node| node.boot == boot) else { return };
        let (life, lanes) = (node.life, node.disk.lanes(peer));
        let Some(way) = node.up.as_mut().and_then(|process| process.ways.get_mut(&peer)) else { return };
        let Some(question) = way.question.as_mut().filter(|question| !question.answered) else { return };
        let findings = reconcile(life, &lanes, heads);
        let doubted = findings.iter().any(|finding| matches!(finding, Finding::Doubt { .. }));
        let lost = findings.iter().any(|finding| match finding {
            Finding::Rewind { lane, to, .. } => {
                lanes.iter().any(|known| known.lane == *lane && known.accepted > *to)
            }
            Finding::Confirm { .. }
            | Finding::Finished { .. }
            | Finding::BackedUp { .. }
            | Finding::Doubt { .. } => false,
        });
        let wait = way.outbox.replay_in(now).filter(|_| lost);
        let failure = match wait {
            // Honest peers have nothing to prove here, and the hostile one can't.
            _ if doubted => Some(Failure::Refused(StopReason::UnprovenClaim)),
            Some(retry_after) => Some(Failure::Overloaded { retry_after }),
            None => None,
        };
        if let Some(failure) = failure {
            way.question = None;
            way.outbox.handle_not_reconciled(failure, now, self.dice.entropy());
            return self.pump(domain, peer);
        }
        question.answered = true;
        self.queue(domain, Job::Reconcile { peer, findings });
    }

    /// What followed from the peer's heads is durable, or is not.
    pub(crate) fn reconciled(&mut self, domain: DomainNo, peer: DomainNo, replayed: Option<bool>) {
        let now = self.clock(domain);
        let waiting = self.nodes.get(domain).map(|node| node.disk.waiting(peer)).unwrap_or_default();
        let Some(way) = self.way(domain, peer) else { return };
        way.question = None;
        match replayed {
            Some(replayed) => {
                let all = waiting.len() <= LIMITS.streams;
                let heads = waiting.into_iter().take(LIMITS.streams);
                way.outbox.handle_reconciled(heads, all, replayed, now);
            }
            None => way.outbox.handle_not_compared(now),
        }
        self.pump(domain, peer);
    }
}
