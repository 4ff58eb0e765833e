//! Dialling a peer: find its address, shake hands, compare its authority with the pin, say hello.

use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use qpq_core::{Domain, Pin};
use qpq_federation_proto::{FederationAddress, Presented, StopReason, Target, Undiscovered};
use qpq_metrics::{Direction, Outcome};
use qpq_schemas::federation_capnp::peering;
use qpq_service::{Answered, Known};
use qpq_storage::Peer;
use qpq_transport::{
    Anchors, CloseCode, Connection, DialError, DialTls, Profile, Rpc, RpcLimits, Verdict, WorkerContext,
};
use tokio::time::Instant;
use tracing::debug;

use crate::{
    core::{Core, address_of},
    discovery::{Memory, counted},
    introduction::introduce,
    link::{Dialled, LinkHandle},
    peering_server::{Facts, PeeringServer},
    slot::Trouble,
};

/// How long one address may take.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(4);

/// Whether a peer is expected to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prospect {
    /// Something waits for it, and nothing speaks against it.
    Good,
    /// It didn't answer last time, or nothing waits for it.
    Doubtful,
}

/// Dials a peer and introduces us; the link lives on this thread.
pub(crate) async fn dial(
    core: Arc<Core>,
    peer: Peer,
    prospect: Prospect,
    context: WorkerContext,
) -> Result<LinkHandle, Trouble> {
    let turns = match prospect {
        Prospect::Good => &core.dials,
        Prospect::Doubtful => &core.doubtful_dials,
    };
    let _turn = turns.acquire().await.map_err(|_| Trouble::Unreachable("stopping".to_owned()))?;
    let address = address_of(&peer).map_err(Trouble::Unreachable)?;
    let connection = connect(&core, &peer.domain, address.as_ref()).await?;
    let Some(certificate) = connection.peer_certificate() else {
        return Err(Trouble::Stopped(StopReason::CertificateRefused));
    };
    let presented = core.presented(&certificate, &peer.domain, Some(&peer));
    let state =
        known(&core, &peer.domain).await.map_err(|refusal| Trouble::Unreachable(refusal.text))?.state();
    let trusted = qpq_federation_proto::judge_link(&peer.domain, presented, state, core.peering.policy())
        .map_err(|_| {
            connection.close(CloseCode::Untrusted, "the certificate is not the expected one");
            Trouble::Stopped(if presented == Presented::Trusted {
                StopReason::Policy
            } else {
                StopReason::CertificateRefused
            })
        })?;
    let (reader, writer) =
        connection.open_stream().await.map_err(|error| Trouble::Unreachable(error.to_string()))?;
    let facts = Facts::new(Arc::clone(&core), connection.clone(), certificate, context.clone());
    let slot = core.slot(&peer.domain).ok_or(Trouble::Stopped(StopReason::Policy))?;
    facts.trust(&slot);
    let ours = PeeringServer::client(Rc::clone(&facts));
    let mut rpc = Rpc::calling(reader, writer, Some(ours.client), RpcLimits::peer());
    let other: peering::Client = rpc.other_side();
    context.spawn(core.tasks.track_future(run(rpc, facts)));
    match introduce(&core, &other, trusted, &peer).await {
        Ok((client, claims)) => {
            let metrics = core.ground.metrics().clone();
            let (link, calls) = LinkHandle::new(connection, client, Dialled::ByUs, claims, metrics);
            context.spawn(calls);
            Ok(link)
        }
        Err(trouble) => {
            connection.close(CloseCode::Done, "no link without an introduction");
            Err(trouble)
        }
    }
}

async fn known(core: &Core, domain: &Domain) -> Answered<Known> {
    Ok(Known::read(core.ground.read().await?.as_mut(), domain, core.ground.now()).await?)
}

/// Drives a dialled link's RPC until it ends.
async fn run(rpc: Rpc, facts: Rc<Facts>) {
    let connection = facts.connection().clone();
    tokio::select! {
        biased;
        ended = rpc.run() => match ended {
            Ok(()) => connection.close(CloseCode::Done, ""),
            Err(fault) => connection.close(CloseCode::BadFrame, &fault.to_string()),
        },
        () = facts.offended() => {
            connection.close(CloseCode::Overloaded, "too much that no honest peer does: come back later");
        }
        () = facts.distrusted() => connection.close(CloseCode::Revoked, "the peering has ended or changed"),
        () = facts.drained() => connection.close(CloseCode::Draining, "stopping"),
    }
}

/// Presents a statement to an inviter whose authority must have this pin.
pub(crate) async fn present(
    core: Arc<Core>,
    inviter: Domain,
    address: Option<FederationAddress>,
    pin: Pin,
    statement: Vec<u8>,
    context: WorkerContext,
) -> Result<Result<Vec<u8>, qpq_service::Refusal>, Trouble> {
    let connection = connect(&core, &inviter, address.as_ref()).await?;
    let anchors = Anchors { domain: &inviter, pins: &[pin] };
    let judged =
        connection.peer_certificate().map(|certificate| certificate.judge(&anchors, core.ground.now()));
    if judged != Some(Verdict::Trusted) {
        connection.close(CloseCode::Untrusted, "the certificate is not the one that the invite names");
        return Err(Trouble::Stopped(StopReason::CertificateRefused));
    }
    let (reader, writer) =
        connection.open_stream().await.map_err(|error| Trouble::Unreachable(error.to_string()))?;
    let mut rpc = Rpc::calling(reader, writer, None, RpcLimits::peer());
    let other: peering::Client = rpc.other_side();
    let end = connection.clone();
    context.spawn(async move {
        rpc.run().await.ok();
        end.close(CloseCode::Done, "");
    });
    let started = Instant::now();
    let answer = ask(&other, &statement).await;
    let outcome = match &answer {
        Ok(answer) => Outcome::of(answer.as_ref().err().map(|refusal| refusal.code)),
        Err(_) => Outcome::Failed,
    };
    core.ground.metrics().peer_call(Direction::Sent, "acceptInvite", outcome, started.elapsed());
    connection.close(CloseCode::Done, "");
    answer
}

async fn ask(
    other: &peering::Client,
    statement: &[u8],
) -> Result<Result<Vec<u8>, qpq_service::Refusal>, Trouble> {
    let broken = |error: capnp::Error| Trouble::Unreachable(error.to_string());
    let mut request = other.accept_invite_request();
    request.get().set_statement(statement);
    let response = request.send().promise.await.map_err(broken)?;
    let results = response.get().map_err(broken)?;
    if results.has_failure() {
        let failure = results.get_failure().map_err(broken)?;
        return Ok(Err(qpq_service::wire::read_failure(failure).unwrap_or_else(|unreadable| unreadable)));
    }
    Ok(Ok(results.get_answer().map_err(broken)?.to_vec()))
}

/// Finds a domain and shakes hands with the first of its targets that is there.
async fn connect(
    core: &Core,
    domain: &Domain,
    known: Option<&FederationAddress>,
) -> Result<Connection, Trouble> {
    let lost = |undiscovered: Undiscovered| {
        core.ground.metrics().discovery_failed(counted(&undiscovered));
        Trouble::NotFound(undiscovered)
    };
    let local = core.endpoint.local_addr();
    let (asked, targets) = core.discovery.find(&core.ground, domain, known, local, Memory::Used).await;
    let tls = DialTls::federation(&core.leaf, domain);
    let mut trouble = None;
    for target in targets.map_err(lost)? {
        match core.endpoint.dial(sendable(local.ip(), target.address), &tls, Profile::Peer, HANDSHAKE).await {
            Ok(connection) => return Ok(connection),
            Err(error) => {
                debug!(peer.domain = %domain, address = %target.address, %error, "an address could not be dialled");
                let new = missed(domain, &target, error);
                // Who answered tells more than who didn't.
                if !matches!((&trouble, &new), (Some(_), Trouble::Unreachable(_))) {
                    trouble = Some(new);
                }
            }
        }
    }
    core.discovery.doubt(&core.ground, &asked);
    match trouble {
        Some(Trouble::NotFound(undiscovered)) => Err(lost(undiscovered)),
        Some(trouble) => Err(trouble),
        None => Err(Trouble::Unreachable("it has no address that can be dialled from here".to_owned())),
    }
}

/// What a dial that failed means.
fn missed(domain: &Domain, target: &Target, error: DialError) -> Trouble {
    match error {
        DialError::Untrusted { verdict: Verdict::WrongDomain, showed, .. } => {
            Trouble::NotFound(Undiscovered::AnotherDomain {
                domain: domain.clone(),
                address: target.address,
                showed,
            })
        }
        DialError::Untrusted { .. } => Trouble::Stopped(StopReason::CertificateRefused),
        other => Trouble::Unreachable(other.to_string()),
    }
}

/// The address as our socket writes it: one that is open for both versions has the mapped form of IPv4.
pub(crate) fn sendable(local: IpAddr, to: SocketAddr) -> SocketAddr {
    match (local, to.ip()) {
        (IpAddr::V6(_), IpAddr::V4(theirs)) => SocketAddr::new(theirs.to_ipv6_mapped().into(), to.port()),
        _ => to,
    }
}
