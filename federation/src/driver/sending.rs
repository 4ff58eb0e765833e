//! Rows on their way: load, dial if need be, sign, send, note what was stored.

use std::{sync::Arc, time::Duration};

use qpq_core::{ErrorCode, Incarnation, Millis, Seq, Timestamp};
use qpq_federation_proto::{
    Action, Batch, BatchDigest, Bounce, CallId, Cut, Failure, Kept, Lane, QueueState, Sent, SignedHeader,
    StopReason, StoreId, StreamAnswer, StreamId,
};
use qpq_service::{Answered, Refusal, relay};
use qpq_transport::CloseCode;
use tokio::{sync::oneshot, time::Instant};
use tracing::warn;

use super::{Chore, Done, Driver};
use crate::{
    dial::{self, Prospect},
    link::{CallError, LinkHandle},
    slot::Trouble,
};

/// How long a peer may take to store what we send.
const RELAY: Duration = Duration::from_secs(15);
/// A call goes out this often before it counts as failed; only while links break under it.
const ATTEMPTS: u8 = 3;
/// After a dial failed, others who want to ask are told so for this time.
const QUIET: Millis = Millis::from_secs(2);
/// When a peer names no time.
const SOME_TIME: Millis = Millis::from_secs(5);

/// What waits for a link.
pub(super) enum Pending {
    /// Rows that are still to be loaded.
    Load(CallId, Incarnation, Vec<Cut>),
    /// Rows that were loaded for a link that broke.
    Relay { call: CallId, incarnation: Incarnation, batches: Arc<[Batch]>, attempts: u8 },
}

impl Pending {
    const fn call(&self) -> CallId {
        match self {
            Self::Load(call, ..) | Self::Relay { call, .. } => *call,
        }
    }
}

impl Driver {
    /// Does all that the core asks for now.
    pub(super) fn perform_actions(&mut self) {
        while let Some(action) = self.outbox.poll_action() {
            match action {
                Action::Send { call, incarnation, cuts } => {
                    self.launch(Pending::Load(call, incarnation, cuts));
                }
                Action::MarkKept { store, kept, bounces } => self.mark_kept(store, kept, bounces),
                Action::GiveUp { store, lane, seq } => self.give_up(store, lane, seq),
                Action::AskHeads => self.compare(self.core.ground.now()),
                Action::LoadHeads { limit } => self.read_heads(Some(limit)),
                Action::SaveLink(link) => self.save(link),
                Action::Alarm(reason) => {
                    warn!(peer.domain = %self.record.domain, reason = reason.words(), "nothing is sent to this peer until somebody acts");
                }
            }
        }
    }

    /// While stopping, sends that the core asks for are put off; the rest is done.
    pub(super) fn drop_sends(&mut self) {
        let now = self.core.ground.now();
        while let Some(pending) = self.pending.pop_front() {
            self.outbox.handle_not_sent(pending.call(), now);
        }
        while let Some(action) = self.outbox.poll_action() {
            match action {
                Action::Send { call, .. } => self.outbox.handle_not_sent(call, now),
                Action::MarkKept { store, kept, bounces } => self.mark_kept(store, kept, bounces),
                Action::GiveUp { store, lane, seq } => self.give_up(store, lane, seq),
                Action::AskHeads => self.outbox.handle_not_compared(now),
                // That we went away is nothing to remember against the peer.
                Action::LoadHeads { .. } | Action::SaveLink(_) | Action::Alarm(_) => {}
            }
        }
    }

    fn mark_kept(&mut self, store: StoreId, kept: Vec<Kept>, bounces: Vec<Bounce>) {
        let (ground, peer) = (Arc::clone(&self.core.ground), self.record.domain.clone());
        self.begin(Box::pin(async move {
            Done::Stored(store, relay::acknowledge(&ground, &peer, kept, bounces).await)
        }));
    }

    fn give_up(&mut self, store: StoreId, lane: Lane, seq: Seq) {
        let (ground, peer) = (Arc::clone(&self.core.ground), self.record.domain.clone());
        self.begin(Box::pin(
            async move { Done::Stored(store, relay::give_up(&ground, &peer, lane, seq).await) },
        ));
    }

    fn launch(&mut self, pending: Pending) {
        // What the peer claims is looked at first, also by what was loaded or sent before it did.
        if self.outbox.must_compare() {
            return self.outbox.handle_put_back(pending.call());
        }
        let Some(link) = self.links.current().cloned() else {
            self.pending.push_back(pending);
            return self.dial();
        };
        match pending {
            Pending::Load(call, incarnation, cuts) => {
                let (ground, peer) = (Arc::clone(&self.core.ground), self.record.domain.clone());
                let bytes = self.pace.bytes();
                self.tasks.push(Box::pin(async move {
                    Done::Loaded(call, incarnation, relay::load(&ground, &peer, &cuts, bytes).await)
                }));
            }
            Pending::Relay { call, incarnation, batches, attempts } => {
                self.relay((call, incarnation), link, batches, attempts);
            }
        }
    }

    pub(super) fn loaded(
        &mut self,
        call: CallId,
        incarnation: Incarnation,
        batches: Answered<Vec<Batch>>,
        now: Timestamp,
    ) {
        let Ok(batches) = batches else { return self.outbox.handle_not_sent(call, now) };
        let sent: Vec<Sent> = batches
            .iter()
            .map(|batch| Sent {
                lane: Lane { incarnation, stream: batch.stream() },
                last: batch.last(),
                rows: batch.rows().len(),
                chain: batch.chain_after(),
            })
            .collect();
        self.outbox.handle_sent(call, &sent, now);
        if !batches.is_empty() {
            self.launch(Pending::Relay { call, incarnation, batches: batches.into(), attempts: 0 });
        }
    }

    fn relay(
        &mut self,
        (call, incarnation): (CallId, Incarnation),
        link: LinkHandle,
        batches: Arc<[Batch]>,
        attempts: u8,
    ) {
        let core = Arc::clone(&self.core);
        let destination = self.record.domain.clone();
        self.begin(Box::pin(async move {
            let digests = batches.iter().map(BatchDigest::of).collect();
            let key = core.peering.federation_key();
            let origin = core.ground.domain().clone();
            let signed = SignedHeader::sign(key, origin, destination, incarnation, digests);
            let begun = Instant::now();
            let answer = match signed {
                Ok(header) => link.relay(RELAY, header, batches.to_vec()).await,
                Err(error) => Err(CallError::Nonsense(error.to_string())),
            };
            Done::Relayed { call, incarnation, link, batches, attempts, answer, took: begun.elapsed() }
        }));
    }

    pub(super) fn relayed(
        &mut self,
        (call, incarnation): (CallId, Incarnation),
        link: &LinkHandle,
        batches: &Arc<[Batch]>,
        attempts: u8,
        answer: Result<Vec<(StreamId, StreamAnswer)>, CallError>,
        now: Timestamp,
    ) {
        let error = match answer {
            Ok(answers) => {
                let core = Arc::clone(&self.core);
                return core.ground.draw(|entropy| self.outbox.handle_answers(call, answers, now, entropy));
            }
            Err(error) => error,
        };
        if error == CallError::Deadline {
            self.pace.handle_unanswered();
        }
        match &error {
            CallError::Lost => self.links.forget(link.id()),
            CallError::Deadline => self.links.close(link.id(), CloseCode::Deadline, "no answer in time"),
            CallError::Overloaded(_) | CallError::Refused(_) | CallError::Nonsense(_) => {}
        }
        let another = matches!(error, CallError::Lost) || self.links.current().is_some();
        if matches!(error, CallError::Lost | CallError::Deadline) && another && attempts < ATTEMPTS {
            // The peer may have come back on another link, or gone for a moment: rows that come twice count once.
            return self.launch(Pending::Relay {
                call,
                incarnation,
                batches: Arc::clone(batches),
                attempts: attempts.saturating_add(1),
            });
        }
        self.call_failed(call, &failure(&error), &words(&error), now);
    }

    fn call_failed(&mut self, call: CallId, failure: &Failure, cause: &str, now: Timestamp) {
        let core = Arc::clone(&self.core);
        core.ground.draw(|entropy| self.outbox.handle_failed(call, *failure, now, entropy));
        let retry_in_ms = self.outbox.poll_timeout().map(|at| at.since(now).0);
        warn!(peer.domain = %self.record.domain, retry_in_ms, cause, "relay to a peer failed");
    }

    /// Dials, unless that is going on.
    pub(super) fn dial(&mut self) {
        if !self.busy.insert(Chore::Dial) {
            return;
        }
        let (core, peer, context) = (Arc::clone(&self.core), self.record.clone(), self.context.clone());
        let prospect = self.prospect();
        self.tasks
            .push(Box::pin(async move { Done::Dialled(dial::dial(core, peer, prospect, context).await) }));
    }

    fn prospect(&self) -> Prospect {
        let wanted = !self.pending.is_empty() || !self.waiters.is_empty();
        let well = matches!(self.outbox.status(self.core.ground.now()).state, QueueState::Healthy);
        if wanted && well && self.trouble.is_none() { Prospect::Good } else { Prospect::Doubtful }
    }

    pub(super) fn dialled(&mut self, dialled: Result<LinkHandle, Trouble>, now: Timestamp) {
        self.busy.remove(&Chore::Dial);
        let trouble = match dialled {
            Ok(link) => return self.link_up(link, now),
            Err(trouble) => trouble,
        };
        if self.links.current().is_some() {
            // It dialled us meanwhile.
            return self.link_came();
        }
        let cause = trouble.words();
        let news = self.trouble.as_ref().is_none_or(|(_, before)| *before != trouble);
        self.trouble = Some((now, trouble.clone()));
        self.waiters_fail(&trouble);
        // What stays the same is said once.
        if news {
            warn!(peer.domain = %self.record.domain, cause, "a peer could not be dialled");
        }
        while let Some(pending) = self.pending.pop_front() {
            self.call_failed(pending.call(), &trouble.failure(), &cause, now);
        }
        match (self.comparing_waits, self.challenged) {
            (true, true) => return self.unproven(now),
            (true, false) => self.comparison_failed(trouble.failure(), now),
            (false, _) => {}
        }
        match trouble {
            Trouble::Stopped(reason) => self.outbox.handle_stopped(reason, now),
            Trouble::Unreachable(_) | Trouble::NotFound(_) | Trouble::Overloaded { .. } => {
                self.greet_later(now);
            }
        }
    }

    /// There is a link: what waited for it goes on.
    pub(super) fn link_came(&mut self) {
        let Some(link) = self.links.current().cloned() else { return };
        for waiter in self.waiters.drain(..) {
            waiter.send(Ok(link.clone())).ok();
        }
        if self.comparing_waits {
            self.compare(self.core.ground.now());
        }
        for pending in std::mem::take(&mut self.pending) {
            self.launch(pending);
        }
    }

    /// Somebody wants to ask the peer something now.
    pub(super) fn want(&mut self, waiter: oneshot::Sender<Result<LinkHandle, Trouble>>, now: Timestamp) {
        if let Some(link) = self.links.current() {
            waiter.send(Ok(link.clone())).ok();
            return;
        }
        let held = self.stop_reason().filter(|reason| is_ours(*reason)).map(Trouble::Stopped);
        let recent = self.trouble.as_ref().filter(|(at, _)| now.since(*at) < QUIET);
        if let Some(trouble) = held.or_else(|| recent.map(|(_, trouble)| trouble.clone())) {
            waiter.send(Err(trouble)).ok();
            return;
        }
        self.waiters.push(waiter);
        self.dial();
    }
}

/// Whether only our admin can end it: then we don't even ask.
const fn is_ours(reason: StopReason) -> bool {
    match reason {
        StopReason::UnprovenClaim
        | StopReason::ChainDiffers
        | StopReason::IncarnationWentBack
        | StopReason::Policy => true,
        StopReason::VersionUnsupported
        | StopReason::RefusedByPeer
        | StopReason::OurCertificateExpired
        | StopReason::CertificateRefused => false,
    }
}

fn failure(error: &CallError) -> Failure {
    match error {
        CallError::Refused(Refusal { code: ErrorCode::Malformed, .. }) => Failure::Malformed,
        CallError::Lost | CallError::Deadline | CallError::Nonsense(_) => Failure::Unreachable,
        CallError::Overloaded(retry_after) => Failure::Overloaded { retry_after: *retry_after },
        CallError::Refused(Refusal { code: ErrorCode::Untrusted | ErrorCode::PolicyRefused, .. }) => {
            Failure::Refused(StopReason::RefusedByPeer)
        }
        CallError::Refused(refusal) => {
            Failure::Overloaded { retry_after: refusal.retry_after.unwrap_or(SOME_TIME) }
        }
    }
}

fn words(error: &CallError) -> String {
    match error {
        CallError::Lost => "the link broke".to_owned(),
        CallError::Deadline => "no answer in time".to_owned(),
        CallError::Overloaded(_) => "it asks for time".to_owned(),
        CallError::Refused(refusal) => refusal.text.clone(),
        CallError::Nonsense(why) => why.clone(),
    }
}
