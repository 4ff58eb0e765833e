//! What the outbox core says and remembers.

use std::collections::BTreeSet;

use qpq_core::{Digest, Incarnation, Millis, Seq, Timestamp, limits};

use crate::{
    answer::RowAck,
    backoff::{Cause, SavedLink, StopReason},
    stream::{Lane, StreamId},
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

/// Where a lane stands in storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHead {
    /// Which lane.
    pub lane: Lane,
    /// The last row that the peer has stored.
    pub accepted: Seq,
    /// The chain after that row, if it was kept; [`Digest::ZERO`] before the first row is known anyway.
    pub chain: Option<Digest>,
    /// The last row.
    pub last: Seq,
}

/// Rows to load for one stream of a call. Where the first of them are gone, the batch is a gap ([`crate::Batch::gap`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Which lane.
    pub lane: Lane,
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
    /// Which lane.
    pub lane: Lane,
    /// The last row ([`crate::Batch::last`]).
    pub last: Seq,
    /// How many rows; 0: a gap.
    pub rows: usize,
    /// The chain after it ([`crate::Batch::chain_after`]).
    pub chain: Option<Digest>,
}

/// Rows that the peer has stored: acknowledged, but not forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Which lane.
    pub lane: Lane,
    /// Up to and including this row.
    pub through: Seq,
    /// The chain after it.
    pub chain: Option<Digest>,
}

/// A row that the peer refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounce {
    /// Which lane.
    pub lane: Lane,
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
    /// The peer can't read what was sent: the row at fault is found by sending less at once, and then given up.
    Malformed,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Load these rows and send them in one call, in the order of the cuts, as far as the budget reaches.
    Send {
        /// The call's name.
        call: CallId,
        /// The life whose rows these are: a call's header names one.
        incarnation: Incarnation,
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
    /// Make this row a dead letter, in one transaction: it becomes a tombstone under its number. Answered by
    /// [`super::Outbox::handle_stored`] like the others.
    GiveUp {
        /// The transaction's name.
        store: StoreId,
        /// Which lane.
        lane: Lane,
        /// Which row.
        seq: Seq,
    },
    /// Ask the peer for its heads, act on what [`crate::reconcile`] finds, and answer by
    /// [`super::Outbox::handle_reconciled`] or [`super::Outbox::handle_not_reconciled`].
    AskHeads,
    /// Read the heads of the lanes that have rows waiting, at most `limit`, and answer by `handle_heads`.
    LoadHeads {
        /// How many.
        limit: usize,
    },
    /// Store the link's state; nobody waits for it.
    SaveLink(SavedLink),
    /// Tell the admin: nothing is sent to the peer until somebody acts.
    Alarm(StopReason),
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

/// Whether the peer's heads are what we have heard of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heads {
    /// As far as we know.
    Agreed,
    /// They must be asked for before anything else goes out: a later lane must not overtake what an older one owes.
    Doubted,
    /// They are being asked for.
    Asked,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) accepted: Seq,
    pub(super) chain: Option<Digest>,
    pub(super) last: Seq,
    /// How many rows go out at once: fewer while a row is looked for that the peer can't read.
    pub(super) at_most: usize,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    /// May go into the next call.
    Idle,
    /// In a call whose rows are being loaded.
    Loading,
    /// In a call on its way; rows up to `last`.
    InFlight { last: Seq, rows: usize, chain: Option<Digest> },
    /// The peer has the rows; noting that is on its way.
    Settling,
    /// The peer asked for time for this stream.
    Held { until: Timestamp },
}

impl Stream {
    pub(super) fn idle(head: &StreamHead) -> Self {
        let chain = if head.accepted == Seq::ZERO { Some(Digest::ZERO) } else { head.chain };
        Self {
            accepted: head.accepted,
            chain,
            last: head.last,
            at_most: limits::BATCH_ITEMS,
            phase: Phase::Idle,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Idle) && self.last > self.accepted
    }

    /// Whether a row of it is one that the peer can't read: then it goes out alone.
    pub(super) const fn is_suspect(&self) -> bool {
        self.at_most < limits::BATCH_ITEMS
    }

    /// The peer could read it.
    pub(super) fn readable(&mut self) {
        if self.is_suspect() {
            self.at_most = self.at_most.saturating_mul(2).min(limits::BATCH_ITEMS);
        }
    }

    pub(super) const fn cut(&self, lane: Lane, max_rows: usize) -> Cut {
        Cut { lane, from: self.accepted.next(), before: self.chain, max_rows }
    }

    pub(super) const fn waiting(&self) -> u64 {
        self.last.0.saturating_sub(self.accepted.0)
    }
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) incarnation: Incarnation,
    pub(super) streams: BTreeSet<StreamId>,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) what: What,
    pub(super) retry_at: Option<Timestamp>,
}

/// What a transaction is to note.
#[derive(Debug)]
pub(super) enum What {
    Kept { kept: Vec<Kept>, bounces: Vec<Bounce> },
    GivenUp { lane: Lane, seq: Seq },
}

impl Store {
    pub(super) fn action(&self, store: StoreId) -> Action {
        match &self.what {
            What::Kept { kept, bounces } => {
                Action::MarkKept { store, kept: kept.clone(), bounces: bounces.clone() }
            }
            What::GivenUp { lane, seq } => Action::GiveUp { store, lane: *lane, seq: *seq },
        }
    }
}
