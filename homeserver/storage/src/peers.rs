//! Other domains: who is trusted under which pins, and open invites.

use async_trait::async_trait;
use qpq_core::{Digest, Domain, Incarnation, InviteId, Pin, Timestamp};

use crate::{Ban, OutboxWeight, Page, Pause, Stored, Window};

/// What the admin decided about a peer. Whether it is blocked is not here: its ban says so ([`crate::BanSubject`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Trusted under its pins.
    Allowed,
    /// It accepted an unbound invite; our admin has not confirmed its fingerprint.
    AwaitingConfirmation,
}

/// Another domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub domain: Domain,
    /// What the admin decided.
    pub state: PeerState,
    /// Where to dial: HOST:PORT; `None`: what DNS says.
    pub address: Option<String>,
    /// Its federation CA.
    pub pin: Pin,
    /// Its CA certificate, DER; empty until it is known.
    pub ca_certificate: Vec<u8>,
    /// Its federation key (Ed25519), which signs batches.
    pub federation_key: [u8; 32],
    /// Its highest incarnation that we saw.
    pub incarnation: Option<Incarnation>,
    /// Why its links are refused at present; set by us, cleared by the admin.
    pub refused: Option<String>,
    /// When it became a peer.
    pub since: Timestamp,
    /// The admin's note.
    pub note: String,
}

/// An open or used invite. The secret itself is never stored, only its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Its public name.
    pub id: InviteId,
    /// The domain it was made for; `None`: any.
    pub bound_to: Option<Domain>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Who used it, under which CA.
    pub used_by: Option<(Domain, Pin)>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What came of using an invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InviteUsed {
    /// It is used up now and the peer exists.
    Accepted,
    /// The same CA used it before: the same answer again.
    Repeated,
    /// Used by another, unknown, expired, or bound to another domain.
    Refused,
}

/// Which peers a list shows. A peer stands in one place only: blocked, else awaiting confirmation, else refused, else
/// among those that are spoken with, whose links only the process knows.
#[derive(Clone, Copy, Debug, Default)]
pub enum PeerFilter<'a> {
    /// All.
    #[default]
    All,
    /// Those that a ban keeps out.
    Blocked,
    /// Those whose fingerprint no admin here has confirmed.
    AwaitingConfirmation,
    /// Those whose links are refused at present.
    Refused,
    /// Those whose queues an admin told to wait.
    Paused,
    /// Of the rest, these.
    Among(&'a [Domain]),
    /// Of the rest, all but these.
    Besides(&'a [Domain]),
}

/// A part of the list of peers, by name.
#[derive(Clone, Copy, Debug)]
pub struct PeersQuery<'a> {
    /// Only names with this text in them; empty: all.
    pub search: &'a str,
    /// Which peers.
    pub filter: PeerFilter<'a>,
    /// The time by which bans are judged.
    pub now: Timestamp,
    /// Which part.
    pub window: Window,
}

/// A peer in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerLine {
    /// Its record.
    pub peer: Peer,
    /// The ban that counts now.
    pub ban: Option<Ban>,
    /// That an admin told its queue to wait.
    pub pause: Option<Pause>,
    /// How much waits for it.
    pub waiting: OutboxWeight,
    /// When the oldest row of that was accepted.
    pub oldest_at: Option<Timestamp>,
}

/// Reads peers and invites.
#[async_trait]
pub trait PeersRead: Send {
    /// One peer.
    async fn peer(&mut self, domain: &Domain) -> Stored<Option<Peer>>;
    /// All peers, by name.
    async fn peers(&mut self) -> Stored<Vec<Peer>>;
    /// A page of the peers, with what waits for each.
    async fn peers_page(&mut self, query: &PeersQuery<'_>) -> Stored<Page<PeerLine>>;
    /// The invite whose secret has this SHA-256.
    async fn invite(&mut self, secret: &Digest) -> Stored<Option<Invite>>;
    /// All invites, newest first.
    async fn invites(&mut self) -> Stored<Vec<Invite>>;
}

/// Writes peers and invites.
#[async_trait]
pub trait PeersWrite: Send {
    /// Adds or replaces a peer.
    async fn peer_store(&mut self, peer: &Peer) -> Stored<()>;
    /// Removes a peer; its waiting rows and stored backoff go with it, and the positions of those rows are given
    /// again. `false` if there was none.
    async fn peer_remove(&mut self, domain: &Domain) -> Stored<bool>;
    /// Notes the highest incarnation seen of a peer; a lower one changes nothing.
    async fn peer_incarnation(&mut self, domain: &Domain, incarnation: Incarnation) -> Stored<()>;
    /// Stops a peer with a reason, or clears it.
    async fn peer_refuse(&mut self, domain: &Domain, reason: Option<&str>) -> Stored<()>;
    /// Adds an invite under the SHA-256 of its secret.
    async fn invite_create(&mut self, invite: &Invite, secret: &Digest) -> Stored<()>;
    /// Uses up an invite and stores the peer, or does neither. A repeat by the same domain and CA is `Repeated`.
    async fn invite_use(&mut self, secret: &Digest, peer: &Peer, now: Timestamp) -> Stored<InviteUsed>;
}
