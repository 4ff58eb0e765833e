//! What one peer may cost us, over all of its links together: calls, introductions, links, and what no honest peer does.
//!
//! The figures are far above what our own driver ever needs, so an honest peer never meets them. Who does meets them
//! alone: what it may not have costs the others nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use qpq_core::{Domain, ErrorCode, Millis, Timestamp};
use qpq_delivery::rates::{Rate, Rates, TooMany};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Calls in the name of users. Rows are not among them: they have turns.
const CALLS: Rate = Rate { burst: 300, refill: Millis(10) };
/// Introductions. A link needs one; each reads how far all of the peer's streams are.
const HELLOS: Rate = Rate { burst: 20, refill: Millis::from_secs(1) };
/// New links. A handshake is the dearest thing that a peer can ask for.
const LINKS: Rate = Rate { burst: 20, refill: Millis::from_secs(2) };
/// Links at once. An honest peer has one, a moment two, and one more while its admin probes.
const LINKS_AT_ONCE: usize = 12;
/// What no honest peer does; who has done all of it is hung up on.
const OFFENCES: Rate = Rate { burst: 200, refill: Millis(500) };
/// How often the same complaint about a peer is logged.
const COMPLAINTS: Millis = Millis::from_secs(3_600);

/// A peer's allowance.
#[derive(Debug)]
pub(crate) struct Allowance {
    state: Mutex<State>,
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    calls: Rates<()>,
    hellos: Rates<()>,
    links: Rates<()>,
    offences: Rates<()>,
    /// When something was last said about the peer.
    complaints: BTreeMap<Complaint, Timestamp>,
}

/// What is said about a peer that does what it shouldn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Complaint {
    /// A call of its was refused with this.
    Refused(u16),
    /// More calls than it may have.
    Calls,
    /// More introductions.
    Hellos,
    /// More links.
    Links,
    /// What came over its link is no conversation.
    Frames,
    /// It was hung up on.
    HungUp,
}

impl Complaint {
    const fn words(self) -> &'static str {
        match self {
            Self::Refused(_) => "rows that are refused as a whole",
            Self::Calls => "more calls than are served",
            Self::Hellos => "introductions without end",
            Self::Links => "links without end",
            Self::Frames => "no conversation",
            Self::HungUp => "too much of all that",
        }
    }

    const fn code(self) -> Option<u16> {
        match self {
            Self::Refused(code) => Some(code),
            Self::Calls | Self::Hellos | Self::Links | Self::Frames | Self::HungUp => None,
        }
    }
}

/// What an offence leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offended {
    /// Nothing yet.
    Tolerated,
    /// The link it came over ends.
    TooOften,
}

impl Default for Allowance {
    fn default() -> Self {
        let all = |rate| Rates::new(rate, 1);
        let state = Mutex::new(State {
            calls: all(CALLS),
            hellos: all(HELLOS),
            links: all(LINKS),
            offences: all(OFFENCES),
            complaints: BTreeMap::new(),
        });
        Self { state, places: Arc::new(Semaphore::new(LINKS_AT_ONCE)) }
    }
}

impl Allowance {
    /// One more call.
    pub(crate) fn call(&self, now: Timestamp) -> Result<(), TooMany> {
        self.state().calls.take(&(), 1, now)
    }

    /// One more introduction.
    pub(crate) fn hello(&self, now: Timestamp) -> Result<(), TooMany> {
        self.state().hellos.take(&(), 1, now)
    }

    /// One more link that it has dialled: its place, to be kept as long as it lasts. `None`: it comes too often, or has as
    /// many as it may.
    pub(crate) fn link(&self, now: Timestamp) -> Option<OwnedSemaphorePermit> {
        self.state().links.take(&(), 1, now).ok()?;
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// It did what no honest peer does.
    pub(crate) fn offence(&self, now: Timestamp) -> Offended {
        match self.state().offences.take(&(), 1, now) {
            Ok(()) => Offended::Tolerated,
            Err(TooMany { .. }) => Offended::TooOften,
        }
    }

    /// Counts an offence, says it once with the peer's name, and ends the link by `hang_up` if there were too many.
    pub(crate) fn blame(
        &self,
        peer: &Domain,
        complaint: Complaint,
        hang_up: &CancellationToken,
        now: Timestamp,
    ) {
        if self.is_news(complaint, now) {
            warn!(peer.domain = %peer, what = complaint.words(), code = complaint.code(), "a peer does what no honest peer does");
        }
        if self.offence(now) == Offended::TooOften && !hang_up.is_cancelled() {
            hang_up.cancel();
            if self.is_news(Complaint::HungUp, now) {
                warn!(peer.domain = %peer, "a peer that does so without end is hung up on");
            }
        }
    }

    /// Whether a complaint is news: each is worth one line in a long time, however often there is reason for it.
    pub(crate) fn is_news(&self, complaint: Complaint, now: Timestamp) -> bool {
        let mut state = self.state();
        let news = state.complaints.get(&complaint).is_none_or(|last| now.since(*last) >= COMPLAINTS);
        if news {
            state.complaints.insert(complaint, now);
        }
        news
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a refusal of rows is one that an honest peer doesn't meet. What its users may have written is judged row by
/// row and never refuses the call.
pub(crate) const fn is_offence(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Malformed | ErrorCode::TooLarge | ErrorCode::Untrusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn who_offends_without_end_is_hung_up_on_and_may_come_back_later() {
        let allowance = Allowance::default();
        for _ in 0..OFFENCES.burst {
            assert_eq!(allowance.offence(NOW), Offended::Tolerated);
        }
        assert_eq!(allowance.offence(NOW), Offended::TooOften);
        assert_eq!(allowance.offence(NOW.after(OFFENCES.refill)), Offended::Tolerated);
    }

    #[test]
    fn a_place_is_free_again_when_its_link_ends() {
        let allowance = Allowance::default();
        let mut held: Vec<_> = (0..LINKS_AT_ONCE).map(|_| allowance.link(NOW).unwrap()).collect();
        assert!(allowance.link(NOW).is_none());
        held.pop();
        assert!(allowance.link(NOW).is_some());
    }

    #[test]
    fn calls_introductions_and_links_are_counted_apart() {
        let allowance = Allowance::default();
        for _ in 0..HELLOS.burst {
            assert!(allowance.hello(NOW).is_ok());
        }
        assert!(allowance.hello(NOW).is_err());
        assert!(allowance.call(NOW).is_ok() && allowance.link(NOW).is_some());
        for _ in 1..CALLS.burst {
            assert!(allowance.call(NOW).is_ok());
        }
        assert!(allowance.call(NOW).is_err());
    }

    #[test]
    fn each_complaint_is_news_once() {
        let allowance = Allowance::default();
        let (calls, malformed) = (Complaint::Calls, Complaint::Refused(100));
        assert!(allowance.is_news(calls, NOW) && allowance.is_news(malformed, NOW));
        assert!(!allowance.is_news(calls, NOW.after(Millis(1))) && !allowance.is_news(malformed, NOW));
        assert!(allowance.is_news(calls, NOW.after(COMPLAINTS)));
    }
}
