//! What the store says about a domain: the record that the admin made, and the ban that counts now. The record alone
//! lets nobody in; every place that asks whether a domain may be spoken with asks here.

use qpq_core::{Domain, ErrorCode, Timestamp};
use qpq_federation_proto::{Policy, Untrusted, Verdict};
use qpq_storage::{Ban, Pause, Peer, PeerState, ReadTx, Stored};

use crate::{Answered, Ground, Refusal, bans};

/// A domain as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its record, if it is a peer.
    pub peer: Option<Peer>,
    /// The ban that counts now.
    pub ban: Option<Ban>,
    /// That an admin told its queue to wait.
    pub pause: Option<Pause>,
}

impl Known {
    /// Reads it.
    pub async fn read(tx: &mut dyn ReadTx, domain: &Domain, now: Timestamp) -> Stored<Self> {
        Ok(Self {
            peer: tx.peer(domain).await?,
            ban: bans::of_domain(tx, domain, now).await?,
            pause: tx.pause(domain).await?,
        })
    }

    /// As the protocol's rules read it: a ban counts before everything else.
    pub fn state(&self) -> Option<qpq_federation_proto::PeerState> {
        if self.ban.is_some() {
            return Some(qpq_federation_proto::PeerState::Blocked);
        }
        self.peer.as_ref().map(|peer| protocol_state(peer.state))
    }

    /// Why a policy does not let it in, for itself; `None`: it does.
    pub fn kept_out(&self, policy: Policy, domain: &Domain, us: &Domain) -> Option<String> {
        match (&self.ban, policy.would_allow(self.state())) {
            (Some(ban), _) => Some(bans::words(ban, us)),
            (None, Verdict::Peer | Verdict::Open) => None,
            (None, _) => Some(format!("`{domain}` is not a peer of `{us}`")),
        }
    }

    /// What a domain hears whose link is not trusted.
    pub fn refusal(&self, untrusted: Untrusted, us: &Domain) -> Refusal {
        let text = match (&self.ban, untrusted) {
            (Some(ban), Untrusted::Blocked) => bans::words(ban, us),
            _ => untrusted.to_string(),
        };
        Refusal::new(untrusted.code(), text)
    }
}

/// The record's state as the protocol's rules read it.
const fn protocol_state(state: PeerState) -> qpq_federation_proto::PeerState {
    match state {
        PeerState::Allowed => qpq_federation_proto::PeerState::Allowed,
        PeerState::AwaitingConfirmation => qpq_federation_proto::PeerState::AwaitingConfirmation,
    }
}

/// The record of a domain that may be spoken with now.
pub async fn allowed_peer(ground: &Ground, policy: Policy, domain: &Domain) -> Answered<Peer> {
    let known = Known::read(ground.read().await?.as_mut(), domain, ground.now()).await?;
    let kept_out = known.kept_out(policy, domain, ground.domain());
    match (known.peer, kept_out) {
        (Some(peer), None) => Ok(peer),
        (_, why) => Err(Refusal::new(
            ErrorCode::PolicyRefused,
            why.unwrap_or_else(|| format!("`{domain}` is not a peer of `{}`", ground.domain())),
        )),
    }
}

/// Why nothing goes to a domain or comes from it, whatever the policy says in general; `None`: it is a trusted peer.
pub(crate) async fn why_not(
    tx: &mut dyn ReadTx,
    us: &Domain,
    domain: &Domain,
    now: Timestamp,
) -> Stored<Option<String>> {
    Ok(Known::read(tx, domain, now).await?.kept_out(Policy::AllowListed, domain, us))
}
