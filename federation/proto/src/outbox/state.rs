//! What the outbox core says and remembers.

use std::collections::BTreeSet;

use qpq_core::{Digest, Millis, Seq, Timestamp, limits};

use crate::{
    answer::RowAck,
    backoff::{Cause, SavedLink, StopReason},
    stream::StreamId,
};

/// Names a call from [`Action::Send`] to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(crate) u64);

/// Names a transaction from [`Action::MarkKept`] to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub(crate) u64);

/// How much the core tracks and asks for at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Streams tracked; further ones stay in storage until some are done.
    pub streams: usize,
    /// Calls on their way to the peer at once.
    pub calls: usize,
    /// Streams in one call.
    pub streams_per_call: usize,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self { streams: 4_096, calls: 4, streams_per_call: limits::RELAY_STREAMS }
    }
}

/// Where a stream stands in storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHead {
    /// Which stream.
    pub stream: StreamId,
    /// The last row that the peer has stored.
    pub accepted: Seq,
    /// The chain after that row, if it was kept; [`Digest::ZERO`] before the first row is known anyway.
    pub chain: Option<Digest>,
    /// The last row.
    pub last: Seq,
}

/// Rows to load for one stream of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Which stream.
    pub stream: StreamId,
    /// The first row.
    pub from: Seq,
    /// The chain before it, for [`crate::Batch::new`].
    pub before: Option<Digest>,
    /// At most this many rows; [`crate::CallBudget`] bounds the call as a whole.
    pub max_rows: usize,
}

/// What one stream's batch turned out to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Which stream.
    pub stream: StreamId,
    /// The last row ([`crate::Batch::last`]).
    pub last: Seq,
    /// The chain after it ([`crate::Batch::chain_after`]).
    pub chain: Option<Digest>,
}

/// Rows that the peer has stored: acknowledged, but not forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Which stream.
    pub stream: StreamId,
    /// Up to and including this row.
    pub through: Seq,
    /// The chain after it.
    pub chain: Option<Digest>,
}

/// A row that the peer refused: its sender gets a failure event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounce {
    /// Which stream.
    pub stream: StreamId,
    /// Which row.
    pub seq: Seq,
    /// Why.
    pub ack: RowAck,
}

/// Why a call failed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The peer couldn't be dialled, or didn't answer in time: try later.
    Unreachable,
    /// The peer, or what we know of it, says that it may not be sent to: stop and show it.
    Refused(StopReason),
    /// The peer asks for time: obey.
    Overloaded {
        /// How much.
        retry_after: Millis,
    },
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Load these rows and send them in one call, in the order of the cuts, as far as the budget reaches.
    Send {
        /// The call's name.
        call: CallId,
        /// What to load.
        cuts: Vec<Cut>,
    },
    /// Note in one transaction what the peer has stored, and give the bounces to their senders.
    MarkKept {
        /// The transaction's name.
        store: StoreId,
        /// What the peer has.
        kept: Vec<Kept>,
        /// What it refused.
        bounces: Vec<Bounce>,
    },
    /// Read the heads of the streams that have rows waiting, at most `limit`, and answer by `handle_heads`.
    LoadHeads {
        /// How many.
        limit: usize,
    },
    /// Store the link's state; nobody waits for it.
    SaveLink(SavedLink),
    /// Tell the admin.
    Alarm(Alarm),
}

/// What an admin must see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// Nothing is sent to the peer until somebody acts.
    Stopped(StopReason),
    /// One stream waits until somebody acts; the others go on.
    Stalled {
        /// Which stream.
        stream: StreamId,
        /// Why.
        reason: StallReason,
    },
}

/// Why one stream waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StallReason {
    /// The peer asks for rows again that it had acknowledged: was an older backup restored over there?
    PeerLostRows {
        /// The row that it wants.
        wants: Seq,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Calls may go out; after failures one at a time.
    Ready { failures: u32 },
    /// Not before `until`.
    BackingOff { failures: u32, until: Timestamp, cause: Cause },
    /// Not until somebody acts.
    Stopped { reason: StopReason },
}

impl Link {
    pub(super) fn restore(saved: SavedLink, now: Timestamp) -> Self {
        match (saved.stopped, saved.retry_at) {
            (Some(reason), _) => Self::Stopped { reason },
            (None, Some(until)) if until > now => {
                // A clock that was set back must not silence the peer.
                let until = until.min(now.after(crate::backoff::LONGEST));
                Self::BackingOff { failures: saved.failures, until, cause: Cause::Unreachable }
            }
            (None, Some(_) | None) => Self::Ready { failures: saved.failures },
        }
    }

    pub(super) const fn saved(self) -> SavedLink {
        match self {
            Self::Ready { failures } => SavedLink { failures, retry_at: None, stopped: None },
            Self::BackingOff { failures, until, .. } => {
                SavedLink { failures, retry_at: Some(until), stopped: None }
            }
            Self::Stopped { reason } => SavedLink { failures: 0, retry_at: None, stopped: Some(reason) },
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) accepted: Seq,
    pub(super) chain: Option<Digest>,
    pub(super) last: Seq,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    /// May go into the next call.
    Idle,
    /// In a call whose rows are being loaded.
    Loading,
    /// In a call on its way; rows up to `last`.
    InFlight { last: Seq, chain: Option<Digest> },
    /// The peer has the rows; noting that is on its way.
    Settling,
    /// The peer asked for time for this stream.
    Held { until: Timestamp },
    /// Waits for somebody to act.
    Stalled { reason: StallReason },
}

impl Stream {
    pub(super) fn idle(head: &StreamHead) -> Self {
        let chain = if head.accepted == Seq::ZERO { Some(Digest::ZERO) } else { head.chain };
        Self { accepted: head.accepted, chain, last: head.last, phase: Phase::Idle }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Idle) && self.last > self.accepted
    }

    pub(super) const fn cut(&self, stream: StreamId) -> Cut {
        Cut { stream, from: self.accepted.next(), before: self.chain, max_rows: limits::BATCH_ITEMS }
    }

    pub(super) const fn waiting(&self) -> u64 {
        self.last.0.saturating_sub(self.accepted.0)
    }
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) streams: BTreeSet<StreamId>,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) kept: Vec<Kept>,
    pub(super) bounces: Vec<Bounce>,
    pub(super) retry_at: Option<Timestamp>,
}

impl Store {
    pub(super) fn action(&self, store: StoreId) -> Action {
        Action::MarkKept { store, kept: self.kept.clone(), bounces: self.bounces.clone() }
    }
}
