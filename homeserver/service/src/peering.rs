//! Peering: whom this domain trusts, and how two admins make their domains peers in two commands.
//!
//! `invite` prints a token; `accept` on the other side answers it over an untrusted link, and both sides store the
//! other's authority and federation key. What an admin changes here takes effect on links that are up at once.

mod accept;
mod invite;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
use ed25519_dalek::SigningKey;
use qpq_core::{Domain, ErrorCode, Pin};
use qpq_federation_proto::{FederationAddress, Policy};
use qpq_storage::{Peer, PeerState, Stored, WriteTx};

pub use accept::{AcceptedPeer, Confirmed};
pub use invite::{IssuedInvite, LinkCertificate};
pub use view::PeerView;

use crate::{Answered, Caller, Ground, Refusal, WriteJob, audit::Audited};

/// What other domains are told about us, and the key that signs it.
pub struct PeeringIdentity {
    /// Whom we let in.
    pub policy: Policy,
    /// Where our federation listener is dialled.
    pub address: FederationAddress,
    /// Our federation CA, DER.
    pub ca_certificate: Vec<u8>,
    /// Its pin.
    pub pin: Pin,
    /// Our federation key: signs invites, statements, receipts and relay headers.
    pub key: SigningKey,
}

impl std::fmt::Debug for PeeringIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeeringIdentity")
            .field("policy", &self.policy)
            .field("address", &self.address)
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

/// The use cases of peering. Clones share everything.
#[derive(Clone, Debug)]
pub struct Peering {
    ground: Arc<Ground>,
    identity: Arc<PeeringIdentity>,
}

impl Peering {
    /// On this ground, as this domain presents itself.
    pub fn new(ground: Arc<Ground>, identity: PeeringIdentity) -> Self {
        Self { ground, identity: Arc::new(identity) }
    }

    /// Whom we let in.
    pub fn policy(&self) -> Policy {
        self.identity.policy
    }

    /// The key that signs what we relay.
    pub fn federation_key(&self) -> &SigningKey {
        &self.identity.key
    }

    /// Why a domain would be let in or not, in words.
    pub async fn would_allow(&self, domain: &Domain) -> Answered<String> {
        let record = self.ground.read().await?.peer(domain).await?;
        Ok(self.policy().would_allow(record.map(|peer| protocol_state(peer.state))).words(domain))
    }

    /// Ends a peering: rows that wait for the domain are dropped, and its links end at once.
    pub async fn remove(&self, domain: &Domain, caller: &Caller) -> Answered<()> {
        let entry = caller.entry(&self.ground, "peer.remove", domain.to_string(), String::new());
        let job = Remove { domain: domain.clone() };
        let removed = self.ground.write(Audited { job, entry, changed: |removed| *removed }).await?;
        if !removed {
            return Err(unknown(domain));
        }
        self.ground.peers().peers_changed();
        Ok(())
    }

    /// Nobody peers with a domain that lets nobody in.
    fn open_for_peers(&self) -> Answered<()> {
        match self.policy() {
            Policy::Open | Policy::AllowListed => Ok(()),
            Policy::Closed => Err(Refusal::new(
                ErrorCode::PolicyRefused,
                "this domain's federation policy is `closed`: set `federation.policy` to `allow-listed` first",
            )),
        }
    }
}

/// The record's state as the protocol's rules read it.
pub const fn protocol_state(state: PeerState) -> qpq_federation_proto::PeerState {
    match state {
        PeerState::Allowed => qpq_federation_proto::PeerState::Allowed,
        PeerState::AwaitingConfirmation => qpq_federation_proto::PeerState::AwaitingConfirmation,
        PeerState::Blocked => qpq_federation_proto::PeerState::Blocked,
    }
}

/// The record of a domain that may be spoken with now.
pub async fn allowed_peer(ground: &Ground, policy: Policy, domain: &Domain) -> Answered<Peer> {
    let record = ground.read().await?.peer(domain).await?;
    let state = record.as_ref().map(|peer| protocol_state(peer.state));
    record.filter(|_| policy.would_allow(state).allows()).ok_or_else(|| {
        Refusal::new(ErrorCode::PolicyRefused, format!("`{domain}` is not a peer of `{}`", ground.domain()))
    })
}

fn unknown(domain: &Domain) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("`{domain}` is no peer; `peer list` shows all"))
}

struct Remove {
    domain: Domain,
}

#[async_trait]
impl WriteJob for Remove {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        tx.peer_remove(&self.domain).await
    }
}
