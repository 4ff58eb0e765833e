//! A clock that was set back: what waits until a time that is now far away would wait for hours, and no wait was meant
//! to be longer than the longest backoff.

use qpq_core::Timestamp;

use super::{LOCAL_RETRY, Link, Outbox, Phase};
use crate::backoff::LONGEST;

impl Outbox {
    /// Cuts every wait to what it could be at most if it began now.
    pub(super) fn shorten_waits(&mut self, now: Timestamp) {
        let (soon, latest) = (now.after(LOCAL_RETRY), now.after(LONGEST));
        if let Link::BackingOff { until, .. } = &mut self.link {
            *until = latest.min(*until);
        }
        self.paused_until = self.paused_until.map(|until| until.min(soon));
        for stream in self.streams.values_mut() {
            if let Phase::Held { until } = &mut stream.phase {
                *until = latest.min(*until);
            }
        }
        for store in self.stores.values_mut() {
            store.retry_at = store.retry_at.map(|at| at.min(soon));
        }
    }
}

#[cfg(test)]
mod tests {
    use qpq_core::{Digest, Millis, Seq, SeededEntropy};

    use super::*;
    use crate::{
        answer::StreamAnswer,
        backoff::SavedLink,
        outbox::{Action, Failure, OutboxLimits, Sent, StreamHead},
        stream::StreamId,
    };

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);
    const YESTERDAY: Timestamp = NOW.before(Millis::from_days(1));

    fn outbox() -> Outbox {
        let stream = StreamId::from_bytes([1; 16]);
        let head = StreamHead { stream, accepted: Seq::ZERO, chain: None, last: Seq(1) };
        let peer = "beta.test".parse().unwrap();
        Outbox::resume(peer, OutboxLimits::default(), SavedLink::default(), [head], NOW)
    }

    #[test]
    fn a_clock_that_is_set_back_by_a_day_does_not_silence_a_peer_for_a_day() {
        let mut outbox = outbox();
        let Some(Action::Send { call, .. }) = outbox.poll_action() else { panic!("nothing is sent") };
        outbox.handle_failed(call, Failure::Unreachable, NOW, &mut SeededEntropy::new(1));
        outbox.handle_timeout(YESTERDAY);
        assert!(outbox.poll_timeout().unwrap() <= YESTERDAY.after(LONGEST));
    }

    #[test]
    fn nor_does_it_hold_back_what_the_database_is_to_be_asked_again() {
        let mut outbox = outbox();
        let stream = StreamId::from_bytes([1; 16]);
        let Some(Action::Send { call, .. }) = outbox.poll_action() else { panic!("nothing is sent") };
        outbox.handle_sent(call, &[Sent { stream, last: Seq(1), chain: None }], NOW);
        let applied = StreamAnswer::Applied { through: Seq(1), chain: Digest::ZERO, refusals: vec![] };
        outbox.handle_answers(call, vec![(stream, applied)], NOW, &mut SeededEntropy::new(1));
        let Some(Action::MarkKept { store, .. }) = outbox.poll_action() else { panic!("nothing is kept") };
        outbox.handle_not_stored(store, NOW);
        outbox.handle_timeout(YESTERDAY);
        outbox.handle_timeout(YESTERDAY.after(LOCAL_RETRY));
        assert!(matches!(outbox.poll_action(), Some(Action::MarkKept { .. })));
    }
}
