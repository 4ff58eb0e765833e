//! How use cases reach other domains: a trait that this crate owns and `federation` implements.

use async_trait::async_trait;
use qpq_core::{Address, DeviceAddress, Digest, Domain, ErrorCode, GroupId, Millis, Pin, Timestamp};
use qpq_federation_proto::ProbeReport;
use qpq_transparency_tree::{
    KeyName, SignedCheckpoint, VerifierKey, entry::ENTRY_BYTES, witness::AddCheckpoint,
};
use qpq_transparency_wire::CosignAnswer;

use crate::{ClaimPurpose, ClaimedUser, CommitAnswer, CommitSubmit, GroupTree, Refusal, UserAnswer, Views};

/// Why an interactive call to a peer brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerCallError {
    /// The domain is not a peer, or it or we block the other.
    #[error("`{0}` is not a peer of this domain")]
    NotAPeer(Domain),
    /// It can't be reached now, or did not answer before the deadline.
    #[error("`{domain}` can't be reached now: {why}")]
    Unreachable {
        /// The peer.
        domain: Domain,
        /// In words.
        why: String,
        /// When the next attempt is made.
        retry_after: Millis,
    },
    /// It answered, and refused.
    #[error("{0}")]
    Refused(Refusal),
}

impl From<PeerCallError> for Refusal {
    fn from(error: PeerCallError) -> Self {
        let text = error.to_string();
        match error {
            PeerCallError::NotAPeer(_) => Self::new(ErrorCode::PolicyRefused, text),
            PeerCallError::Unreachable { retry_after, .. } => {
                Self::retry(ErrorCode::PeerUnreachable, text, retry_after)
            }
            PeerCallError::Refused(refusal) => refusal,
        }
    }
}

/// One side's view of a link, for people and for the two-sided health call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerHealth {
    /// Whether a trusted link is up.
    pub reachable: bool,
    /// In words.
    pub state: String,
    /// When it is tried again.
    pub retry_at: Option<Timestamp>,
    /// The group that the link's key exchange used, for example `X25519MLKEM768`.
    pub key_exchange: Option<String>,
    /// How it stands.
    pub standing: Standing,
    /// What is wrong, in words.
    pub trouble: Option<String>,
    /// How far its clock is ahead of ours, as its last `hello` told; negative: behind.
    pub clock_skew_ms: Option<i64>,
    /// The protocol version that its last `hello` led to.
    pub version: Option<u16>,
}

/// How a link to a peer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It is up, or nothing waits for it.
    #[default]
    Healthy,
    /// The peer answers, but not as it should, or the last dial failed.
    Degraded,
    /// The peer can't be reached and is tried again later.
    BackingOff,
    /// An admin told its queue to wait.
    Paused,
    /// Nothing is sent until somebody acts.
    Refused,
}

impl Standing {
    /// Its name between domains (`FederationHealth.standing`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::BackingOff => "backing-off",
            Self::Paused => "paused",
            Self::Refused => "refused",
        }
    }
}

/// Calls to other domains. Interactive ones end at `deadline`, which travels with them. Whoever makes none of some kind knows no
/// peer that answers it.
#[async_trait]
pub trait PeerCalls: Send + Sync + std::fmt::Debug {
    /// The keys of the peer's users, in the order asked; `group` names the one that it is asked for. About those whom `views`
    /// names, its log is asked.
    async fn resolve_user(
        &self,
        peer: &Domain,
        requester: &Address,
        addresses: &[Address],
        group: Option<&GroupId>,
        views: &Views,
        deadline: Timestamp,
    ) -> Result<Vec<UserAnswer>, PeerCallError> {
        let _ = (requester, addresses, group, views, deadline);
        Err(PeerCallError::NotAPeer(peer.clone()))
    }

    /// Claims KeyPackages of the peer's users, in the order asked.
    async fn fetch_key_packages(
        &self,
        peer: &Domain,
        purpose: &ClaimPurpose,
        targets: &[Address],
        views: &Views,
        deadline: Timestamp,
    ) -> Result<Vec<ClaimedUser>, PeerCallError> {
        let _ = (purpose, targets, views, deadline);
        Err(PeerCallError::NotAPeer(peer.clone()))
    }

    /// Offers a commit of our device to the hub.
    async fn group_commit(
        &self,
        hub: &Domain,
        sender: &DeviceAddress,
        submit: &CommitSubmit,
        deadline: Timestamp,
    ) -> Result<CommitAnswer, PeerCallError> {
        let _ = (sender, submit, deadline);
        Err(PeerCallError::NotAPeer(hub.clone()))
    }

    /// Asks the hub for the tree that our welcomed device needs.
    async fn group_tree(
        &self,
        hub: &Domain,
        requester: &DeviceAddress,
        group: &GroupId,
        epoch: u64,
        deadline: Timestamp,
    ) -> Result<GroupTree, PeerCallError> {
        let _ = (requester, group, epoch, deadline);
        Err(PeerCallError::NotAPeer(hub.clone()))
    }

    /// Presents our accept statement to an inviter at `address`, or where DNS says, whose CA has `pin`; returns its
    /// signed answer.
    async fn accept_invite(
        &self,
        inviter: &Domain,
        address: Option<&str>,
        pin: &Pin,
        statement: &[u8],
        deadline: Timestamp,
    ) -> Result<Vec<u8>, PeerCallError> {
        let _ = (address, pin, statement, deadline);
        Err(PeerCallError::NotAPeer(inviter.clone()))
    }

    /// What we know of the link to a peer.
    async fn health(&self, peer: &Domain) -> PeerHealth;

    /// Looks step by step whether a peer can be reached and is well, over a connection of its own.
    async fn probe(&self, peer: &Domain) -> Result<ProbeReport, PeerCallError> {
        Err(PeerCallError::NotAPeer(peer.clone()))
    }

    /// Asks the peer to cosign a checkpoint of our log.
    async fn add_checkpoint(
        &self,
        peer: &Domain,
        log: &VerifierKey,
        request: &AddCheckpoint,
        deadline: Timestamp,
    ) -> Result<CosignAnswer, PeerCallError> {
        let _ = (log, request, deadline);
        Err(PeerCallError::NotAPeer(peer.clone()))
    }

    /// The last checkpoint of a log that the peer cosigned.
    async fn witnessed_checkpoint(
        &self,
        peer: &Domain,
        origin: &KeyName,
        deadline: Timestamp,
    ) -> Result<Option<SignedCheckpoint>, PeerCallError> {
        let _ = (origin, deadline);
        Err(PeerCallError::NotAPeer(peer.clone()))
    }

    /// Entries of a log that the peer has, from a place on: its own, or one that it mirrors.
    async fn log_entries(
        &self,
        peer: &Domain,
        origin: &KeyName,
        first: u64,
        deadline: Timestamp,
    ) -> Result<Vec<[u8; ENTRY_BYTES]>, PeerCallError> {
        let _ = (origin, first, deadline);
        Err(PeerCallError::NotAPeer(peer.clone()))
    }

    /// That the peer's log at one size continues it at another.
    async fn log_consistency(
        &self,
        peer: &Domain,
        sizes: (u64, u64),
        deadline: Timestamp,
    ) -> Result<Vec<Digest>, PeerCallError> {
        let _ = (sizes, deadline);
        Err(PeerCallError::NotAPeer(peer.clone()))
    }

    /// The peers whose links are not healthy.
    fn standings(&self) -> Vec<(Domain, Standing)> {
        Vec::new()
    }

    /// Rows were committed for these destinations: send them soon. Never blocks.
    fn outbox_filled(&self, destinations: &[Domain]);

    /// Tries a peer now: ends its backoff, and judges anew what was held against it.
    async fn retry(&self, peer: &Domain);

    /// A peer was added, changed or removed: links are judged again. Never blocks.
    fn peers_changed(&self);
}

/// A homeserver without federation: every domain is unknown. For tests of use cases within one domain.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

#[async_trait]
impl PeerCalls for NoPeers {
    async fn health(&self, _: &Domain) -> PeerHealth {
        PeerHealth {
            reachable: false,
            state: "no federation".to_owned(),
            retry_at: None,
            key_exchange: None,
            standing: Standing::Healthy,
            trouble: None,
            clock_skew_ms: None,
            version: None,
        }
    }

    fn outbox_filled(&self, _: &[Domain]) {}

    async fn retry(&self, _: &Domain) {}

    fn peers_changed(&self) {}
}
