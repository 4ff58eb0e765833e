//! Peers and invites.

mod page;

use async_trait::async_trait;
use qpq_core::{Digest, Domain, Incarnation, InviteId, Pin, Timestamp};
use qpq_storage::{
    Invite, InviteUsed, LossesWrite as _, Page, Peer, PeerLine, PeerState, PeersQuery, PeersRead, PeersWrite,
    Stored,
};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, sql, time},
};

fn peer(row: Fields<'_>) -> Stored<Peer> {
    Ok(Peer {
        domain: row.parsed("domain")?,
        state: match row.int("state")? {
            0 => PeerState::Allowed,
            1 => PeerState::AwaitingConfirmation,
            other => return Err(row.corrupt("state", &other)),
        },
        // Empty stands for none: the first schema knew no other way.
        address: Some(row.text("address")?).filter(|address| !address.is_empty()),
        pin: Pin::from_digest(row.digest("pin")?),
        ca_certificate: row.blob("ca_certificate")?,
        federation_key: row.bytes("federation_key")?,
        incarnation: row.optional_incarnation("incarnation")?,
        refused: row.optional_text("refused")?,
        since: row.time("since")?,
        note: row.text("note")?,
    })
}

fn invite(row: Fields<'_>) -> Stored<Invite> {
    let used_pin = row.optional_bytes("used_pin")?.map(|bytes| Pin::from_digest(Digest::from_bytes(bytes)));
    Ok(Invite {
        id: InviteId::from_bytes(row.bytes("id")?),
        bound_to: row.optional_parsed("bound_to")?,
        expires_at: row.time("expires_at")?,
        used_by: row.optional_parsed("used_by")?.zip(used_pin),
        created_at: row.time("created_at")?,
    })
}

#[async_trait]
impl PeersRead for Transaction {
    async fn peer(&mut self, domain: &Domain) -> Stored<Option<Peer>> {
        let query =
            sql("SELECT domain, state, address, pin, federation_key, incarnation, refused, since, note,
                                ca_certificate
                         FROM peers WHERE domain = ?")
            .bind(domain.to_string());
        let row = self.row("peer", query).await?;
        one("peers", row.as_ref(), peer)
    }

    async fn peers(&mut self) -> Stored<Vec<Peer>> {
        let query =
            sql("SELECT domain, state, address, pin, federation_key, incarnation, refused, since, note,
                                ca_certificate
                         FROM peers ORDER BY domain");
        each("peers", &self.rows("peers", query).await?, peer)
    }

    async fn peers_page(&mut self, query: &PeersQuery<'_>) -> Stored<Page<PeerLine>> {
        self.page_of_peers(query).await
    }

    async fn invite(&mut self, secret: &Digest) -> Stored<Option<Invite>> {
        self.invite_of_secret("invite", secret).await
    }

    async fn invites(&mut self) -> Stored<Vec<Invite>> {
        let query = sql("SELECT id, bound_to, expires_at, used_by, used_pin, created_at
                         FROM invites ORDER BY created_at DESC, id");
        each("invites", &self.rows("invites", query).await?, invite)
    }
}

#[async_trait]
impl PeersWrite for Transaction {
    async fn peer_store(&mut self, peer: &Peer) -> Stored<()> {
        let state = match peer.state {
            PeerState::Allowed => 0,
            PeerState::AwaitingConfirmation => 1,
        };
        let replace = sql("REPLACE INTO peers (domain, state, address, pin, federation_key, incarnation,
                                               refused, since, note, ca_certificate)
                           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(peer.domain.to_string())
        .bind(state)
        .bind(peer.address.clone().unwrap_or_default())
        .bind(peer.pin.digest().as_bytes().to_vec())
        .bind(peer.federation_key.to_vec())
        .bind(peer.incarnation.map(|incarnation| incarnation.to_bytes().to_vec()))
        .bind(peer.refused.clone())
        .bind(time(peer.since))
        .bind(peer.note.clone())
        .bind(peer.ca_certificate.clone());
        self.run("peer_store", replace).await.map(drop)
    }

    async fn peer_remove(&mut self, domain: &Domain) -> Stored<bool> {
        let what = "peer_remove";
        self.forget_backoff(what, domain).await?;
        self.pause_end(domain).await?;
        let delete = sql("DELETE FROM peers WHERE domain = ?").bind(domain.to_string());
        Ok(self.run(what, delete).await? > 0)
    }

    async fn peer_incarnation(&mut self, domain: &Domain, incarnation: Incarnation) -> Stored<()> {
        // Stored in the wire form, whose bytes have the order of the lives.
        let update = sql("UPDATE peers SET incarnation = ?1
                          WHERE domain = ?2 AND (incarnation IS NULL OR incarnation < ?1)")
        .bind(incarnation.to_bytes().to_vec())
        .bind(domain.to_string());
        self.run("peer_incarnation", update).await.map(drop)
    }

    async fn peer_refuse(&mut self, domain: &Domain, reason: Option<&str>) -> Stored<()> {
        let update = sql("UPDATE peers SET refused = ? WHERE domain = ?")
            .bind(reason.map(str::to_owned))
            .bind(domain.to_string());
        self.run("peer_refuse", update).await.map(drop)
    }

    async fn invite_create(&mut self, invite: &Invite, secret: &Digest) -> Stored<()> {
        let (used_by, used_pin) = invite.used_by.clone().unzip();
        let insert =
            sql("INSERT INTO invites (id, secret, bound_to, expires_at, used_by, used_pin, created_at)
                          VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(invite.id.as_bytes().to_vec())
            .bind(secret.as_bytes().to_vec())
            .bind(invite.bound_to.as_ref().map(ToString::to_string))
            .bind(time(invite.expires_at))
            .bind(used_by.map(|domain| domain.to_string()))
            .bind(used_pin.map(|pin| pin.digest().as_bytes().to_vec()))
            .bind(time(invite.created_at));
        self.run("invite_create", insert).await.map(drop)
    }

    async fn invite_use(&mut self, secret: &Digest, peer: &Peer, now: Timestamp) -> Stored<InviteUsed> {
        let what = "invite_use";
        let Some(known) = self.invite_of_secret(what, secret).await? else {
            return Ok(InviteUsed::Refused);
        };
        let user = (peer.domain.clone(), peer.pin);
        if let Some(used_by) = known.used_by {
            return Ok(if used_by == user { InviteUsed::Repeated } else { InviteUsed::Refused });
        }
        if known.expires_at <= now || known.bound_to.is_some_and(|bound| bound != peer.domain) {
            return Ok(InviteUsed::Refused);
        }
        let update = sql("UPDATE invites SET used_by = ?, used_pin = ? WHERE secret = ?")
            .bind(peer.domain.to_string())
            .bind(peer.pin.digest().as_bytes().to_vec())
            .bind(secret.as_bytes().to_vec());
        self.run(what, update).await?;
        self.peer_store(peer).await?;
        Ok(InviteUsed::Accepted)
    }
}

impl Transaction {
    async fn invite_of_secret(&mut self, what: &'static str, secret: &Digest) -> Stored<Option<Invite>> {
        let query = sql("SELECT id, bound_to, expires_at, used_by, used_pin, created_at
                         FROM invites WHERE secret = ?")
        .bind(secret.as_bytes().to_vec());
        let row = self.row(what, query).await?;
        one("invites", row.as_ref(), invite)
    }
}
