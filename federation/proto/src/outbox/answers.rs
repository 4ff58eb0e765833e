//! What a peer's answers say: which rows are stored over there, which it refused, and whether it can be believed.

use std::collections::BTreeMap;

use qpq_core::{Entropy, Millis, Seq, Timestamp, limits};

use super::{
    Bounce, CallId, InFlight, Kept, LOCAL_RETRY, Outbox,
    state::{Phase, What},
};
use crate::{
    answer::{Refusal, RowAck, StreamAnswer},
    backoff::Cause,
    planted::{Bug, active},
    stream::{Lane, StreamId},
};

/// What the answers of a call say about the peer; the worst counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Healthy,
    Nonsense,
    /// What it has must be compared with what we know.
    Doubt,
}

impl Outbox {
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
        let (mut kept, mut bounces) = (Vec::new(), Vec::new());
        let mut outcome = Outcome::Healthy;
        for (lane, sent) in open {
            let read = match answers.remove(&lane.stream) {
                Some(answer) => self.read_answer(lane, sent, answer, now, (&mut kept, &mut bounces)),
                None => Outcome::Nonsense,
            };
            outcome = outcome.max(read);
        }
        if !kept.is_empty() {
            self.doubts = 0;
            for kept in &kept {
                if let Some(stream) = self.streams.get_mut(&kept.lane) {
                    stream.phase = Phase::Settling;
                }
            }
            self.begin_store(What::Kept { kept, bounces });
        }
        match outcome {
            Outcome::Healthy => self.recovered(),
            Outcome::Nonsense => self.back_off(Cause::Nonsense, Millis(0), now, entropy),
            Outcome::Doubt => {
                // Once is a restore, or an answer that was lost. A peer whose answers never fit what it says when it is
                // asked costs less each time.
                self.doubts = self.doubts.saturating_add(1);
                if self.doubts > 1 {
                    self.back_off(Cause::Nonsense, Millis(0), now, entropy);
                }
                self.doubt();
            }
        }
    }

    fn read_answer(
        &mut self,
        lane: Lane,
        sent: InFlight,
        answer: StreamAnswer,
        now: Timestamp,
        (kept, bounces): (&mut Vec<Kept>, &mut Vec<Bounce>),
    ) -> Outcome {
        let Some(stream) = self.streams.get_mut(&lane) else { return Outcome::Healthy };
        match answer {
            // It would have applied rows that we never numbered.
            StreamAnswer::Applied { through, .. } if through > stream.last => Outcome::Doubt,
            // Batches are applied whole or not at all.
            StreamAnswer::Applied { through, .. } if through < sent.last => Outcome::Nonsense,
            StreamAnswer::Applied { through, chain, refusals } => {
                let theirs = (through == sent.last).then_some(chain);
                if let (Some(ours), Some(theirs)) = (sent.chain, theirs)
                    && ours != theirs
                {
                    return Outcome::Doubt;
                }
                let reach = if active(Bug::AckOneTooMany) { sent.last.next() } else { sent.last };
                kept.push(Kept { lane, through: reach, chain: sent.chain.or(theirs) });
                let known = |refusal: &Refusal| refusal.seq > stream.accepted && refusal.seq <= sent.last;
                // A row is refused once, however often the peer says so.
                let by_row: BTreeMap<Seq, RowAck> =
                    refusals.into_iter().filter(known).map(|refusal| (refusal.seq, refusal.ack)).collect();
                bounces.extend(by_row.into_iter().map(|(seq, ack)| Bounce { lane, seq, ack }));
                Outcome::Healthy
            }
            // It has lost rows that it had acknowledged, or counts rows that we never numbered.
            StreamAnswer::ExpectSeq(next) if next <= stream.accepted || next > stream.last.next() => {
                Outcome::Doubt
            }
            StreamAnswer::ExpectSeq(_) => Outcome::Nonsense,
            StreamAnswer::ChainDiffers { .. } => Outcome::Doubt,
            StreamAnswer::NotNow { retry_after } => {
                stream.phase = Phase::Held { until: now.after(retry_after.max(LOCAL_RETRY)) };
                Outcome::Healthy
            }
        }
    }

    /// The peer couldn't read a call. Its streams go out alone from now on, then with half as many rows each time, until
    /// the one row is found that it can't read; that one is given up, and the peer is left alone for a while.
    pub(super) fn search(&mut self, open: &[(Lane, InFlight)], now: Timestamp, entropy: &mut dyn Entropy) {
        let alone = open.len() == 1;
        for (lane, sent) in open {
            let Some(stream) = self.streams.get_mut(lane) else { continue };
            match (alone, sent.rows) {
                (false, _) => stream.at_most = stream.at_most.min(limits::BATCH_ITEMS.saturating_sub(1)),
                // It can't even read that rows are gone: it isn't us who can find out why.
                (true, 0) => return self.back_off(Cause::Nonsense, Millis(0), now, entropy),
                (true, 1) => {
                    stream.phase = Phase::Settling;
                    self.begin_store(What::GivenUp { lane: *lane, seq: sent.last });
                    return self.back_off(Cause::Nonsense, Millis(0), now, entropy);
                }
                (true, rows) => stream.at_most = rows.checked_div(2).unwrap_or(1).max(1),
            }
        }
    }
}
