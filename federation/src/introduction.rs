//! `hello`, said by us: with what a peer answers, a link can be used, or we know why not.

use std::{sync::Arc, time::Duration};

use qpq_core::{ErrorCode, Millis};
use qpq_federation_proto::{HelloVerdict, Peer as Introduced, StopReason, TrustedLink};
use qpq_metrics::{Direction, Outcome};
use qpq_schemas::federation_capnp::{link, peering};
use qpq_service::{
    Refusal, relay,
    wire::{read_failure, unreadable},
};
use qpq_storage::Peer;
use tokio::time::{Instant, timeout};

use crate::{
    core::{Core, VERSIONS},
    slot::Trouble,
    wire,
};

/// How long a hello may take.
const HELLO: Duration = Duration::from_secs(5);
/// How long we leave a peer alone that asks for time without saying how much.
const SOME_TIME: Millis = Millis::from_secs(5);

/// What a peer's hello says about our streams over there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Whether it has just what we have heard of.
    pub(crate) agree: bool,
    /// Whether it claims to have seen a later life of ours.
    pub(crate) challenged: bool,
}

/// Introduces us over a link whose certificate is trusted; returns what we may call, and what the peer claims.
pub(crate) async fn introduce(
    core: &Arc<Core>,
    other: &peering::Client,
    trusted: TrustedLink,
    peer: &Peer,
) -> Result<(link::Client, Claims), Trouble> {
    let started = Instant::now();
    let answer = say_hello(core, other, trusted, peer).await;
    let outcome = match &answer {
        Ok(_) => Outcome::Ok,
        Err(Trouble::Stopped(_)) => Outcome::Refused,
        Err(Trouble::Overloaded { .. }) => Outcome::Later,
        Err(Trouble::Unreachable(_) | Trouble::NotFound(_)) => Outcome::Failed,
    };
    core.ground.metrics().peer_call(Direction::Sent, "hello", outcome, started.elapsed());
    answer
}

async fn say_hello(
    core: &Arc<Core>,
    other: &peering::Client,
    trusted: TrustedLink,
    peer: &Peer,
) -> Result<(link::Client, Claims), Trouble> {
    let ours = core.trusted_hello(peer).await.map_err(local)?;
    let mut request = other.hello_request();
    wire::write_hello(&ours, request.get().init_hello());
    let response = timeout(HELLO, request.send().promise)
        .await
        .map_err(|_| Trouble::Unreachable("it did not answer `hello`".to_owned()))?
        .map_err(broken)?;
    let results = response.get().map_err(broken)?;
    if results.has_failure() {
        let failure =
            read_failure(results.get_failure().map_err(broken)?).map_err(|refusal| nonsense(&refusal))?;
        return Err(refused(&failure));
    }
    let theirs = results.get_hello().map_err(broken)?;
    let mut hello = wire::read_hello(theirs).map_err(|refusal| nonsense(&refusal))?;
    hello.trusted = wire::read_claims(theirs).map_err(|refusal| nonsense(&refusal))?;
    let verdict = Introduced::new(trusted, peer.incarnation).handle_hello(
        &hello,
        core.ground.incarnation(),
        VERSIONS,
        core.ground.now(),
    );
    match verdict {
        HelloVerdict::Stop(reason) => Err(Trouble::Stopped(reason)),
        HelloVerdict::Welcome { version, remember, skew_ms, challenged } => {
            if let Some(slot) = core.slot(&peer.domain) {
                slot.note_hello(version, skew_ms, core.ground.now());
            }
            if let Some(incarnation) = remember {
                relay::remember_incarnation(&core.ground, &peer.domain, incarnation).await.map_err(local)?;
            }
            let heard = relay::heard_of(&core.ground, &peer.domain).await.map_err(local)?;
            let named = hello.trusted.as_ref().map(|claims| (claims.streams, claims.heads));
            let claims = Claims { agree: named == Some(heard), challenged };
            let link = results.get_link().map_err(unreadable).map_err(|refusal| nonsense(&refusal))?;
            Ok((link, claims))
        }
    }
}

fn refused(failure: &Refusal) -> Trouble {
    match failure.code {
        ErrorCode::VersionUnsupported => Trouble::Stopped(StopReason::VersionUnsupported),
        ErrorCode::CertificateExpired => Trouble::Stopped(StopReason::OurCertificateExpired),
        ErrorCode::Untrusted | ErrorCode::PolicyRefused => Trouble::Stopped(StopReason::RefusedByPeer),
        _ => Trouble::Overloaded { retry_after: failure.retry_after.unwrap_or(SOME_TIME) },
    }
}

/// Our own trouble, not the peer's.
fn local(refusal: Refusal) -> Trouble {
    Trouble::Unreachable(refusal.text)
}

fn nonsense(refusal: &Refusal) -> Trouble {
    Trouble::Unreachable(format!("its `hello` makes no sense: {}", refusal.text))
}

fn broken(error: capnp::Error) -> Trouble {
    match crate::link::CallError::from(error) {
        crate::link::CallError::Overloaded(retry_after) => Trouble::Overloaded { retry_after },
        crate::link::CallError::Nonsense(why) => Trouble::Unreachable(why),
        _ => Trouble::Unreachable("the link broke".to_owned()),
    }
}
