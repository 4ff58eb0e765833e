//! Peers and invites, in memory.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{Digest, Domain, Incarnation, Timestamp};

use super::MemoryTx;
use crate::{
    BanSubject, Invite, InviteUsed, LossesWrite as _, Page, Peer, PeerFilter, PeerLine, PeerState,
    PeersQuery, PeersRead, PeersWrite, Stored,
};

/// Peers by name, invites by the SHA-256 of their secrets.
#[derive(Clone, Default)]
pub(super) struct Peers {
    peers: BTreeMap<Domain, Peer>,
    invites: BTreeMap<Digest, Invite>,
}

#[async_trait]
impl PeersRead for MemoryTx {
    async fn peer(&mut self, domain: &Domain) -> Stored<Option<Peer>> {
        Ok(self.state.peers.peers.get(domain).cloned())
    }

    async fn peers(&mut self) -> Stored<Vec<Peer>> {
        Ok(self.state.peers.peers.values().cloned().collect())
    }

    async fn peers_page(&mut self, query: &PeersQuery<'_>) -> Stored<Page<PeerLine>> {
        let mut found = Vec::new();
        for peer in self.state.peers.peers.values() {
            let ban = self.state.bans.active(&BanSubject::Domain(peer.domain.clone()), query.now);
            let blocked = ban.is_some();
            let awaits = !blocked && peer.state == PeerState::AwaitingConfirmation;
            let refused = !blocked && !awaits && peer.refused.is_some();
            let pause = self.state.losses.paused(&peer.domain).cloned();
            let paused = !blocked && !awaits && !refused && pause.is_some();
            let rest = !blocked && !awaits && !refused && !paused;
            let wanted = match query.filter {
                PeerFilter::All => true,
                PeerFilter::Blocked => blocked,
                PeerFilter::AwaitingConfirmation => awaits,
                PeerFilter::Refused => refused,
                PeerFilter::Paused => paused,
                PeerFilter::Among(these) => rest && these.contains(&peer.domain),
                PeerFilter::Besides(these) => rest && !these.contains(&peer.domain),
            };
            if wanted && peer.domain.as_str().contains(query.search) {
                let depth = self.state.outbox.depth(&peer.domain);
                let peer = peer.clone();
                let waiting = depth.weight();
                found.push(PeerLine { peer, ban, pause, waiting, oldest_at: depth.oldest_at });
            }
        }
        Ok(Page::of(found, query.window))
    }

    async fn invite(&mut self, secret: &Digest) -> Stored<Option<Invite>> {
        Ok(self.state.peers.invites.get(secret).cloned())
    }

    async fn invites(&mut self) -> Stored<Vec<Invite>> {
        let mut all: Vec<_> = self.state.peers.invites.values().cloned().collect();
        all.sort_by_key(|invite| (Reverse(invite.created_at), invite.id));
        Ok(all)
    }
}

#[async_trait]
impl PeersWrite for MemoryTx {
    async fn peer_store(&mut self, peer: &Peer) -> Stored<()> {
        Arc::make_mut(&mut self.state.peers).peers.insert(peer.domain.clone(), peer.clone());
        Ok(())
    }

    async fn peer_remove(&mut self, domain: &Domain) -> Stored<bool> {
        Arc::make_mut(&mut self.state.outbox).forget_backoff(domain);
        self.pause_end(domain).await?;
        Ok(Arc::make_mut(&mut self.state.peers).peers.remove(domain).is_some())
    }

    async fn peer_incarnation(&mut self, domain: &Domain, incarnation: Incarnation) -> Stored<()> {
        if let Some(peer) = Arc::make_mut(&mut self.state.peers).peers.get_mut(domain) {
            peer.incarnation = peer.incarnation.max(Some(incarnation));
        }
        Ok(())
    }

    async fn peer_refuse(&mut self, domain: &Domain, reason: Option<&str>) -> Stored<()> {
        if let Some(peer) = Arc::make_mut(&mut self.state.peers).peers.get_mut(domain) {
            peer.refused = reason.map(str::to_owned);
        }
        Ok(())
    }

    async fn invite_create(&mut self, invite: &Invite, secret: &Digest) -> Stored<()> {
        let invites = &self.state.peers.invites;
        if invites.contains_key(secret) || invites.values().any(|known| known.id == invite.id) {
            return Err(self.conflict("invite_create"));
        }
        Arc::make_mut(&mut self.state.peers).invites.insert(*secret, invite.clone());
        Ok(())
    }

    async fn invite_use(&mut self, secret: &Digest, peer: &Peer, now: Timestamp) -> Stored<InviteUsed> {
        let user = (peer.domain.clone(), peer.pin);
        let peers = Arc::make_mut(&mut self.state.peers);
        let Some(invite) = peers.invites.get_mut(secret) else { return Ok(InviteUsed::Refused) };
        if let Some(known) = &invite.used_by {
            return Ok(if *known == user { InviteUsed::Repeated } else { InviteUsed::Refused });
        }
        if invite.expires_at <= now || invite.bound_to.as_ref().is_some_and(|bound| *bound != peer.domain) {
            return Ok(InviteUsed::Refused);
        }
        invite.used_by = Some(user);
        peers.peers.insert(peer.domain.clone(), peer.clone());
        Ok(InviteUsed::Accepted)
    }
}
