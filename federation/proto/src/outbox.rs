//! The outbox core, one per peer: decides what is sent next, when after a failure, and what counts as kept.
//!
//! It holds heads (where each stream stands) and what is in flight, never payloads. A driver performs its
//! [`Action`]s and reports back:
//!
//! 1. [`Action::Send`]: load the rows of the cuts, dial if need be, say [`Outbox::handle_sent`] (or
//!    [`Outbox::handle_not_sent`] when loading failed), make the call, and end it by [`Outbox::handle_answers`] or
//!    [`Outbox::handle_failed`].
//! 2. [`Action::MarkKept`]: one transaction, then [`Outbox::handle_stored`] or [`Outbox::handle_not_stored`]. A
//!    stream sends on only afterwards, so the first row of a batch tells the receiver which of its answers are
//!    recorded here for good.
//! 3. [`Outbox::poll_timeout`] says when [`Outbox::handle_timeout`] is due.
//!
//! What holds, whatever the network does: order per stream, never a hole; one batch in flight per stream; nothing is
//! marked kept before the peer said that it is stored; memory is bounded by [`OutboxLimits`].

mod budget;
mod clock;
mod state;
mod status;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use qpq_core::{Digest, Domain, Entropy, Millis, Seq, Timestamp};

pub use budget::CallBudget;
pub use state::{
    Action, Alarm, Bounce, CallId, Cut, Failure, Kept, OutboxLimits, Sent, StallReason, StoreId, StreamHead,
};
pub use status::{PeerQueueStatus, QueueState};

use crate::{
    answer::{Refusal, StreamAnswer},
    backoff::{Cause, FIRST, SavedLink, StopReason, wait},
    planted::{Bug, active},
    stream::StreamId,
};
use state::{Call, Link, Phase, Store, Stream};

/// Trouble of our own (the database) is tried again after this time.
const LOCAL_RETRY: Millis = Millis::from_secs(1);

/// The queue towards one peer.
#[derive(Debug)]
pub struct Outbox {
    peer: Domain,
    limits: OutboxLimits,
    link: Link,
    streams: BTreeMap<StreamId, Stream>,
    calls: BTreeMap<CallId, Call>,
    stores: BTreeMap<StoreId, Store>,
    actions: VecDeque<Action>,
    /// The stream after which the next call begins, so that no stream starves.
    cursor: Option<StreamId>,
    /// There are streams with waiting rows in storage that didn't fit.
    untracked: Untracked,
    /// Our database couldn't be read: nothing is sent before this time.
    paused_until: Option<Timestamp>,
    cleared_at: Option<Timestamp>,
    /// The time when it was asked about time-outs last.
    looked_at: Timestamp,
    next_id: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Untracked {
    None,
    Some,
    Loading,
}

impl Outbox {
    /// Takes the queue up from storage: the heads that have rows waiting, and the state of the link. Nothing is
    /// truncated; `heads` beyond [`OutboxLimits::streams`] are asked for again later.
    pub fn resume(
        peer: Domain,
        limits: OutboxLimits,
        saved: SavedLink,
        heads: impl IntoIterator<Item = StreamHead>,
        now: Timestamp,
    ) -> Self {
        let mut outbox = Self {
            peer,
            limits,
            link: Link::restore(saved, now),
            streams: BTreeMap::new(),
            calls: BTreeMap::new(),
            stores: BTreeMap::new(),
            actions: VecDeque::new(),
            cursor: None,
            untracked: Untracked::None,
            paused_until: None,
            cleared_at: None,
            looked_at: now,
            next_id: 0,
        };
        if !active(Bug::TruncatedAtStart) {
            heads.into_iter().for_each(|head| outbox.handle_enqueued(head));
        }
        outbox
    }

    /// Rows were committed; `head` is the stream as that transaction left it. A head that is older than what the
    /// core knows costs nothing, one that comes late costs a batch that the peer has already.
    pub fn handle_enqueued(&mut self, head: StreamHead) {
        if head.last <= head.accepted {
            return;
        }
        let room = self.streams.len() < self.limits.streams;
        match self.streams.get_mut(&head.stream) {
            Some(stream) => stream.last = stream.last.max(head.last),
            None if room => {
                self.streams.insert(head.stream, Stream::idle(&head));
            }
            None => self.untracked = Untracked::Some,
        }
    }

    /// The answer to [`Action::LoadHeads`]: heads with rows waiting, and whether these were all.
    pub fn handle_heads(&mut self, heads: impl IntoIterator<Item = StreamHead>, all: bool) {
        self.untracked = if all { Untracked::None } else { Untracked::Some };
        heads.into_iter().for_each(|head| self.handle_enqueued(head));
    }

    /// The rows of a call were loaded and go out now, over a link that is up. Streams of the call that are not
    /// named here had nothing to load within the budget and wait for the next call.
    pub fn handle_sent(&mut self, call: CallId, sent: &[Sent], now: Timestamp) {
        let Some(open) = self.calls.get_mut(&call) else { return };
        let named: BTreeMap<StreamId, &Sent> = sent.iter().map(|sent| (sent.stream, sent)).collect();
        for stream in std::mem::take(&mut open.streams) {
            match (self.streams.get_mut(&stream), named.get(&stream)) {
                (Some(state), Some(sent)) if sent.last > state.accepted && sent.last <= state.last => {
                    state.phase = Phase::InFlight { last: sent.last, chain: sent.chain };
                    open.streams.insert(stream);
                }
                (Some(state), Some(_) | None) => state.phase = Phase::Idle,
                (None, Some(_) | None) => {}
            }
        }
        if open.streams.is_empty() {
            self.handle_not_sent(call, now);
        }
    }

    /// The rows of a call couldn't be loaded: our own trouble, not the peer's.
    pub fn handle_not_sent(&mut self, call: CallId, now: Timestamp) {
        if self.end_call(call).is_some() {
            self.paused_until = Some(now.after(LOCAL_RETRY));
        }
    }

    /// The peer answered a call. A stream without an answer, or with one that can't be true of an honest peer, is sent
    /// again after a backoff.
    pub fn handle_answers(
        &mut self,
        call: CallId,
        answers: Vec<(StreamId, StreamAnswer)>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) {
        let Some(open) = self.end_call(call) else { return };
        let mut answers: BTreeMap<StreamId, StreamAnswer> = answers.into_iter().collect();
        let mut store = Store::default();
        let mut outcome = Outcome::Healthy;
        for (id, sent) in open {
            let read = match answers.remove(&id) {
                Some(answer) => self.read_answer(id, sent, answer, now, &mut store),
                None => Outcome::Nonsense,
            };
            outcome = outcome.max(read);
        }
        if !store.kept.is_empty() {
            let id = StoreId(self.next_id());
            for kept in &store.kept {
                if let Some(stream) = self.streams.get_mut(&kept.stream) {
                    stream.phase = Phase::Settling;
                }
            }
            self.actions.push_back(store.action(id));
            self.stores.insert(id, store);
        }
        match outcome {
            Outcome::Healthy => self.recovered(),
            Outcome::Nonsense => self.back_off(Cause::Nonsense, Millis(0), now, entropy),
            Outcome::Stop(reason) => self.handle_stopped(reason, now),
        }
    }

    /// A call failed as a whole.
    pub fn handle_failed(
        &mut self,
        call: CallId,
        failure: Failure,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) {
        if self.end_call(call).is_none() {
            return;
        }
        match failure {
            Failure::Unreachable => self.back_off(Cause::Unreachable, Millis(0), now, entropy),
            Failure::Overloaded { retry_after } => {
                self.back_off(Cause::Overloaded, retry_after, now, entropy);
            }
            Failure::Refused(reason) => self.handle_stopped(reason, now),
        }
    }

    /// What a [`Action::MarkKept`] asked for is durable.
    pub fn handle_stored(&mut self, id: StoreId) {
        let Some(store) = self.stores.remove(&id) else { return };
        for kept in store.kept {
            let Some(stream) = self.streams.get_mut(&kept.stream) else { continue };
            stream.accepted = stream.accepted.max(kept.through);
            stream.chain = kept.chain;
            stream.phase = Phase::Idle;
            if stream.accepted >= stream.last {
                self.streams.remove(&kept.stream);
            }
        }
        let half = self.limits.streams.checked_div(2).unwrap_or(0);
        if self.untracked == Untracked::Some && self.streams.len() <= half {
            self.untracked = Untracked::Loading;
            self.actions.push_back(Action::LoadHeads { limit: self.limits.streams });
        }
    }

    /// It is not: the transaction failed, and is asked for again.
    pub fn handle_not_stored(&mut self, id: StoreId, now: Timestamp) {
        if let Some(store) = self.stores.get_mut(&id) {
            store.retry_at = Some(now.after(LOCAL_RETRY));
        }
    }

    /// The peer was heard from over an authenticated link: a backoff because it was unreachable ends (at most once per
    /// 15 s), and so does a stop that *it* had pronounced. What it asked for by `overloaded` is still obeyed.
    pub fn handle_peer_spoke(&mut self, now: Timestamp) {
        if active(Bug::ContactIgnored) || self.cleared_at.is_some_and(|at| now.since(at) < FIRST && now >= at)
        {
            return;
        }
        match self.link {
            Link::BackingOff { cause: Cause::Unreachable, .. } => {}
            Link::Stopped { reason } if reason.is_the_peers() => {}
            Link::Ready { .. } | Link::BackingOff { .. } | Link::Stopped { .. } => return,
        }
        self.cleared_at = Some(now);
        self.set_link(Link::Ready { failures: 0 });
    }

    /// The peer is stopped: by its claims in `hello`, by its answers, or by the admin. Rows stay and wait.
    pub fn handle_stopped(&mut self, reason: StopReason, _now: Timestamp) {
        if matches!(self.link, Link::Stopped { reason: old } if old == reason) {
            return;
        }
        self.actions.push_back(Action::Alarm(Alarm::Stopped(reason)));
        self.set_link(Link::Stopped { reason });
    }

    /// The admin acted (peered again, allowed, released): everything that was held goes on.
    pub fn handle_released(&mut self) {
        for stream in self.streams.values_mut() {
            if matches!(stream.phase, Phase::Stalled { .. }) {
                stream.phase = Phase::Idle;
            }
        }
        if matches!(self.link, Link::Stopped { .. } | Link::BackingOff { .. }) {
            self.set_link(Link::Ready { failures: 0 });
        }
    }

    /// Time has passed; cheap, and harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.follow_clock(now);
        if let Link::BackingOff { failures, until, .. } = self.link
            && until <= now
        {
            self.link = Link::Ready { failures };
        }
        self.paused_until = self.paused_until.filter(|until| *until > now);
        for stream in self.streams.values_mut() {
            if matches!(stream.phase, Phase::Held { until } if until <= now) {
                stream.phase = Phase::Idle;
            }
        }
        for (id, store) in &mut self.stores {
            if store.retry_at.is_some_and(|at| at <= now) {
                store.retry_at = None;
                self.actions.push_back(store.action(*id));
            }
        }
    }

    /// When [`Outbox::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let link = match self.link {
            Link::BackingOff { until, .. } => Some(until),
            Link::Ready { .. } | Link::Stopped { .. } => None,
        };
        let held = self.streams.values().filter_map(|stream| match stream.phase {
            Phase::Held { until } => Some(until),
            Phase::Idle
            | Phase::Loading
            | Phase::InFlight { .. }
            | Phase::Settling
            | Phase::Stalled { .. } => None,
        });
        let stores = self.stores.values().filter_map(|store| store.retry_at);
        link.into_iter().chain(self.paused_until).chain(held).chain(stores).min()
    }

    /// The next thing to do, if there is any now.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front().or_else(|| self.next_call())
    }

    /// How many streams, calls and transactions it holds at once: never more than its limits' streams and calls.
    pub fn held(&self) -> usize {
        self.streams.len().saturating_add(self.calls.len()).saturating_add(self.stores.len())
    }

    /// Who the queue is for.
    pub const fn peer(&self) -> &Domain {
        &self.peer
    }

    fn next_call(&mut self) -> Option<Action> {
        let Link::Ready { failures } = self.link else { return None };
        // After a failure one call finds out whether the peer is back.
        let most = if failures > 0 { 1 } else { self.limits.calls };
        let busy = self.calls.len().saturating_add(self.stores.len());
        if busy >= most || self.paused_until.is_some() {
            return None;
        }
        let ready = |(id, stream): (&StreamId, &Stream)| stream.is_ready().then(|| stream.cut(*id));
        let after = self.streams.iter().filter(|(id, _)| self.cursor.is_none_or(|cursor| **id > cursor));
        let before = self.streams.iter().filter(|(id, _)| self.cursor.is_some_and(|cursor| **id <= cursor));
        let cuts: Vec<Cut> =
            after.chain(before).filter_map(ready).take(self.limits.streams_per_call).collect();
        self.cursor = cuts.last()?.stream.into();
        let call = CallId(self.next_id());
        let mut streams = BTreeSet::new();
        for cut in &cuts {
            if let Some(stream) = self.streams.get_mut(&cut.stream) {
                stream.phase = Phase::Loading;
                streams.insert(cut.stream);
            }
        }
        self.calls.insert(call, Call { streams });
        Some(Action::Send { call, cuts })
    }

    /// Takes a call off the list; its streams are idle again. Returns what each had in flight.
    fn end_call(&mut self, call: CallId) -> Option<Vec<(StreamId, InFlight)>> {
        let streams = self.calls.remove(&call)?.streams;
        let mut ended = Vec::with_capacity(streams.len());
        for id in streams {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            if let Phase::InFlight { last, chain } = stream.phase {
                ended.push((id, InFlight { last, chain }));
            }
            stream.phase = Phase::Idle;
        }
        Some(ended)
    }

    fn read_answer(
        &mut self,
        id: StreamId,
        sent: InFlight,
        answer: StreamAnswer,
        now: Timestamp,
        store: &mut Store,
    ) -> Outcome {
        let Some(stream) = self.streams.get_mut(&id) else { return Outcome::Healthy };
        match answer {
            // It would have applied rows that we never numbered.
            StreamAnswer::Applied { through, .. } if through > stream.last => {
                Outcome::Stop(StopReason::UnprovenClaim)
            }
            // Batches are applied whole or not at all.
            StreamAnswer::Applied { through, .. } if through < sent.last => Outcome::Nonsense,
            StreamAnswer::Applied { through, chain, refusals } => {
                let theirs = (through == sent.last).then_some(chain);
                if let (Some(ours), Some(theirs)) = (sent.chain, theirs)
                    && ours != theirs
                {
                    return Outcome::Stop(StopReason::ChainDiffers);
                }
                let reach = if active(Bug::AckOneTooMany) { sent.last.next() } else { sent.last };
                store.kept.push(Kept { stream: id, through: reach, chain: sent.chain.or(theirs) });
                let known = |refusal: &Refusal| refusal.seq > stream.accepted && refusal.seq <= sent.last;
                store.bounces.extend(refusals.into_iter().filter(known).map(|refusal| Bounce {
                    stream: id,
                    seq: refusal.seq,
                    ack: refusal.ack,
                }));
                Outcome::Healthy
            }
            StreamAnswer::ExpectSeq(next) if next <= stream.accepted => {
                stream.phase = Phase::Stalled { reason: StallReason::PeerLostRows { wants: next } };
                self.actions.push_back(Action::Alarm(Alarm::Stalled {
                    stream: id,
                    reason: StallReason::PeerLostRows { wants: next },
                }));
                Outcome::Healthy
            }
            StreamAnswer::ExpectSeq(next) if next > stream.last.next() => {
                Outcome::Stop(StopReason::UnprovenClaim)
            }
            StreamAnswer::ExpectSeq(_) => Outcome::Nonsense,
            StreamAnswer::ChainDiffers { .. } => Outcome::Stop(StopReason::ChainDiffers),
            StreamAnswer::NotNow { retry_after } => {
                stream.phase = Phase::Held { until: now.after(retry_after.max(LOCAL_RETRY)) };
                Outcome::Healthy
            }
        }
    }

    fn recovered(&mut self) {
        match self.link {
            Link::Ready { failures: 0 }
            | Link::BackingOff { cause: Cause::Overloaded, .. }
            | Link::Stopped { .. } => {}
            Link::Ready { .. } | Link::BackingOff { .. } => self.set_link(Link::Ready { failures: 0 }),
        }
    }

    fn back_off(&mut self, cause: Cause, at_least: Millis, now: Timestamp, entropy: &mut dyn Entropy) {
        let failures = match self.link {
            Link::Stopped { .. } => return,
            // Several calls that end together are one failure.
            Link::BackingOff { failures, .. } => failures,
            Link::Ready { failures } => failures.saturating_add(1),
        };
        let until = now.after(wait(failures, entropy).max(at_least));
        let (until, cause) = match self.link {
            Link::BackingOff { until: known, cause, .. } if known >= until => (known, cause),
            Link::BackingOff { .. } | Link::Ready { .. } | Link::Stopped { .. } => (until, cause),
        };
        self.set_link(Link::BackingOff { failures, until, cause });
    }

    fn set_link(&mut self, link: Link) {
        if self.link != link {
            self.link = link;
            self.actions.push_back(Action::SaveLink(link.saved()));
        }
    }

    const fn next_id(&mut self) -> u64 {
        self.next_id = self.next_id.saturating_add(1);
        self.next_id
    }
}

/// What a call had on its way for one stream.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    last: Seq,
    chain: Option<Digest>,
}

/// What the answers of a call say about the peer; the worst counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Healthy,
    Nonsense,
    Stop(StopReason),
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
