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
//! 3. [`Action::GiveUp`]: the same with a row that the peer can't read.
//! 4. [`Action::AskHeads`]: the peer has lost rows or knows more than we heard of. The driver asks it, acts on what
//!    [`crate::reconcile`] finds, and says [`Outbox::handle_reconciled`] with the heads as they are then. Nothing is sent
//!    meanwhile. With each link the driver says by [`Outbox::handle_claims`] whether that is necessary.
//! 5. [`Outbox::poll_timeout`] says when [`Outbox::handle_timeout`] is due.
//!
//! What holds, whatever the network does: order per stream, never a hole; one batch in flight per stream; nothing is
//! marked kept before the peer said that it is stored; memory is bounded by [`OutboxLimits`].

mod answers;
mod budget;
mod clock;
mod comparing;
mod pace;
mod state;
mod status;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use qpq_core::{Digest, Domain, Entropy, Millis, Seq, Timestamp, limits};

pub use budget::CallBudget;
pub use pace::Pace;
pub use state::{Action, Bounce, CallId, Cut, Failure, Kept, OutboxLimits, Sent, StoreId, StreamHead};
pub use status::{PeerQueueStatus, QueueState};

use crate::{
    backoff::{Cause, FIRST, SavedLink, StopReason, retry_wait},
    planted::{Bug, active},
    stream::{Lane, StreamId},
};
use state::{Call, Heads, Link, Phase, Store, Stream, What};

/// Trouble of our own (the database) is tried again after this time.
const LOCAL_RETRY: Millis = Millis::from_secs(1);

/// The queue towards one peer.
#[derive(Debug)]
pub struct Outbox {
    peer: Domain,
    limits: OutboxLimits,
    link: Link,
    streams: BTreeMap<Lane, Stream>,
    calls: BTreeMap<CallId, Call>,
    stores: BTreeMap<StoreId, Store>,
    actions: VecDeque<Action>,
    /// The lane after which the next call begins, so that no stream starves.
    cursor: Option<Lane>,
    heads: Heads,
    /// How often the peer's answers had to be compared with what is known, since rows of ours were last taken.
    doubts: u32,
    /// When rows that the peer had lost were last made to wait again.
    replayed_at: Option<Timestamp>,
    /// There are streams with waiting rows in storage that didn't fit.
    untracked: Untracked,
    /// An admin told the queue to wait.
    paused: bool,
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
            heads: Heads::Agreed,
            doubts: 0,
            replayed_at: None,
            untracked: Untracked::None,
            paused: false,
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
        // A lane that doesn't fit may be older than this one, and then goes first.
        let room = self.streams.len() < self.limits.streams && self.untracked == Untracked::None;
        match self.streams.get_mut(&head.lane) {
            Some(stream) => stream.last = stream.last.max(head.last),
            None if room => {
                self.streams.insert(head.lane, Stream::idle(&head));
            }
            None if self.untracked == Untracked::None => self.untracked = Untracked::Some,
            None => {}
        }
    }

    /// The answer to [`Action::LoadHeads`]: heads with rows waiting, and whether these were all.
    pub fn handle_heads(&mut self, heads: impl IntoIterator<Item = StreamHead>, all: bool) {
        self.untracked = Untracked::None;
        heads.into_iter().for_each(|head| self.handle_enqueued(head));
        self.untracked = if all { self.untracked } else { Untracked::Some };
    }

    /// The rows of a call were loaded and go out now, over a link that is up. Streams of the call that are not
    /// named here had nothing to load within the budget and wait for the next call.
    pub fn handle_sent(&mut self, call: CallId, sent: &[Sent], now: Timestamp) {
        let Some(open) = self.calls.get_mut(&call) else { return };
        let named: BTreeMap<Lane, &Sent> = sent.iter().map(|sent| (sent.lane, sent)).collect();
        let incarnation = open.incarnation;
        for stream in std::mem::take(&mut open.streams) {
            let lane = Lane { incarnation, stream };
            match (self.streams.get_mut(&lane), named.get(&lane)) {
                (Some(state), Some(sent)) if sent.last > state.accepted => {
                    // Rows that were committed since the core last heard of the stream are loaded with the others.
                    state.last = state.last.max(sent.last);
                    state.phase = Phase::InFlight { last: sent.last, rows: sent.rows, chain: sent.chain };
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

    /// The call is not made after all, through nobody's fault: a link has come up over which the peer says something that
    /// must be looked at first.
    pub fn handle_put_back(&mut self, call: CallId) {
        self.end_call(call);
    }

    /// The rows of a call couldn't be loaded: our own trouble, not the peer's.
    pub fn handle_not_sent(&mut self, call: CallId, now: Timestamp) {
        if self.end_call(call).is_some() {
            self.paused_until = Some(now.after(LOCAL_RETRY));
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
        let Some(open) = self.end_call(call) else { return };
        match failure {
            Failure::Malformed => self.search(&open, now, entropy),
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
        let kept = match store.what {
            What::Kept { kept, .. } => kept,
            What::GivenUp { lane, .. } => {
                if let Some(stream) = self.streams.get_mut(&lane) {
                    stream.phase = Phase::Idle;
                }
                return;
            }
        };
        for kept in kept {
            let Some(stream) = self.streams.get_mut(&kept.lane) else { continue };
            stream.accepted = stream.accepted.max(kept.through);
            stream.chain = kept.chain;
            stream.phase = Phase::Idle;
            stream.readable();
            if stream.accepted >= stream.last {
                self.streams.remove(&kept.lane);
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
        self.actions.push_back(Action::Alarm(reason));
        self.set_link(Link::Stopped { reason });
    }

    /// The admin told the queue to wait, or to go on. Rows are accepted all the same; what is on its way ends as it does.
    pub fn handle_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// An admin wants it tried now: as [`Outbox::handle_released`], and rows that the peer has lost may be sent again at once.
    pub fn handle_retry(&mut self) {
        self.replayed_at = None;
        self.handle_released();
    }

    /// The admin acted (peered again, allowed, released): everything that was held goes on.
    pub fn handle_released(&mut self) {
        self.doubts = 0;
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
            Phase::Idle | Phase::Loading | Phase::InFlight { .. } | Phase::Settling => None,
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
        if self.paused || self.paused_until.is_some() {
            return None;
        }
        let busy = self.calls.len().saturating_add(self.stores.len());
        match self.heads {
            Heads::Doubted if busy == 0 => {
                self.heads = Heads::Asked;
                return Some(Action::AskHeads);
            }
            Heads::Doubted | Heads::Asked => return None,
            Heads::Agreed => {}
        }
        // After a failure one call finds out whether the peer is back.
        let most = if failures > 0 { 1 } else { self.limits.calls };
        if busy >= most {
            return None;
        }
        let cuts = self.next_cuts();
        let last = cuts.last()?.lane;
        self.cursor = Some(last);
        let call = CallId(self.next_id());
        let mut streams = BTreeSet::new();
        for cut in &cuts {
            if let Some(stream) = self.streams.get_mut(&cut.lane) {
                stream.phase = Phase::Loading;
                streams.insert(cut.lane.stream);
            }
        }
        let incarnation = last.incarnation;
        self.calls.insert(call, Call { incarnation, streams });
        Some(Action::Send { call, incarnation, cuts })
    }

    /// What goes into the next call: lanes of one life, or one alone that the peer couldn't read with others.
    fn next_cuts(&self) -> Vec<Cut> {
        let after = self.streams.iter().filter(|(lane, _)| self.cursor.is_none_or(|cursor| **lane > cursor));
        let before =
            self.streams.iter().filter(|(lane, _)| self.cursor.is_some_and(|cursor| **lane <= cursor));
        let mut ready = after
            .chain(before)
            .filter(|(lane, stream)| stream.is_ready() && !self.is_behind(**lane))
            .peekable();
        let Some((first, stream)) = ready.next() else { return Vec::new() };
        let mut cuts = vec![stream.cut(*first, stream.at_most)];
        if stream.is_suspect() {
            return cuts;
        }
        let beside = ready
            .filter(|(lane, stream)| lane.incarnation == first.incarnation && !stream.is_suspect())
            .map(|(lane, stream)| stream.cut(*lane, limits::BATCH_ITEMS));
        cuts.extend(beside.take(self.limits.streams_per_call.saturating_sub(1)));
        cuts
    }

    /// Whether an older life's rows of the same stream go first.
    fn is_behind(&self, lane: Lane) -> bool {
        let mut older = self.streams.keys().next().map(|first| first.incarnation);
        while let Some(incarnation) = older.filter(|older| *older < lane.incarnation) {
            if self.streams.contains_key(&Lane { incarnation, stream: lane.stream }) {
                return true;
            }
            let last = Lane { incarnation, stream: StreamId::from_bytes([0xff; 16]) };
            let beyond = (std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded);
            older = self.streams.range(beyond).next().map(|(lane, _)| lane.incarnation);
        }
        false
    }

    /// Takes a call off the list; its streams are idle again. Returns what each had in flight.
    fn end_call(&mut self, call: CallId) -> Option<Vec<(Lane, InFlight)>> {
        let Call { incarnation, streams } = self.calls.remove(&call)?;
        let mut ended = Vec::with_capacity(streams.len());
        for stream in streams {
            let lane = Lane { incarnation, stream };
            let Some(state) = self.streams.get_mut(&lane) else { continue };
            if let Phase::InFlight { last, rows, chain } = state.phase {
                ended.push((lane, InFlight { last, rows, chain }));
            }
            state.phase = Phase::Idle;
        }
        Some(ended)
    }

    fn begin_store(&mut self, what: What) {
        let id = StoreId(self.next_id());
        let store = Store { what, retry_at: None };
        self.actions.push_back(store.action(id));
        self.stores.insert(id, store);
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
        let until = now.after(retry_wait(failures, entropy).max(at_least));
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
    rows: usize,
    chain: Option<Digest>,
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
