//! What the admin reads about a queue: why a message is late.

use std::fmt;

use qpq_core::{Domain, Timestamp};

use super::{Outbox, Untracked, state::Heads, state::Link};
use crate::backoff::{Cause, StopReason};

/// A queue as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerQueueStatus {
    /// For whom.
    pub peer: Domain,
    /// Whether and when it moves.
    pub state: QueueState,
    /// Rows that wait in the streams that are tracked.
    pub queued: u64,
    /// Whether more streams wait in storage.
    pub more: bool,
    /// Calls on their way.
    pub calls: usize,
    /// Whether the peer is being asked what it has: it has lost rows, or knows more than we heard of.
    pub comparing: bool,
    /// Whether the peer has lost rows again so soon that it has to wait for them.
    pub replay_waits: bool,
    /// When this was so.
    pub at: Timestamp,
}

/// Whether a queue moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueState {
    /// Rows go out as they come.
    Healthy,
    /// The next call finds out whether the peer is back.
    Probing {
        /// Attempts that failed in a row.
        failures: u32,
    },
    /// Waiting for the next attempt.
    BackingOff {
        /// Attempts that failed in a row.
        failures: u32,
        /// When the next comes.
        until: Timestamp,
        /// Why.
        cause: Cause,
    },
    /// An admin told it to wait.
    Paused,
    /// Nothing goes out until somebody acts.
    Stopped(StopReason),
}

impl Outbox {
    /// The queue in figures and, by `Display`, in words.
    pub fn status(&self, now: Timestamp) -> PeerQueueStatus {
        PeerQueueStatus {
            peer: self.peer.clone(),
            state: match self.link {
                Link::Ready { .. } | Link::BackingOff { .. } if self.paused => QueueState::Paused,
                Link::Ready { failures: 0 } => QueueState::Healthy,
                Link::Ready { failures } => QueueState::Probing { failures },
                Link::BackingOff { failures, until, cause } => {
                    QueueState::BackingOff { failures, until, cause }
                }
                Link::Stopped { reason } => QueueState::Stopped(reason),
            },
            queued: self.streams.values().fold(0_u64, |sum, stream| sum.saturating_add(stream.waiting())),
            more: self.untracked != Untracked::None,
            calls: self.calls.len(),
            comparing: self.heads != Heads::Agreed,
            replay_waits: self.heads != Heads::Agreed && self.replay_in(now).is_some(),
            at: now,
        }
    }
}

impl fmt::Display for PeerQueueStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = &self.peer;
        match self.state {
            QueueState::Healthy => write!(f, "`{peer}` is reachable")?,
            QueueState::Probing { failures } => {
                write!(f, "trying `{peer}` again after {failures} failed attempts")?;
            }
            QueueState::BackingOff { failures, until, cause } => {
                let why = match cause {
                    Cause::Unreachable => "doesn't answer",
                    Cause::Overloaded if self.replay_waits => {
                        "has lost messages again, and gets them once in ten minutes"
                    }
                    Cause::Overloaded => "is overloaded and asked for time",
                    Cause::Nonsense => "answers in a way that makes no sense",
                };
                let seconds = until.since(self.at).0.div_ceil(1_000);
                write!(f, "`{peer}` {why}; attempt {} in {seconds} s", failures.saturating_add(1))?;
            }
            QueueState::Paused => write!(f, "nothing is sent to `{peer}`: an admin told its queue to wait")?,
            QueueState::Stopped(reason) => write!(f, "nothing is sent to `{peer}`: {}", reason.words())?,
        }
        match (self.queued, self.more) {
            (0, false) => write!(f, "; nothing waits")?,
            (queued, false) => write!(f, "; {queued} messages wait")?,
            (queued, true) => write!(f, "; more than {queued} messages wait")?,
        }
        if self.comparing {
            write!(f, "; what it has is compared with what was sent")?;
        }
        Ok(())
    }
}
