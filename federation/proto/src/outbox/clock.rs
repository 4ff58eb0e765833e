//! A clock that was set back: what waits until a certain time would wait for hours, though a second was meant.

use qpq_core::{Millis, Timestamp};

use super::{Link, Outbox, Phase};

impl Outbox {
    /// Moves every wait back by as much as the clock went back since it was looked at last.
    pub(super) fn follow_clock(&mut self, now: Timestamp) {
        let back = self.looked_at.since(now);
        self.looked_at = now;
        if back == Millis(0) {
            return;
        }
        if let Link::BackingOff { until, .. } = &mut self.link {
            *until = until.before(back);
        }
        self.replayed_at = self.replayed_at.map(|at| at.before(back));
        self.paused_until = self.paused_until.map(|until| until.before(back));
        for stream in self.streams.values_mut() {
            if let Phase::Held { until } = &mut stream.phase {
                *until = until.before(back);
            }
        }
        for store in self.stores.values_mut() {
            store.retry_at = store.retry_at.map(|at| at.before(back));
        }
    }
}

#[cfg(test)]
mod tests {
    use qpq_core::{Digest, Incarnation, SeededEntropy, Seq};

    use super::*;
    use crate::{
        answer::StreamAnswer,
        backoff::SavedLink,
        outbox::{Action, Failure, LOCAL_RETRY, OutboxLimits, Sent, StreamHead},
        stream::{Lane, StreamId},
    };

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);
    const YESTERDAY: Timestamp = NOW.before(Millis::from_days(1));

    fn lane() -> Lane {
        let incarnation = Incarnation::begin(NOW, &mut SeededEntropy::new(1));
        Lane { incarnation, stream: StreamId::from_bytes([1; 16]) }
    }

    fn outbox() -> Outbox {
        let head = StreamHead { lane: lane(), accepted: Seq::ZERO, chain: None, last: Seq(1) };
        let peer = "beta.test".parse().unwrap();
        Outbox::resume(peer, OutboxLimits::default(), SavedLink::default(), [head], NOW)
    }

    #[test]
    fn a_clock_that_is_set_back_by_a_day_does_not_silence_a_peer_for_a_day() {
        let mut outbox = outbox();
        let Some(Action::Send { call, .. }) = outbox.poll_action() else { panic!("nothing is sent") };
        outbox.handle_failed(call, Failure::Unreachable, NOW, &mut SeededEntropy::new(1));
        let wait = outbox.poll_timeout().unwrap().since(NOW);
        outbox.handle_timeout(YESTERDAY);
        assert_eq!(outbox.poll_timeout().unwrap(), YESTERDAY.after(wait));
    }

    #[test]
    fn nor_does_it_hold_back_what_the_database_is_to_be_asked_again() {
        let mut outbox = outbox();
        let Some(Action::Send { call, .. }) = outbox.poll_action() else { panic!("nothing is sent") };
        outbox.handle_sent(call, &[Sent { lane: lane(), last: Seq(1), rows: 1, chain: None }], NOW);
        let applied = StreamAnswer::Applied { through: Seq(1), chain: Digest::ZERO, refusals: vec![] };
        outbox.handle_answers(call, vec![(lane().stream, applied)], NOW, &mut SeededEntropy::new(1));
        let Some(Action::MarkKept { store, .. }) = outbox.poll_action() else { panic!("nothing is kept") };
        outbox.handle_not_stored(store, NOW);
        outbox.handle_timeout(YESTERDAY);
        outbox.handle_timeout(YESTERDAY.after(LOCAL_RETRY));
        assert!(matches!(outbox.poll_action(), Some(Action::MarkKept { .. })));
    }
}
