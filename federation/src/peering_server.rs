//! The bootstrap capability of a link: `hello` and `acceptInvite`, for anybody.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use qpq_core::{Domain, ErrorCode, Millis};
use qpq_federation_proto::{Hello, HelloVerdict, PROBE_FEATURE, Peer as Introduced, StopReason, TrustedLink};
use qpq_metrics::Limit;
use qpq_schemas::federation_capnp::{hello, link, peering};
use qpq_service::{
    Answered, LinkCertificate, Refusal, relay,
    wire::{bytes, write_failure},
};
use qpq_storage::Peer;
use qpq_transport::{CallGate, Connection, PeerCertificate, WorkerContext};
use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    allowance::Complaint,
    core::{Core, VERSIONS},
    introduction::introduce,
    link::{Dialled, LinkHandle},
    link_server::LinkServer,
    served::Served,
    slot::{Command, Slot},
    wire,
};

/// No statement is longer.
const STATEMENT_BYTES: usize = 20 * 1024;
/// Calls in flight of one peer; further ones are answered `overloaded`.
const CALLS: usize = 64;
/// How long calls that are being served may take when we stop.
const LAST_CALLS: Duration = Duration::from_secs(3);
/// When who was a stranger as it dialled may dial as a peer.
const ANEW: Millis = Millis::from_secs(1);

/// What is known of a link, on its thread.
pub(crate) struct Facts {
    core: Arc<Core>,
    connection: Connection,
    certificate: PeerCertificate,
    context: WorkerContext,
    /// Set once the link is trusted; fires when it no longer is.
    trust: RefCell<Option<CancellationToken>>,
    admitted: Notify,
    calls: CallGate,
    /// Whose introduction is being looked at.
    hellos: Mutex<()>,
    /// Fires when the peer has done too much that no honest peer does.
    hang_up: CancellationToken,
    /// What the dialling side offers, until we have introduced ourselves to it. A stranger is not asked for it.
    other: RefCell<Option<peering::Client>>,
}

impl Facts {
    pub(crate) fn new(
        core: Arc<Core>,
        connection: Connection,
        certificate: PeerCertificate,
        context: WorkerContext,
    ) -> Rc<Self> {
        Rc::new(Self {
            core,
            connection,
            certificate,
            context,
            trust: RefCell::default(),
            admitted: Notify::new(),
            calls: CallGate::new(CALLS),
            hellos: Mutex::default(),
            hang_up: CancellationToken::new(),
            other: RefCell::new(None),
        })
    }

    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn is_trusted(&self) -> bool {
        self.trust.borrow().is_some()
    }

    /// The link is trusted, as long as its peer is.
    pub(crate) fn trust(&self, slot: &Slot) {
        self.trust.replace(Some(slot.trust()));
        self.admitted.notify_one();
    }

    /// Returns when the link was trusted and no longer is.
    pub(crate) async fn distrusted(&self) {
        loop {
            let trust = self.trust.borrow().clone();
            match trust {
                Some(trust) => return trust.cancelled().await,
                None => self.admitted.notified().await,
            }
        }
    }

    /// Returns when the peer is to be hung up on.
    pub(crate) async fn offended(&self) {
        self.hang_up.cancelled().await;
    }

    /// Keeps what the other side offers, for when it has introduced itself.
    pub(crate) fn expect(&self, other: peering::Client) {
        self.other.replace(Some(other));
    }

    /// Whether who dialled was a stranger then, and nothing has changed that: such a link has a stranger's limits, and no
    /// way back for our hello.
    fn began_as_stranger(&self) -> bool {
        !self.is_trusted() && self.other.borrow().is_none()
    }

    /// Lets go of the other side.
    pub(crate) fn forget(&self) {
        self.other.take();
    }

    /// Returns when we are stopping and nothing is being served over this link any more.
    pub(crate) async fn drained(&self) {
        tokio::select! {
            biased;
            () = self.context.stopping().cancelled() => {}
            () = self.core.stopping.cancelled() => {}
        }
        let end = Instant::now() + LAST_CALLS;
        // The drivers go first: their calls are still on their way.
        sleep(Duration::from_millis(50)).await;
        while self.calls.in_flight() > 0 && Instant::now() < end {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether a peer may introduce itself once more: each introduction reads how far all of its streams are.
    fn admit_hello(&self, hello: &Hello) -> Answered<()> {
        // Who hasn't shown yet that it is this peer must not use up what the peer may.
        let Some(slot) = self.core.slot(&hello.domain).filter(|_| self.is_trusted()) else { return Ok(()) };
        let now = self.core.ground.now();
        slot.allowance.hello(now).map_err(|many| {
            self.core.ground.metrics().limit_hit(Limit::PeerCalls);
            slot.allowance.blame(&slot.domain, Complaint::Hellos, &self.hang_up, now);
            Refusal::retry(ErrorCode::RateLimited, "you have introduced yourself", many.retry_after)
        })
    }

    /// Judges who says hello, on our side of the link.
    async fn judge(&self, hello: &Hello) -> Answered<(TrustedLink, Peer)> {
        let judged = self.core.judge(&self.certificate, &hello.domain).await;
        if let Err(error) = VERSIONS.agree(hello.versions) {
            // Our admin hears it, too, of a peer; strangers may say what they like.
            if let Some(slot) = self.core.slot(&hello.domain).filter(|_| judged.is_ok()) {
                slot.tell(Command::Stop(StopReason::VersionUnsupported)).await;
            }
            return Err(Refusal::new(ErrorCode::VersionUnsupported, error.to_string()));
        }
        judged
    }

    /// Takes what a trusted peer says about itself and us; it may be a reason to stop it.
    async fn admit(&self, trusted: TrustedLink, peer: &Peer, hello: &Hello) -> Answered<Arc<Slot>> {
        if let Some(reason) = held_against(peer) {
            return Err(stopped(reason));
        }
        let slot = Core::slot_of_record(&self.core, &peer.domain).await?.ok_or_else(crate::core::stopping)?;
        let ours = self.core.ground.incarnation();
        let verdict = Introduced::new(trusted, peer.incarnation).handle_hello(
            hello,
            ours,
            VERSIONS,
            self.core.ground.now(),
        );
        match verdict {
            HelloVerdict::Stop(reason) => {
                warn!(peer.domain = %peer.domain, reason = reason.words(), "a peer's hello was refused");
                slot.tell(Command::Stop(reason)).await;
                Err(stopped(reason))
            }
            HelloVerdict::Welcome { challenged: true, .. } => {
                // It is asked over a link of its driver's, whatever this one would say.
                slot.tell(Command::Challenged).await;
                let text =
                    "your domain claims to know a later life of this domain, and is asked for the proof";
                Err(Refusal::new(ErrorCode::PolicyRefused, text))
            }
            HelloVerdict::Welcome { version, remember, skew_ms, challenged: false } => {
                if let Some(incarnation) = remember {
                    relay::remember_incarnation(&self.core.ground, &peer.domain, incarnation).await?;
                }
                slot.note_hello(version, skew_ms, self.core.ground.now());
                debug!(peer.domain = %peer.domain, skew_ms, "a peer introduced itself");
                Ok(slot)
            }
        }
    }

    /// The other way round: now that the peer is trusted, we say hello over the link that it dialled.
    fn call_back(self: &Rc<Self>, trusted: TrustedLink, peer: Peer, slot: Arc<Slot>) {
        let Some(other) = self.other.take() else { return };
        let facts = Rc::clone(self);
        self.context.spawn(async move {
            match introduce(&facts.core, &other, trusted, &peer).await {
                Ok((client, claims)) => {
                    let metrics = facts.core.ground.metrics().clone();
                    let connection = facts.connection.clone();
                    let (link, calls) =
                        LinkHandle::new(connection, client, Dialled::ByThem, claims, metrics);
                    facts.context.spawn(calls);
                    slot.tell(Command::LinkUp(link)).await;
                }
                Err(trouble) => {
                    warn!(peer.domain = %peer.domain, cause = trouble.words(), "a peer dialled us and refuses our hello");
                }
            }
        });
    }
}

/// What we hold against a peer until our admin releases it.
fn held_against(peer: &Peer) -> Option<StopReason> {
    let reason = peer.refused.as_ref()?.parse().ok()?;
    match reason {
        StopReason::UnprovenClaim | StopReason::IncarnationWentBack => Some(reason),
        // These are judged anew with each link, or concern only what we send.
        StopReason::ChainDiffers
        | StopReason::VersionUnsupported
        | StopReason::RefusedByPeer
        | StopReason::OurCertificateExpired
        | StopReason::CertificateRefused
        | StopReason::Policy => None,
    }
}

fn stopped(reason: StopReason) -> Refusal {
    let code = match reason {
        StopReason::VersionUnsupported => ErrorCode::VersionUnsupported,
        StopReason::RefusedByPeer | StopReason::CertificateRefused => ErrorCode::Untrusted,
        StopReason::UnprovenClaim
        | StopReason::ChainDiffers
        | StopReason::IncarnationWentBack
        | StopReason::OurCertificateExpired
        | StopReason::Policy => ErrorCode::PolicyRefused,
    };
    Refusal::new(code, format!("your domain is stopped here: {}", reason.words()))
}

/// The bootstrap capability.
pub(crate) struct PeeringServer {
    facts: Rc<Facts>,
}

impl PeeringServer {
    pub(crate) fn client(facts: Rc<Facts>) -> peering::Client {
        capnp_rpc::new_client(Self { facts })
    }

    fn begin(&self, method: &'static str) -> Served {
        Served::begin(method, self.facts.core.ground.metrics().clone(), None)
    }

    /// What a hello gets: our own, and the link if its sender is trusted.
    async fn welcome(&self, reader: hello::Reader<'_>) -> Answered<(Hello, link::Client)> {
        let facts = &self.facts;
        if facts.core.stopping.is_cancelled() {
            return Err(crate::core::stopping());
        }
        let mut hello = wire::read_hello(reader)?;
        // One after the other: the first decides what the others may.
        let _turn = facts.hellos.lock().await;
        facts.admit_hello(&hello)?;
        let (trusted, peer) = match facts.judge(&hello).await {
            Ok(judged) => judged,
            Err(refusal) => {
                // Strangers are counted, whatever they are told.
                facts.core.admit_stranger(facts.connection.remote_address().ip())?;
                return Err(refusal);
            }
        };
        if facts.began_as_stranger() {
            // Used in one direction only, it would look to its dialler like one that carries everything.
            let text = "your domain became a peer after it had dialled: dial once more";
            return Err(Refusal::retry(ErrorCode::RateLimited, text, ANEW));
        }
        hello.trusted = wire::read_claims(reader)?;
        let slot = facts.admit(trusted.clone(), &peer, &hello).await?;
        let ours = facts.core.trusted_hello(&peer).await?;
        facts.trust(&slot);
        // Who only looks has nothing to say, and shall see how we stand without it.
        let looks_only = hello.features.iter().any(|feature| feature == PROBE_FEATURE);
        if !looks_only {
            slot.tell(Command::Spoke).await;
        }
        let server = LinkServer::new(
            Arc::clone(&facts.core),
            peer.domain.clone(),
            facts.calls.clone(),
            Arc::clone(&slot),
            facts.hang_up.clone(),
        );
        if !looks_only {
            facts.call_back(trusted, peer, slot);
        }
        Ok((ours, capnp_rpc::new_client(server)))
    }

    async fn accept(&self, statement: Vec<u8>) -> Answered<Vec<u8>> {
        let facts = &self.facts;
        facts.core.admit_stranger(facts.connection.remote_address().ip())?;
        let chain = facts.connection.peer_chain();
        let authority = chain.get(1).map(|der| der.as_ref().to_vec()).unwrap_or_default();
        let domains: Vec<Domain> = facts.certificate.domains.clone();
        let link = LinkCertificate { domains, authority, pin: facts.certificate.ca_pin };
        facts.core.peering.accept_invite(&statement, &link).await
    }
}

impl peering::Server for PeeringServer {
    async fn hello(
        self: capnp::capability::Rc<Self>,
        params: peering::HelloParams,
        mut results: peering::HelloResults,
    ) -> capnp::Result<()> {
        let served = self.begin("hello");
        let reader = params.get()?.get_hello()?;
        let welcome = self.welcome(reader).await;
        served.answered(&welcome);
        match welcome {
            Ok((ours, link)) => {
                let mut results = results.get();
                wire::write_hello(&ours, results.reborrow().init_hello());
                results.set_link(link);
            }
            Err(refusal) => {
                let mut results = results.get();
                wire::write_hello(&self.facts.core.hello(), results.reborrow().init_hello());
                write_failure(&refusal, results.init_failure());
            }
        }
        Ok(())
    }

    async fn accept_invite(
        self: capnp::capability::Rc<Self>,
        params: peering::AcceptInviteParams,
        mut results: peering::AcceptInviteResults,
    ) -> capnp::Result<()> {
        let served = self.begin("acceptInvite");
        let statement = bytes("statement", params.get()?.get_statement(), STATEMENT_BYTES);
        let answer = match statement {
            Ok(statement) => self.accept(statement).await,
            Err(refusal) => Err(refusal),
        };
        served.answered(&answer);
        match answer {
            Ok(answer) => results.get().set_answer(&answer),
            Err(refusal) => write_failure(&refusal, results.get().init_failure()),
        }
        Ok(())
    }
}
