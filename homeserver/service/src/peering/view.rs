//! What an admin sees of a peer: its record, its link and its queue.

use qpq_core::{Domain, Pin, Timestamp};
use qpq_federation_proto::StopReason;
use qpq_storage::{Peer, PeerState};
use serde::Serialize;

use super::{Peering, unknown};
use crate::Answered;

/// One peer, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerView {
    /// Its name.
    pub domain: Domain,
    /// `allowed`, `awaiting-confirmation` or `blocked`.
    pub state: &'static str,
    /// Where it is dialled.
    pub address: String,
    /// The pin of its federation CA.
    pub pin: Pin,
    /// The link, in words.
    pub link: String,
    /// The key exchange of the link that is up, for example `X25519MLKEM768`.
    pub key_exchange: Option<String>,
    /// Messages that wait for it.
    pub queued: u64,
    /// How long the oldest of them has waited.
    pub oldest_queued_ms: Option<u64>,
    /// When it is tried again, if it can't be reached.
    pub retry_at: Option<Timestamp>,
    /// Why nothing is sent to it until somebody acts.
    pub refused: Option<String>,
    /// When it became a peer.
    pub since: Timestamp,
}

impl Peering {
    /// All peers, by name.
    pub async fn list(&self) -> Answered<Vec<PeerView>> {
        let peers = self.ground.read().await?.peers().await?;
        let mut views = Vec::with_capacity(peers.len());
        for peer in peers {
            views.push(self.view(peer).await?);
        }
        Ok(views)
    }

    /// One peer.
    pub async fn show(&self, domain: &Domain) -> Answered<PeerView> {
        let peer = self.ground.read().await?.peer(domain).await?.ok_or_else(|| unknown(domain))?;
        self.view(peer).await
    }

    async fn view(&self, peer: Peer) -> Answered<PeerView> {
        let depth = self.ground.read().await?.outbox_depth(&peer.domain).await?;
        let health = self.ground.peers().health(&peer.domain).await;
        let now = self.ground.now();
        Ok(PeerView {
            state: match peer.state {
                PeerState::Allowed => "allowed",
                PeerState::AwaitingConfirmation => "awaiting-confirmation",
                PeerState::Blocked => "blocked",
            },
            link: health.state,
            key_exchange: health.key_exchange,
            queued: depth.rows,
            oldest_queued_ms: depth.oldest_at.map(|oldest| now.since(oldest).0),
            retry_at: health.retry_at,
            refused: peer.refused.map(words),
            since: peer.since,
            address: peer.address,
            pin: peer.pin,
            domain: peer.domain,
        })
    }
}

/// A stored stop reason as people read it; a reason of another version as it is.
fn words(stored: String) -> String {
    stored.parse::<StopReason>().map_or(stored, |reason| reason.words().to_owned())
}
