//! Carries the federation protocol over Cap'n Proto and QUIC: the thin shell around `federation/proto`.
//!
//! [`Federation::start`] takes up every peer's queue from the store and becomes the ground's way to other domains
//! (`qpq_service::PeerCalls`). Then, for each peer, one driver lives on a worker thread:
//!
//! * It runs the outbox core: load rows, sign, `relayEnqueue`, note what the peer has stored, go on.
//! * It keeps one link, whichever side dialled it. It dials only when there is something to send or to ask, and once
//!   at start, so that a peer that waits for us hears that we are back.
//!
//! A link that a peer dialled comes in through [`Federation::handler`]. It has `hello` and `acceptInvite` and nothing
//! else until `hello` has shown that its certificate is trusted; the `Link` that `hello` then returns is the
//! authorisation. What an admin changes is judged again at once on every link that is up.
#![expect(clippy::future_not_send, reason = "Cap'n Proto is `!Send`: a link lives on one thread")]

mod allowance;
mod calls;
mod core;
mod dial;
mod discovery;
mod doorstep;
mod driver;
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod incoming;
mod introduction;
mod link;
mod link_server;
mod log_calls;
mod log_server;
mod peer_calls;
mod peering_server;
mod probe;
mod served;
mod slot;
mod turns;
mod wire;

use std::{sync::Arc, time::Duration};

use qpq_service::{Answered, Directory, Ground, Groups, KeyPackages, Peering};
use qpq_transport::{Endpoint, Leaf, WorkerContext, Workers};

use crate::{core::Core, peer_calls::Way};
pub use discovery::{AnchorError, Discovery, DiscoverySettings, Dnssec};
pub use handler::PeerHandler;

/// What federation stands on.
#[derive(Debug)]
pub struct FederationConfig {
    /// Domain, store, clock; [`Federation::start`] connects it to other domains.
    pub ground: Arc<Ground>,
    /// Whom we trust, and the key that signs what we relay.
    pub peering: Peering,
    /// Answers `resolveUser`.
    pub directory: Directory,
    /// Answers `proxyFetchKeyPackages`.
    pub key_packages: KeyPackages,
    /// Answers group calls and applies rows.
    pub groups: Groups,
    /// The threads that links and drivers live on.
    pub workers: Workers,
    /// The federation listener; links are dialled from it too.
    pub endpoint: Endpoint,
    /// Our certificate.
    pub leaf: Leaf,
    /// Finds peers without an address.
    pub discovery: Discovery,
}

/// The running federation. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct Federation(Arc<Core>);

impl Federation {
    /// Takes up every peer's queue and connects the ground to other domains. The listener is the caller's to serve:
    /// `workers.serve(&endpoint, limits, federation.handler())`.
    pub async fn start(config: FederationConfig) -> Answered<Self> {
        let core = Core::new(config);
        core.ground.connect_peers(Arc::new(Way(Arc::downgrade(&core))));
        Core::start(&core).await?;
        Ok(Self(core))
    }

    /// Makes the listener's handler, one on each worker.
    pub fn handler(&self) -> impl Fn(&WorkerContext) -> PeerHandler + Send + Sync + 'static {
        let core = Arc::clone(&self.0);
        move |_| PeerHandler::new(Arc::clone(&core))
    }

    /// Sends nothing new, lets what is on its way end, and closes every link with a reason. To be called before the
    /// workers stop.
    pub async fn stop(&self, deadline: Duration) {
        self.0.stop(deadline).await;
    }
}
