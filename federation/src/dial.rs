//! Dialling a peer: find its address, shake hands, compare its authority with the pin, say hello.

use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use qpq_core::{Domain, Pin};
use qpq_federation_proto::{FederationAddress, Presented, StopReason};
use qpq_metrics::{Direction, Outcome};
use qpq_schemas::federation_capnp::peering;
use qpq_service::{Answered, Known};
use qpq_storage::Peer;
use qpq_transport::{
    Anchors, CloseCode, Connection, DialError, DialTls, Profile, Rpc, RpcLimits, Verdict, WorkerContext,
};
use tokio::{
    net::lookup_host,
    time::{Instant, timeout},
};
use tracing::debug;

use crate::{
    core::{Core, address_of},
    introduction::introduce,
    link::{Dialled, LinkHandle},
    peering_server::{Facts, PeeringServer},
    slot::Trouble,
};

/// How long one address may take, and how many are tried.
const HANDSHAKE: Duration = Duration::from_secs(4);
const ADDRESSES: usize = 4;
/// How long a name server may take.
const LOOKUP: Duration = Duration::from_secs(3);

/// Dials a peer and introduces us; the link lives on this thread.
pub(crate) async fn dial(core: Arc<Core>, peer: Peer, context: WorkerContext) -> Result<LinkHandle, Trouble> {
    let _turn = core.dials.acquire().await.map_err(|_| Trouble::Unreachable("stopping".to_owned()))?;
    let address = address_of(&peer).map_err(Trouble::Unreachable)?;
    let connection = connect(&core, &peer.domain, &address).await?;
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
        Ok(client) => {
            let (link, calls) =
                LinkHandle::new(connection, client, Dialled::ByUs, core.ground.metrics().clone());
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
        () = facts.distrusted() => connection.close(CloseCode::Revoked, "the peering has ended or changed"),
        () = facts.drained() => connection.close(CloseCode::Draining, "stopping"),
    }
}

/// Presents a statement to an inviter whose authority must have this pin.
pub(crate) async fn present(
    core: Arc<Core>,
    inviter: Domain,
    address: FederationAddress,
    pin: Pin,
    statement: Vec<u8>,
    context: WorkerContext,
) -> Result<Result<Vec<u8>, qpq_service::Refusal>, Trouble> {
    let connection = connect(&core, &inviter, &address).await?;
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

async fn connect(core: &Core, domain: &Domain, address: &FederationAddress) -> Result<Connection, Trouble> {
    let addresses = timeout(LOOKUP, lookup_host((address.host(), address.port())))
        .await
        .map_err(|_| {
            Trouble::Unreachable(format!("the name `{}` could not be resolved in time", address.host()))
        })?
        .map_err(|error| {
            Trouble::Unreachable(format!("the name `{}` could not be resolved: {error}", address.host()))
        })?;
    let tls = DialTls::federation(&core.leaf, domain);
    let mut trouble =
        Trouble::Unreachable(format!("`{address}` has no address that can be dialled from here"));
    let local = core.endpoint.local_addr().ip();
    for to in addresses.filter_map(|to| reachable_from(local, to)).take(ADDRESSES) {
        match core.endpoint.dial(to, &tls, Profile::Peer, HANDSHAKE).await {
            Ok(connection) => return Ok(connection),
            Err(error) => {
                debug!(peer.domain = %domain, %error, "an address could not be dialled");
                trouble = match error {
                    DialError::Untrusted { .. } => Trouble::Stopped(StopReason::CertificateRefused),
                    other => Trouble::Unreachable(other.to_string()),
                };
            }
        }
    }
    Err(trouble)
}

/// The address as our socket can send to it, if it can.
fn reachable_from(local: IpAddr, to: SocketAddr) -> Option<SocketAddr> {
    match (local, to.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Some(to),
        // `[::]` is open for both.
        (IpAddr::V6(ours), IpAddr::V4(theirs)) if ours.is_unspecified() => {
            Some(SocketAddr::new(theirs.to_ipv6_mapped().into(), to.port()))
        }
        (IpAddr::V6(_), IpAddr::V4(_)) | (IpAddr::V4(_), IpAddr::V6(_)) => None,
    }
}
