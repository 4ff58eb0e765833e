//! What the peer has of our streams: asked for when a hello or an answer doesn't fit what we have heard, and settled before
//! anything else goes out.

use std::{sync::Arc, time::Duration};

use qpq_core::{FederationKey, Millis, Timestamp};
use qpq_federation_proto::{Failure, PeerHead, StopReason, StreamId};
use qpq_service::{
    Answered,
    relay::{self, Compared, NamedHead, Proven},
};
use qpq_transport::CloseCode;
use tracing::warn;

use super::{Done, Driver};
use crate::{
    core::Core,
    link::{CallError, LinkHandle},
    link_server::HEADS,
    slot::Trouble,
};

/// How long one page may take.
const PAGE: Duration = Duration::from_secs(8);
/// Heads that are compared in all: as many streams as we would follow of a peer.
const MOST: usize = 100_000;
/// When it was too early to send rows again.
const LATER: Millis = Millis::from_secs(600);

/// What came of asking and comparing.
#[derive(Debug)]
pub(crate) enum Comparison {
    /// Everything that followed is stored.
    Settled { heads: Vec<qpq_federation_proto::StreamHead>, replayed: bool },
    /// The peer must wait until rows that it has lost are sent again.
    TooEarly,
    /// The peer's claims count for nothing.
    Unproven,
    /// This database is older than what was sent from it; this server stops.
    Halted,
    /// The peer could not be asked.
    Failed(CallError),
    /// Our own trouble.
    NotStored,
}

impl Driver {
    /// Asks and compares, over the link that is up or one that is dialled now.
    pub(super) fn compare(&mut self, now: Timestamp) {
        let Some(link) = self.links.current().cloned() else {
            self.comparing_waits = true;
            return self.dial();
        };
        self.comparing_waits = false;
        let (core, peer) = (Arc::clone(&self.core), self.record.domain.clone());
        let may_replay = self.outbox.replay_in(now).is_none();
        let challenged = self.challenged || link.claims().challenged;
        self.begin(Box::pin(async move {
            let compared = ask_and_compare(&core, &peer, &link, may_replay, challenged).await;
            Done::Compared(link, compared)
        }));
    }

    pub(super) fn compared(&mut self, link: &LinkHandle, compared: Comparison, now: Timestamp) {
        match compared {
            Comparison::Settled { heads, replayed } => {
                self.outbox.handle_reconciled(heads, true, replayed, now);
            }
            Comparison::TooEarly => {
                let retry_after = self.outbox.replay_in(now).unwrap_or(LATER);
                self.comparison_failed(Failure::Overloaded { retry_after }, now);
            }
            Comparison::Unproven => self.unproven(now),
            // The process ends; until then nothing goes out.
            Comparison::Halted => {}
            Comparison::Failed(error) => {
                if error == CallError::Lost {
                    self.links.forget(link.id());
                }
                self.comparison_failed(failure(&error), now);
            }
            Comparison::NotStored => self.outbox.handle_not_compared(now),
        }
    }

    /// The peer claims something about us and shows no proof, or can't be asked for it: it alone is stopped.
    pub(super) fn unproven(&mut self, now: Timestamp) {
        warn!(peer.domain = %self.record.domain, "a peer claims something about this domain and shows no proof");
        self.challenged = false;
        self.comparison_failed(Failure::Refused(StopReason::UnprovenClaim), now);
        self.slot.distrust();
        self.links.close_all(CloseCode::Revoked, "an unproven claim about this domain");
        self.waiters_fail(&Trouble::Stopped(StopReason::UnprovenClaim));
    }

    /// The link that the comparison waited for did not come.
    pub(super) fn comparison_failed(&mut self, failure: Failure, now: Timestamp) {
        self.comparing_waits = false;
        let core = Arc::clone(&self.core);
        core.ground.draw(|entropy| self.outbox.handle_not_reconciled(failure, now, entropy));
    }
}

async fn ask_and_compare(
    core: &Arc<Core>,
    peer: &qpq_core::Domain,
    link: &LinkHandle,
    may_replay: bool,
    challenged: bool,
) -> Comparison {
    let heads = match all_heads(link).await {
        Ok(heads) => heads,
        Err(error) => return Comparison::Failed(error),
    };
    match relay::compare(&core.ground, peer, heads, may_replay).await {
        // It claims a later life of ours, and no stream of it.
        Ok(Compared::Settled { .. } | Compared::TooEarly) if challenged => Comparison::Unproven,
        Ok(Compared::Settled { heads, replayed }) => Comparison::Settled { heads, replayed },
        Ok(Compared::TooEarly) => Comparison::TooEarly,
        Ok(Compared::Doubts(streams)) => judge(core, peer, link, streams).await,
        Err(_) => Comparison::NotStored,
    }
}

async fn all_heads(link: &LinkHandle) -> Result<Vec<PeerHead>, CallError> {
    let mut heads: Vec<PeerHead> = Vec::new();
    loop {
        let after = heads.last().map(|head| head.stream);
        let page = link.heads_after(PAGE, after).await?;
        let ordered = page.iter().map(|named| named.head.stream).is_sorted()
            && page.first().is_none_or(|first| after.is_none_or(|after| first.head.stream > after));
        if !ordered || heads.len() > MOST {
            return Err(CallError::Nonsense("its stream heads come in no order, or without end".to_owned()));
        }
        let last = page.len() < HEADS;
        heads.extend(page.into_iter().map(|named| named.head));
        if last {
            return Ok(heads);
        }
    }
}

/// Asks for evidence of what is in doubt; some of it is enough.
async fn judge(
    core: &Arc<Core>,
    peer: &qpq_core::Domain,
    link: &LinkHandle,
    mut streams: Vec<StreamId>,
) -> Comparison {
    streams.truncate(relay::STREAMS_NAMED);
    let shown = match link.evidence(PAGE, streams).await {
        Ok(shown) => shown,
        Err(error) => return Comparison::Failed(error),
    };
    let shown: Vec<(StreamId, Vec<u8>)> =
        shown.into_iter().map(|NamedHead { head, header }| (head.stream, header)).collect();
    let key = FederationKey::from_bytes(core.peering.federation_key().verifying_key().to_bytes());
    let proven: Answered<Proven> = relay::prove(&core.ground, &key, peer, &shown).await;
    match proven {
        Ok(Proven::Nothing) => Comparison::Unproven,
        Ok(Proven::Rollback(_)) => Comparison::Halted,
        Err(_) => Comparison::NotStored,
    }
}

fn failure(error: &CallError) -> Failure {
    match error {
        CallError::Lost | CallError::Deadline | CallError::Nonsense(_) => Failure::Unreachable,
        CallError::Overloaded(retry_after) => Failure::Overloaded { retry_after: *retry_after },
        CallError::Refused(refusal) => {
            Failure::Overloaded { retry_after: refusal.retry_after.unwrap_or(Millis::from_secs(15)) }
        }
    }
}
