//! The ways from a domain to its peers: the driver around each outbox core, one link, and what comes in over it.

use std::collections::{BTreeMap, VecDeque};

use qpq_core::{Incarnation, Millis, Timestamp, limits};
use qpq_federation_proto::{
    Action, Batch, BatchDigest, CallBudget, CallId, Cut, Failure, Hello, HelloVerdict, Lane, Outbox, Peer,
    PeerState, Policy, Presented, Sent, StreamAnswer, StreamId, TrustedClaims, VersionRange, dial_that_stays,
    heads_digest, judge_link,
};

use super::{
    disk::{Job, Judged},
    heads::Question,
    world::{CallKey, Due, Letter, Proof, World},
};
use crate::{
    bug::Bug,
    history::{DomainNo, Event},
};

const VERSIONS: VersionRange = VersionRange { min: 1, max: 1 };
/// No answer to a relay call for so long: the peer is unreachable.
pub(super) const CALL_MS: u64 = 20_000;
/// No answer to a dial for so long.
const DIAL_MS: u64 = 8_000;
/// A peer that was never heard from since the start is dialled again within this time.
const GREET_MS: u64 = 60_000;
/// A call whose link broke is made so often again over another one.
const ATTEMPTS: u8 = 3;
/// A peer whose store failed is asked again after this time.
const NOT_STORED: Millis = Millis::from_secs(1);

/// The way to one peer.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) outbox: Outbox,
    /// The link that calls go over.
    pub(super) link: Option<u64>,
    /// Links beside it, which take over when it breaks.
    others: Vec<u64>,
    /// The link that is being dialled.
    dialling: Option<u64>,
    /// Calls that wait for a link.
    pending: VecDeque<(CallId, Vec<Cut>)>,
    /// Calls on their way.
    open: BTreeMap<CallId, Open>,
    /// The peer has been heard from since the process began. Until then it is dialled again: one of the two may have been
    /// restored, and nobody would find out while nothing is to be sent.
    greeted: bool,
    /// The question which of our rows the peer has.
    pub(super) question: Option<Question>,
    /// When the outbox wants to be woken, and by which timer.
    timer: Option<(u64, u64)>,
    timers: u64,
}

/// A call on its way.
#[derive(Debug, Clone)]
struct Open {
    session: u64,
    life: Incarnation,
    batches: Vec<Batch>,
    attempts: u8,
}

impl Way {
    pub(crate) const fn new(outbox: Outbox) -> Self {
        Self {
            outbox,
            link: None,
            others: Vec::new(),
            dialling: None,
            pending: VecDeque::new(),
            open: BTreeMap::new(),
            greeted: false,
            question: None,
            timer: None,
            timers: 0,
        }
    }
}

impl World {
    pub(crate) fn way(&mut self, domain: DomainNo, peer: DomainNo) -> Option<&mut Way> {
        self.nodes.get_mut(domain)?.up.as_mut()?.ways.get_mut(&peer)
    }

    /// Rows were committed for a peer.
    pub(crate) fn filled(&mut self, domain: DomainNo, peer: DomainNo, lane: Lane) {
        let Some(head) = self.nodes.get(domain).and_then(|node| node.disk.head(peer, lane)) else { return };
        if let Some(way) = self.way(domain, peer) {
            way.outbox.handle_enqueued(head);
        }
        self.pump(domain, peer);
    }

    /// Performs what the outbox core decides, until it has nothing to do now.
    pub(crate) fn pump(&mut self, domain: DomainNo, peer: DomainNo) {
        let now = self.clock(domain);
        if let Some(way) = self.way(domain, peer) {
            way.outbox.handle_timeout(now);
        }
        while let Some(action) = self.way(domain, peer).and_then(|way| way.outbox.poll_action()) {
            match action {
                Action::Send { call, cuts, .. } => self.load(domain, peer, call, cuts),
                Action::GiveUp { .. } => self.alarm(domain, peer, "it can't read a row".to_owned()),
                Action::AskHeads => self.ask_heads(domain, peer),
                Action::MarkKept { store, kept, .. } => self.queue(domain, Job::Keep { peer, store, kept }),
                Action::LoadHeads { limit } => {
                    let heads =
                        self.nodes.get(domain).map(|node| node.disk.waiting(peer)).unwrap_or_default();
                    let all = heads.len() <= limit;
                    if let Some(way) = self.way(domain, peer) {
                        way.outbox.handle_heads(heads.into_iter().take(limit), all);
                    }
                }
                Action::SaveLink(link) => self.queue(domain, Job::SaveLink { peer, link }),
                Action::Alarm(alarm) => self.alarm(domain, peer, format!("{alarm:?}")),
            }
            let held = self.way(domain, peer).map_or(0, |way| way.outbox.held());
            if let Some(node) = self.nodes.get_mut(domain) {
                node.most_held.0 = node.most_held.0.max(held);
            }
        }
        self.set_timer(domain, peer, now);
    }

    fn set_timer(&mut self, domain: DomainNo, peer: DomainNo, now: Timestamp) {
        let (at, boot) = (self.now, self.nodes.get(domain).map_or(0, |node| node.boot));
        let Some(way) = self.way(domain, peer) else { return };
        let Some(until) = way.outbox.poll_timeout() else {
            way.timer = None;
            return;
        };
        let wait = until.since(now).0.max(1);
        let wanted = at.saturating_add(wait);
        if way.timer.is_some_and(|(known, _)| known == wanted) {
            return;
        }
        way.timers = way.timers.saturating_add(1);
        way.timer = Some((wanted, way.timers));
        let timer = way.timers;
        self.after(wait, Due::Timer { domain, boot, peer, timer });
    }

    pub(crate) fn timer(&mut self, domain: DomainNo, boot: u64, peer: DomainNo, timer: u64) {
        if !self.is_boot(domain, boot) {
            return;
        }
        let Some(way) = self.way(domain, peer) else { return };
        if way.timer.is_some_and(|(_, current)| current == timer) {
            way.timer = None;
            self.pump(domain, peer);
        }
    }

    pub(super) fn is_boot(&self, domain: DomainNo, boot: u64) -> bool {
        self.nodes.get(domain).is_some_and(|node| node.boot == boot && node.up.is_some())
    }

    /// Loads the rows of a call and sends them, over a link that is up.
    pub(crate) fn load(&mut self, domain: DomainNo, peer: DomainNo, call: CallId, cuts: Vec<Cut>) {
        let now = self.clock(domain);
        let Some(way) = self.way(domain, peer) else { return };
        if way.outbox.must_compare() {
            way.outbox.handle_put_back(call);
            return self.pump(domain, peer);
        }
        let Some(session) = way.link else {
            way.pending.push_back((call, cuts));
            return self.dial(domain, peer);
        };
        let Some(life) = cuts.first().map(|cut| cut.lane.incarnation) else { return };
        let Some(batches) = self.rows(domain, peer, &cuts, now) else {
            return self.queue(domain, Job::Expire { peer, call, cuts });
        };
        let sent: Vec<Sent> = batches
            .iter()
            .map(|batch| Sent {
                lane: Lane { incarnation: life, stream: batch.stream() },
                last: batch.last(),
                rows: batch.rows().len(),
                chain: batch.chain_after(),
            })
            .collect();
        let Some(way) = self.way(domain, peer) else { return };
        way.outbox.handle_sent(call, &sent, now);
        if batches.is_empty() {
            return self.pump(domain, peer);
        }
        self.relay(domain, peer, call, Open { session, life, batches, attempts: 0 });
    }

    fn relay(&mut self, domain: DomainNo, peer: DomainNo, call: CallId, open: Open) {
        let Some(node) = self.nodes.get(domain) else { return };
        let (boot, life, session) = (node.boot, open.life, open.session);
        let (key, batches) = (CallKey { boot, call: Some(call) }, open.batches.clone());
        if let Some(way) = self.way(domain, peer) {
            way.open.insert(call, open);
        }
        self.send(domain, peer, Letter::Relay { session, call: key, life, batches, proof: Proof::Honest });
        self.after(CALL_MS, Due::CallEnds { domain, boot, peer, call, session });
    }

    /// The rows of a call, as many as fit; nothing if some of them must expire first.
    fn rows(&self, domain: DomainNo, peer: DomainNo, cuts: &[Cut], now: Timestamp) -> Option<Vec<Batch>> {
        let disk = &self.nodes.get(domain)?.disk;
        let (mut budget, mut batches) = (CallBudget::of(limits::BATCH_BYTES), Vec::with_capacity(cuts.len()));
        for cut in cuts {
            let Some(queue) = disk.queues.get(&(peer, cut.lane)) else { continue };
            let from = usize::try_from(cut.from.0.saturating_sub(1)).unwrap_or(usize::MAX);
            let most = self.plan.rows.min(cut.max_rows);
            let mut rows = Vec::new();
            for stored in queue.rows.iter().skip(from).take(most) {
                if stored.expires_at.is_some_and(|end| end <= now) {
                    return None;
                }
                if budget.admits(stored.row.payload.len()) {
                    let mut row = stored.row.clone();
                    row.ttl = stored.expires_at.map(|end| end.since(now));
                    rows.push(row);
                }
            }
            batches.extend(Batch::new(cut.lane.stream, cut.before, rows));
        }
        Some(batches)
    }

    /// Dials, unless there is a link or one is being dialled.
    pub(crate) fn dial(&mut self, domain: DomainNo, peer: DomainNo) {
        let session = self.sessions.saturating_add(1);
        let Some(hello) = self.hello(domain, peer).map(Box::new) else { return };
        let boot = self.nodes.get(domain).map_or(0, |node| node.boot);
        let Some(process) = self.nodes.get_mut(domain).and_then(|node| node.up.as_mut()) else { return };
        let Some(way) = process.ways.get_mut(&peer).filter(|way| way.dialling.is_none()) else { return };
        way.dialling = Some(session);
        process.sessions.insert(session);
        self.sessions = session;
        self.send(domain, peer, Letter::Hello { session, hello });
        self.after(DIAL_MS, Due::DialEnds { domain, boot, peer, session });
    }

    pub(crate) fn hello(&self, domain: DomainNo, peer: DomainNo) -> Option<Hello> {
        let node = self.nodes.get(domain)?;
        let heads = node.disk.positions.iter().filter(|((from, _), _)| *from == peer);
        let (streams, heads) = heads_digest(heads.map(|((_, stream), at)| (*stream, *at)));
        let trusted = TrustedClaims {
            incarnation: node.life,
            yours: node.disk.known.get(&peer).copied(),
            streams,
            heads,
            clock: self.clock(domain),
        };
        let domain = self.names.get(domain)?.clone();
        Some(Hello { versions: VERSIONS, features: Vec::new(), domain, trusted: Some(trusted) })
    }

    pub(crate) fn dial_ends(&mut self, domain: DomainNo, boot: u64, peer: DomainNo, session: u64) {
        if !self.is_boot(domain, boot) {
            return;
        }
        if self.way(domain, peer).is_some_and(|way| way.dialling == Some(session)) {
            self.dial_failed(domain, peer, Failure::Unreachable);
            if self.way(domain, peer).is_some_and(|way| !way.greeted) {
                let wait = self.dice.between(GREET_MS / 2, GREET_MS);
                self.after(wait, Due::Greets { domain, boot, peer });
            }
        }
    }

    /// The peer has still not been heard from, perhaps.
    pub(crate) fn greets(&mut self, domain: DomainNo, boot: u64, peer: DomainNo) {
        if self.is_boot(domain, boot) && self.way(domain, peer).is_some_and(|way| !way.greeted) {
            self.dial(domain, peer);
        }
    }

    fn dial_failed(&mut self, domain: DomainNo, peer: DomainNo, failure: Failure) {
        let now = self.clock(domain);
        let Some(node) = self.nodes.get_mut(domain) else { return };
        let Some(way) = node.up.as_mut().and_then(|process| process.ways.get_mut(&peer)) else { return };
        way.dialling = None;
        if way.link.is_some() && !matches!(failure, Failure::Refused(_)) {
            // It dialled us meanwhile.
            return;
        }
        way.link = None;
        way.others.clear();
        for (call, _) in std::mem::take(&mut way.pending) {
            way.outbox.handle_failed(call, failure, now, self.dice.entropy());
        }
        if way.question.take().is_some() {
            way.outbox.handle_not_reconciled(failure, now, self.dice.entropy());
        }
        if let Failure::Refused(reason) = failure {
            way.outbox.handle_stopped(reason, now);
        }
        self.pump(domain, peer);
    }

    /// A link broke, or its end is not there any more: its calls go over another one, or have failed.
    pub(super) fn lost(&mut self, domain: DomainNo, peer: DomainNo, session: u64) {
        let now = self.clock(domain);
        let Some(process) = self.nodes.get_mut(domain).and_then(|node| node.up.as_mut()) else { return };
        process.sessions.remove(&session);
        let Some(way) = process.ways.get_mut(&peer) else { return };
        way.others.retain(|other| *other != session);
        way.link = way.link.filter(|link| *link != session).or_else(|| way.others.pop());
        let another = way.link;
        let lost: Vec<CallId> =
            way.open.iter().filter(|(_, open)| open.session == session).map(|(call, _)| *call).collect();
        let mut again = Vec::new();
        for call in lost {
            let Some(open) = way.open.remove(&call) else { continue };
            match another {
                Some(session) if open.attempts < ATTEMPTS => {
                    let attempts = open.attempts.saturating_add(1);
                    again.push((call, Open { session, attempts, ..open }));
                }
                Some(_) | None => {
                    way.outbox.handle_failed(call, Failure::Unreachable, now, self.dice.entropy());
                }
            }
        }
        for (call, open) in again {
            self.relay(domain, peer, call, open);
        }
        self.question_lost(domain, peer, session);
        self.pump(domain, peer);
    }

    pub(crate) fn call_ends(
        &mut self,
        domain: DomainNo,
        boot: u64,
        peer: DomainNo,
        call: CallId,
        session: u64,
    ) {
        if self.is_boot(domain, boot)
            && self
                .way(domain, peer)
                .is_some_and(|way| way.open.get(&call).is_some_and(|open| open.session == session))
        {
            self.lost(domain, peer, session);
        }
    }

    /// Something arrives at an honest domain.
    pub(crate) fn hears(&mut self, domain: DomainNo, from: DomainNo, letter: Letter) {
        let Some(process) = self.nodes.get_mut(domain).and_then(|node| node.up.as_mut()) else { return };
        match letter {
            Letter::Hello { session, hello } => {
                // A dial that the network repeats is one dial.
                if process.sessions.insert(session) && !self.judge_hello(domain, from, session, &hello) {
                    self.send(domain, from, Letter::Refused { session });
                }
            }
            Letter::Welcome { session, hello } => {
                let way = process.ways.get(&from);
                if way.is_some_and(|way| way.dialling == Some(session)) {
                    self.judge_hello(domain, from, session, &hello);
                }
            }
            Letter::Refused { session } => {
                let way = process.ways.get(&from);
                if way.is_some_and(|way| way.dialling == Some(session)) {
                    let refused = Failure::Refused(qpq_federation_proto::StopReason::RefusedByPeer);
                    self.dial_failed(domain, from, refused);
                }
            }
            Letter::Relay { session, call, life, batches, proof } => {
                if !process.sessions.contains(&session) {
                    return self.send(domain, from, Letter::Gone { session });
                }
                self.relay_comes(domain, from, session, call, life, batches, &proof);
            }
            Letter::AskHeads { session, boot } => {
                if !process.sessions.contains(&session) {
                    return self.send(domain, from, Letter::Gone { session });
                }
                self.tell_heads(domain, from, boot);
            }
            Letter::Heads { boot, heads } => self.heads_come(domain, from, boot, &heads),
            Letter::Answer { session, call, answers } => self.answered(domain, from, session, call, answers),
            Letter::Commit { offer, client } => self.commit_comes(domain, offer, from, client),
            Letter::Committed { client, id, answer } => self.client_committed(client, id, &answer),
            Letter::Gone { session } => self.lost(domain, from, session),
        }
    }

    /// Judges an introduction; `false`: the peer was stopped.
    fn judge_hello(&mut self, domain: DomainNo, from: DomainNo, session: u64, hello: &Hello) -> bool {
        let now = self.clock(domain);
        let Some(name) = self.names.get(from) else { return false };
        let trusted = judge_link(name, Presented::Trusted, Some(PeerState::Allowed), Policy::AllowListed);
        let (Ok(trusted), Some(node)) = (trusted, self.nodes.get(domain)) else { return false };
        let mut peer = Peer::new(trusted, node.disk.known.get(&from).copied());
        let verdict = peer.handle_hello(hello, node.life, VERSIONS, now);
        let heard = heads_digest(node.disk.heard_of(from).into_iter());
        if let (HelloVerdict::Welcome { .. }, Some(claims)) = (&verdict, &hello.trusted) {
            let agree = heard == (claims.streams, claims.heads);
            if let Some(way) = self.way(domain, from) {
                way.outbox.handle_claims(agree);
            }
        }
        match verdict {
            HelloVerdict::Welcome { remember: Some(life), .. } => {
                self.queue(domain, Job::Remember { peer: from, life, session });
            }
            HelloVerdict::Welcome { remember: None, .. } => self.remembered(domain, from, session),
            HelloVerdict::Stop(reason) => {
                if let Some(way) = self.way(domain, from) {
                    way.outbox.handle_stopped(reason, now);
                }
                self.dial_failed(domain, from, Failure::Refused(reason));
                return false;
            }
        }
        true
    }

    /// The peer's incarnation is known durably: its link may be used.
    pub(crate) fn remembered(&mut self, domain: DomainNo, peer: DomainNo, session: u64) {
        let (now, at) = (self.clock(domain), self.now);
        let ours = match (self.names.get(domain), self.names.get(peer)) {
            (Some(ours), Some(theirs)) => dial_that_stays(ours, theirs) == ours,
            (_, _) => false,
        };
        let Some(way) = self.way(domain, peer) else { return };
        let dialled = way.dialling == Some(session);
        if dialled {
            way.dialling = None;
        }
        // Of two that crossed the one that stays is used; the other's calls end over it.
        if way.link.is_none() || dialled == ours {
            way.others.extend(way.link.replace(session));
        } else {
            way.others.push(session);
        }
        way.greeted = true;
        way.outbox.handle_peer_spoke(now);
        let pending = std::mem::take(&mut way.pending);
        if !dialled && let Some(hello) = self.hello(domain, peer).map(Box::new) {
            self.send(domain, peer, Letter::Welcome { session, hello });
        }
        // An introduction that was long on its way may be of a process that is gone.
        if self.healed && self.nodes.get(peer).is_some_and(|node| node.up.is_some()) {
            self.tell(Event::Contact { domain, from: peer, at });
        }
        for (call, cuts) in pending {
            self.load(domain, peer, call, cuts);
        }
        self.put_question(domain, peer);
        self.pump(domain, peer);
    }

    #[expect(clippy::too_many_arguments, reason = "a relay call as it came, taken apart")]
    fn relay_comes(
        &mut self,
        domain: DomainNo,
        from: DomainNo,
        session: u64,
        call: CallKey,
        life: Incarnation,
        batches: Vec<Batch>,
        proof: &Proof,
    ) {
        if let Proof::Signed(header) = proof {
            let (Some(origin), Some(us)) = (self.names.get(from), self.names.get(domain)) else { return };
            let key = self.hostile.as_ref().map(super::hostile::Hostile::key);
            let digests: Vec<BatchDigest> = batches.iter().map(BatchDigest::of).collect();
            if key.is_none_or(|key| header.verify(origin, us, &key, &digests).is_err()) {
                return self.send(domain, from, Letter::Answer { session, call, answers: None });
            }
        }
        let judged = if self.bug == Some(Bug::DedupOutside) {
            let known = self.nodes.get(domain).into_iter().flat_map(|node| &node.disk.positions);
            let known = known.filter(|((origin, _), _)| *origin == from);
            Judged::Before(known.map(|((_, stream), position)| (*stream, *position)).collect())
        } else {
            Judged::Inside
        };
        self.queue(domain, Job::Relay { from, session, call, life, batches, judged });
    }

    /// A relay call is durable, or failed: its answer goes out.
    pub(crate) fn relayed(
        &mut self,
        domain: DomainNo,
        from: DomainNo,
        session: u64,
        call: CallKey,
        answers: Option<Vec<(StreamId, StreamAnswer)>>,
    ) {
        self.send(domain, from, Letter::Answer { session, call, answers });
    }

    fn answered(
        &mut self,
        domain: DomainNo,
        from: DomainNo,
        session: u64,
        CallKey { boot, call }: CallKey,
        answers: Option<Vec<(StreamId, StreamAnswer)>>,
    ) {
        let now = self.clock(domain);
        let Some(node) = self.nodes.get_mut(domain).filter(|node| node.boot == boot) else { return };
        let Some(way) = node.up.as_mut().and_then(|process| process.ways.get_mut(&from)) else { return };
        let Some(call) = call.filter(|call| way.open.get(call).is_some_and(|open| open.session == session))
        else {
            return;
        };
        way.open.remove(&call);
        if let Some(answers) = answers {
            way.outbox.handle_answers(call, answers, now, self.dice.entropy());
        } else {
            let failure = Failure::Overloaded { retry_after: NOT_STORED };
            way.outbox.handle_failed(call, failure, now, self.dice.entropy());
        }
        self.pump(domain, from);
    }
}
