//! Relay: rows that peers hand over, and our rows on their way to peers, as the store sees both.
//!
//! Inbound, one write transaction judges a batch against the stream's mark, applies its rows and moves the mark; the
//! answer exists only after it is durable. Outbound, the driver in `federation` decides what to send when
//! (`qpq_federation_proto::Outbox`); here is what it reads and writes.

mod compare;
mod dead_letters;
mod expire;
mod give_up;
mod heads;
mod inbound;
mod outbound;
mod parked;
pub(crate) mod payload;
mod queue;
pub(crate) mod quota;
mod rollback;
mod tombstone;
mod unpeered;

use qpq_federation_proto::RowAck;

use crate::Answered;

pub use compare::{Compared, compare, heard_of};
pub use dead_letters::{DeadLetterView, dead_letters, drop_letter, expire_letters, replay};
pub use expire::expire;
pub use give_up::give_up;
pub use heads::{NamedHead, STREAMS_NAMED, heads_of, named_heads, page_of_heads};
#[cfg(test)]
pub(crate) use inbound::apply_row;
pub use inbound::{RelayCall, accept};
pub use outbound::{Resumed, acknowledge, load, remember_incarnation, resume, save_link, waiting};
pub use parked::take_up;
pub use queue::{QueueView, queue};
pub use rollback::{Proven, begin_life, prove, words};
pub(crate) use tombstone::Tombstone;
pub use unpeered::give_back_unpeered;

/// Gaps that are remembered of one peer.
const GAPS: usize = 100;

/// What became of one row of a peer's stream. Either way the row is applied: the stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// It is stored for whom it concerns.
    Stored,
    /// It was stored before, under another number: nothing has changed.
    Known,
    /// It is stored for nobody. The answer says so for the log only: what the sender must hear travels as a row of its own.
    Refused(RowAck),
}

impl From<Answered<()>> for RowOutcome {
    fn from(applied: Answered<()>) -> Self {
        match applied {
            Ok(()) => Self::Stored,
            Err(refusal) => {
                let retry_after = refusal.retry_after.unwrap_or_default();
                Self::Refused(RowAck::from_failure(refusal.code, retry_after))
            }
        }
    }
}

#[cfg(test)]
mod tests;
