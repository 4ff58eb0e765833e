//! What a trusted peer may call.

use std::sync::Arc;

use qpq_core::{Domain, Millis, limits};
use qpq_federation_proto::{Batch, StreamId};
use qpq_metrics::Limit;
use qpq_schemas::federation_capnp::link;
use qpq_service::{
    Answered, CommitAnswer, Refusal, allowed_peer, relay,
    wire::{
        address, addresses, array, device_address, group_id, length, optional_group_id, read_commit,
        unreadable, views, write_claimed, write_commit_answer, write_failure, write_tree, write_users,
    },
};
use qpq_transport::CallGate;
use tokio_util::sync::CancellationToken;
use tracing::{Span, field, info_span};

use crate::{
    allowance::{Complaint, is_offence},
    core::Core,
    incoming,
    link::Carried,
    served::Served,
    slot::Slot,
    wire,
};

/// The call that brings rows.
const RELAY_ENQUEUE: &str = "relayEnqueue";
/// How long rows may take to be stored; who sent them waits as long (`driver/sending.rs`).
const RELAY: Millis = Millis::from_secs(15);
/// How many rows a gap counts as.
const GAP: usize = 64;

/// Heads in one answer.
pub(crate) const HEADS: usize = 1_024;

/// The capability that `hello` returns to a trusted peer: it is the authorisation.
pub(crate) struct LinkServer {
    pub(crate) core: Arc<Core>,
    pub(crate) peer: Domain,
    calls: CallGate,
    pub(crate) slot: Arc<Slot>,
    /// Ends the link.
    hang_up: CancellationToken,
}

impl LinkServer {
    pub(crate) const fn new(
        core: Arc<Core>,
        peer: Domain,
        calls: CallGate,
        slot: Arc<Slot>,
        hang_up: CancellationToken,
    ) -> Self {
        Self { core, peer, calls, slot, hang_up }
    }

    /// Lets a call in. `method` is its name in the schema.
    pub(crate) fn enter(&self, method: &'static str) -> capnp::Result<Served> {
        if self.core.stopping.is_cancelled() {
            return Err(capnp::Error::disconnected("this homeserver is stopping".to_owned()));
        }
        let may = || method == RELAY_ENQUEUE || self.slot.allowance.call(self.core.ground.now()).is_ok();
        let permit = self.calls.try_enter().filter(|_| may());
        let permit = permit.ok_or_else(|| {
            self.core.ground.metrics().limit_hit(Limit::PeerCalls);
            self.blame(Complaint::Calls);
            capnp::Error::overloaded("more calls than are served at a time: wait for some answers".to_owned())
        })?;
        Ok(Served::begin(method, self.core.ground.metrics().clone(), permit))
    }

    /// The peer did what no honest peer does.
    fn blame(&self, complaint: Complaint) {
        self.slot.allowance.blame(&self.peer, complaint, &self.hang_up, self.core.ground.now());
    }

    /// Works for a call within its frame.
    pub(crate) async fn answer<T>(
        &self,
        span: Span,
        carried: Carried,
        bound: Millis,
        work: impl Future<Output = Answered<T>>,
    ) -> Answered<T> {
        incoming::answer(&self.core.ground, &self.peer, span, carried, bound, work).await
    }

    /// The peering may have ended since the link came up.
    pub(crate) async fn still_allowed(&self) -> Answered<qpq_storage::Peer> {
        allowed_peer(&self.core.ground, self.core.peering.policy(), &self.peer).await
    }
}

/// How many rows' work a batch is. What is lost has none, and is the dearest: groups are looked for and devices cut off.
fn weight(batch: &Batch) -> usize {
    if batch.is_gap() { GAP } else { batch.rows().len() }
}

/// The span of a call, without what is only known inside.
macro_rules! span {
    ($name:literal) => {
        info_span!($name, request = field::Empty, peer.domain = field::Empty)
    };
}

impl link::Server for LinkServer {
    async fn relay_enqueue(
        self: capnp::capability::Rc<Self>,
        params: link::RelayEnqueueParams,
        mut results: link::RelayEnqueueResults,
    ) -> capnp::Result<()> {
        let served = self.enter(RELAY_ENQUEUE)?;
        let (call, carried) = {
            let params = params.get()?;
            let call = wire::read_relay(params.get_header()?, params.get_batches()?);
            (call, wire::read_call(params.get_call()))
        };
        // The rows were copied: the message they came in need not wait for the disk with them.
        drop(params);
        // It holds all that is stored with the rows.
        let work = Box::pin(async {
            let call = call?;
            let rows = call.batches.iter().map(weight).sum();
            let stored = relay::accept(&self.core.ground, &self.peer, call);
            self.core.turns.take(&self.slot, rows, stored).await
        });
        let answer = self.answer(span!("fed.relay.accept"), carried, RELAY, work).await;
        served.answered(&answer);
        if let Some(code) = answer.as_ref().err().map(|refusal| refusal.code).filter(|code| is_offence(*code))
        {
            self.blame(Complaint::Refused(code.number()));
        }
        match answer {
            Ok(answers) => {
                wire::write_answers(&answers, results.get().init_answers(length(answers.len())));
            }
            Err(refusal) => write_failure(&refusal, results.get().init_failure()),
        }
        Ok(())
    }

    async fn proxy_fetch_key_packages(
        self: capnp::capability::Rc<Self>,
        params: link::ProxyFetchKeyPackagesParams,
        mut results: link::ProxyFetchKeyPackagesResults,
    ) -> capnp::Result<()> {
        let served = self.enter("proxyFetchKeyPackages")?;
        let params = params.get()?;
        let answer = async {
            self.still_allowed().await?;
            let requester = address("requester", params.get_requester())?;
            let group = group_id(params.get_group())?;
            let nonce = array("nonce", params.get_nonce())?;
            let targets = addresses("targets", params.get_targets())?;
            let views = views(params.get_views())?;
            let claims = &self.core.key_packages;
            claims.claim_for_peer(&self.peer, &requester, &group, nonce, &targets, &views).await
        };
        let carried = wire::read_call(params.get_call());
        let answer = self.slot.turn.read(answer);
        let answer = Box::pin(answer);
        let answer = self.answer(span!("fed.link.claim"), carried, limits::INTERACTIVE, answer).await;
        served.answered(&answer);
        match answer {
            Ok(users) => write_claimed(&users, results.get().init_users(length(users.len()))),
            Err(refusal) => write_failure(&refusal, results.get().init_failure()),
        }
        Ok(())
    }

    async fn resolve_user(
        self: capnp::capability::Rc<Self>,
        params: link::ResolveUserParams,
        mut results: link::ResolveUserResults,
    ) -> capnp::Result<()> {
        let served = self.enter("resolveUser")?;
        let params = params.get()?;
        let answer = async {
            self.still_allowed().await?;
            let requester = address("requester", params.get_requester())?;
            let asked = addresses("addresses", params.get_addresses())?;
            let group = optional_group_id(params.get_group())?;
            let views = views(params.get_views())?;
            self.core.directory.resolve_for_peer(&self.peer, &requester, &asked, group.as_ref(), &views).await
        };
        let carried = wire::read_call(params.get_call());
        let answer = self.slot.turn.read(answer);
        let answer = self.answer(span!("fed.link.resolve"), carried, limits::INTERACTIVE, answer).await;
        served.answered(&answer);
        match answer {
            Ok(users) => write_users(&users, results.get().init_users(length(users.len()))),
            Err(refusal) => write_failure(&refusal, results.get().init_failure()),
        }
        Ok(())
    }

    async fn federation_health(
        self: capnp::capability::Rc<Self>,
        _: link::FederationHealthParams,
        mut results: link::FederationHealthResults,
    ) -> capnp::Result<()> {
        let served = self.enter("federationHealth")?;
        let answer = async {
            let peer = self.still_allowed().await?;
            let depth = self.core.ground.read().await?.outbox_depth(&self.peer).await?;
            Ok::<_, Refusal>((peer, depth))
        };
        let answer = self.slot.turn.read(answer);
        let answer =
            self.answer(span!("fed.link.health"), Carried::default(), limits::INTERACTIVE, answer).await;
        served.answered(&answer);
        match answer {
            Ok((peer, depth)) => {
                let now = self.core.ground.now();
                let seen = self.slot.health(now);
                let mut health = results.get().init_health();
                health.set_reachable(seen.reachable);
                health.set_state(seen.state);
                health.set_retry_at(seen.retry_at.map_or(0, qpq_core::Timestamp::as_millis));
                health.set_queued(depth.rows);
                health.set_oldest_queued_ms(depth.oldest_at.map_or(0, |oldest| now.since(oldest).0));
                health.set_clock(now.as_millis());
                health.set_pin(peer.pin.digest().as_bytes());
                health.set_standing(seen.standing.name());
                health.set_trouble(seen.trouble.unwrap_or_default());
            }
            Err(refusal) => write_failure(&refusal, results.get().init_failure()),
        }
        Ok(())
    }

    async fn stream_heads(
        self: capnp::capability::Rc<Self>,
        params: link::StreamHeadsParams,
        mut results: link::StreamHeadsResults,
    ) -> capnp::Result<()> {
        let served = self.enter("streamHeads")?;
        let params = params.get()?;
        let answer = async {
            self.still_allowed().await?;
            let named = params.get_named().map_err(unreadable)?;
            if usize::try_from(named.len()).map_or(true, |count| count > relay::STREAMS_NAMED) {
                return Err(Refusal::malformed("more streams are named than one answer shows"));
            }
            if named.is_empty() {
                let after = params.get_after().map_err(unreadable)?;
                let after = if after.is_empty() { None } else { Some(array("after", Ok(after))?) };
                let limit = usize::from(params.get_limit()).min(HEADS);
                let after = after.map(StreamId::from_bytes);
                return relay::page_of_heads(&self.core.ground, &self.peer, after, limit).await;
            }
            let streams = named.iter().map(|stream| Ok(StreamId::from_bytes(array("named", stream)?)));
            let streams: Vec<StreamId> = streams.collect::<Answered<_>>()?;
            relay::named_heads(&self.core.ground, &self.peer, &streams).await
        };
        let answer = self.slot.turn.read(answer);
        let answer =
            self.answer(span!("fed.link.heads"), Carried::default(), limits::INTERACTIVE, answer).await;
        served.answered(&answer);
        match answer {
            Ok(heads) => wire::write_heads(&heads, results.get().init_heads(length(heads.len()))),
            Err(refusal) => write_failure(&refusal, results.get().init_failure()),
        }
        Ok(())
    }

    async fn group_commit(
        self: capnp::capability::Rc<Self>,
        params: link::GroupCommitParams,
        mut results: link::GroupCommitResults,
    ) -> capnp::Result<()> {
        let served = self.enter("groupCommit")?;
        let params = params.get()?;
        // A commit's future holds all that is judged of it.
        let answer = Box::pin(async {
            self.still_allowed().await?;
            let sender = device_address("sender", params.get_sender())?;
            let submit = read_commit(params.get_submit().map_err(unreadable)?)?;
            self.core.groups.commit_from_peer(&self.peer, &sender, submit).await
        });
        let carried = wire::read_call(params.get_call());
        let answered = self.answer(span!("fed.link.commit"), carried, limits::INTERACTIVE, answer).await;
        served.answered(&answered);
        let answer = answered.unwrap_or_else(CommitAnswer::Refused);
        write_commit_answer(&answer, results.get().init_answer());
        Ok(())
    }

    async fn group_tree(
        self: capnp::capability::Rc<Self>,
        params: link::GroupTreeParams,
        mut results: link::GroupTreeResults,
    ) -> capnp::Result<()> {
        let served = self.enter("groupTree")?;
        let params = params.get()?;
        let answer = async {
            self.still_allowed().await?;
            let requester = device_address("requester", params.get_requester())?;
            let group = group_id(params.get_group())?;
            self.core.groups.tree_for_peer(&self.peer, &requester, &group, params.get_epoch()).await
        };
        let carried = wire::read_call(params.get_call());
        let answer = self.answer(span!("fed.link.tree"), carried, limits::INTERACTIVE, answer).await;
        served.answered(&answer);
        match answer {
            Ok(tree) => write_tree(&tree, results.get().init_tree()),
            Err(refusal) => write_failure(&refusal, results.get().init_failure()),
        }
        Ok(())
    }

    async fn add_checkpoint(
        self: capnp::capability::Rc<Self>,
        params: link::AddCheckpointParams,
        results: link::AddCheckpointResults,
    ) -> capnp::Result<()> {
        self.cosign(params, results).await
    }

    async fn witnessed_checkpoint(
        self: capnp::capability::Rc<Self>,
        params: link::WitnessedCheckpointParams,
        results: link::WitnessedCheckpointResults,
    ) -> capnp::Result<()> {
        self.witnessed(params, results).await
    }

    async fn log_entries(
        self: capnp::capability::Rc<Self>,
        params: link::LogEntriesParams,
        results: link::LogEntriesResults,
    ) -> capnp::Result<()> {
        self.entries(params, results).await
    }

    async fn log_consistency(
        self: capnp::capability::Rc<Self>,
        params: link::LogConsistencyParams,
        results: link::LogConsistencyResults,
    ) -> capnp::Result<()> {
        self.consistency(params, results).await
    }
}
