//! Peering: whom this domain trusts, and how two admins make their domains peers in two commands.
//!
//! `invite` prints a token; `accept` on the other side answers it over an untrusted link, and both sides store the
//! other's authority and federation key. What an admin changes here takes effect on links that are up at once.

mod accept;
mod address;
mod invite;
mod known;
mod probe;
mod queue;
mod view;

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use ed25519_dalek::SigningKey;
use qpq_core::{Domain, ErrorCode, Pin};
use qpq_federation_proto::{FederationAddress, Policy};
use qpq_storage::{Stored, WriteTx};

pub use accept::{AcceptedPeer, Confirmed};
pub use address::Moved;
pub use invite::{IssuedInvite, LinkCertificate};
pub(crate) use known::why_not;
pub use known::{Known, allowed_peer};
pub use probe::{ProbeView, StepView, TheirView};
pub use view::{Blocked, ParkedView, PeerStanding, PeerView, WouldAllow};

use crate::{Answered, Caller, Ground, Notary, Refusal, WriteJob, audit::Audited, bans};

/// What other domains are told about us, and the key that signs it.
pub struct PeeringIdentity {
    /// Whom we let in at the beginning; [`Peering::set_policy`] changes it.
    pub policy: Policy,
    /// Where our federation listener is dialled; `None`: where DNS says.
    pub address: Option<FederationAddress>,
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
    policy: Arc<RwLock<Policy>>,
}

impl Peering {
    /// On this ground, as this domain presents itself; from here on its federation key signs delivery proofs, too.
    pub fn new(ground: Arc<Ground>, identity: PeeringIdentity) -> Self {
        ground.appoint(Notary { key: identity.key.clone(), pin: identity.pin });
        let policy = Arc::new(RwLock::new(identity.policy));
        Self { ground, identity: Arc::new(identity), policy }
    }

    /// Whom we let in.
    pub fn policy(&self) -> Policy {
        *self.policy.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes whom we let in; links that are up are judged again at once.
    pub fn set_policy(&self, policy: Policy) {
        let former =
            std::mem::replace(&mut *self.policy.write().unwrap_or_else(PoisonError::into_inner), policy);
        if former != policy {
            tracing::info!(%former, %policy, "the federation policy has changed");
            self.ground.peers().peers_changed();
        }
    }

    /// The key that signs what we relay.
    pub fn federation_key(&self) -> &SigningKey {
        &self.identity.key
    }

    /// Ends a peering: its links end at once, and what waits for the domain is given back soon.
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

    /// Nobody peers with a domain that is blocked here.
    async fn not_blocked(&self, domain: &Domain) -> Answered<()> {
        let ban = bans::of_domain(self.ground.read().await?.as_mut(), domain, self.ground.now()).await?;
        ban.map_or(Ok(()), |ban| {
            let text =
                format!("{}; `peer unblock {domain}` lifts it", bans::words(&ban, self.ground.domain()));
            Err(Refusal::new(ErrorCode::PolicyRefused, text))
        })
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
