//! Whether the peer has what we have heard of: while that is in doubt nothing goes out, and what it has lost goes out again.

use qpq_core::{Entropy, Millis, Timestamp};

use super::{Failure, LOCAL_RETRY, Outbox, StreamHead, state::Heads};
use crate::{
    backoff::Cause,
    planted::{Bug, active},
};

/// A peer that has lost rows again and again is given them at most this often: replaying costs us more than it.
pub(super) const REPLAY: Millis = Millis::from_secs(10 * 60);

impl Outbox {
    /// The peer said hello: whether the heads that it named are those that we have heard of. What was on its way when
    /// that was looked at may have changed it since, so agreement counts only when nothing is.
    pub fn handle_claims(&mut self, agree: bool) {
        let quiet = self.calls.is_empty() && self.stores.is_empty();
        match (agree && quiet, self.heads) {
            (true, Heads::Doubted | Heads::Agreed) => self.heads = Heads::Agreed,
            (false, Heads::Doubted | Heads::Agreed) => self.doubt(),
            // What is being asked for is newer than the claim.
            (true | false, Heads::Asked) => {}
        }
    }

    /// Whether nothing may go out before the peer has been asked for its heads.
    pub fn must_compare(&self) -> bool {
        self.heads != Heads::Agreed
    }

    /// The peer's heads were compared and what followed is stored: the lanes that have rows waiting, whether these are
    /// all, and whether rows go out again that the peer had lost.
    pub fn handle_reconciled(
        &mut self,
        heads: impl IntoIterator<Item = StreamHead>,
        all: bool,
        replayed: bool,
        now: Timestamp,
    ) {
        if self.heads != Heads::Asked {
            return;
        }
        self.heads = Heads::Agreed;
        self.streams.clear();
        self.handle_heads(heads, all);
        if replayed {
            self.replayed_at = Some(now);
        }
        if self.doubts <= 1 {
            self.recovered();
        }
    }

    /// How long the peer must wait until rows that it has lost are sent again; `None`: not at all.
    pub fn replay_in(&self, now: Timestamp) -> Option<Millis> {
        let next = self.replayed_at?.after(REPLAY);
        (next > now).then(|| next.since(now))
    }

    /// The comparison came to no end: it is made again before anything goes out.
    pub fn handle_not_reconciled(&mut self, failure: Failure, now: Timestamp, entropy: &mut dyn Entropy) {
        if self.heads != Heads::Asked {
            return;
        }
        self.heads = Heads::Doubted;
        match failure {
            Failure::Unreachable => self.back_off(Cause::Unreachable, Millis(0), now, entropy),
            Failure::Overloaded { retry_after } => {
                self.back_off(Cause::Overloaded, retry_after, now, entropy);
            }
            Failure::Malformed => self.back_off(Cause::Nonsense, Millis(0), now, entropy),
            Failure::Refused(reason) => self.handle_stopped(reason, now),
        }
    }

    /// The comparison came to no end through our own trouble.
    pub fn handle_not_compared(&mut self, now: Timestamp) {
        if self.heads == Heads::Asked {
            self.heads = Heads::Doubted;
            self.paused_until = Some(now.after(LOCAL_RETRY));
        }
    }

    pub(super) fn doubt(&mut self) {
        if !active(Bug::LossIgnored) {
            self.heads = Heads::Doubted;
        }
    }
}
