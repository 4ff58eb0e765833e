//! What an admin sees of peers: their records, their links and what waits for them.
//!
//! A list is paged and filtered by the store. How a link stands only the process knows; it names the few domains whose
//! links are not well, and the store filters by those names.

use std::collections::BTreeMap;

use qpq_core::{Domain, FederationKey, Pin, Timestamp};
use qpq_federation_proto::StopReason;
use qpq_storage::{Ban, OutboxDepth, Page, ParkedKind, PeerFilter, PeerLine, PeerState, PeersQuery, Window};
use serde::Serialize;

use super::{Known, Peering, unknown};
use crate::{Answered, PeerHealth, Standing, relay::quota};

/// Where a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerStanding {
    /// It is reached, or nothing waits for it.
    Healthy,
    /// It answers, but something is wrong.
    Degraded,
    /// It can't be reached and is tried again later.
    BackingOff,
    /// An admin told its queue to wait.
    Paused,
    /// An admin blocked it.
    Blocked,
    /// Nothing is sent until somebody acts.
    Refused,
    /// No admin here has confirmed its fingerprint.
    AwaitingConfirmation,
}

impl PeerStanding {
    /// All, in the order in which people look for them.
    pub const ALL: [Self; 7] = [
        Self::Healthy,
        Self::Degraded,
        Self::BackingOff,
        Self::Paused,
        Self::Blocked,
        Self::Refused,
        Self::AwaitingConfirmation,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::BackingOff => "backing-off",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::AwaitingConfirmation => "awaiting-confirmation",
        }
    }
}

/// Why and until when a domain is blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// Why.
    pub reason: String,
    /// Until when; `None`: until an admin lifts it.
    pub until: Option<Timestamp>,
}

impl From<Ban> for Blocked {
    fn from(ban: Ban) -> Self {
        Self { reason: ban.reason, until: ban.until }
    }
}

/// One peer, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerView {
    /// Its name.
    pub domain: Domain,
    /// Where it stands.
    pub state: PeerStanding,
    /// Where it is dialled; `None`: where DNS says.
    pub address: Option<String>,
    /// The pin of its federation CA.
    pub pin: Pin,
    /// The key that signs what it relays and its delivery proofs.
    pub federation_key: FederationKey,
    /// The link, in words.
    pub link: String,
    /// The key exchange of the link that is up, for example `X25519MLKEM768`.
    pub key_exchange: Option<String>,
    /// Messages that wait for it.
    pub queued: u64,
    /// How full its queue is: of what may wait for one peer, in percent.
    pub queue_percent: u64,
    /// How long the oldest of them has waited.
    pub oldest_queued_ms: Option<u64>,
    /// What is wrong, in words.
    pub last_error: Option<String>,
    /// When it is tried again, if it can't be reached.
    pub retry_at: Option<Timestamp>,
    /// When it became a peer.
    pub since: Timestamp,
    /// How far its clock is ahead of ours, as its last `hello` told; negative: behind.
    pub clock_skew_ms: Option<i64>,
    /// The protocol version that its last `hello` led to.
    pub version: Option<u16>,
    /// Rows of kinds that this version doesn't know, which wait for one that does; only where one peer is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<Vec<ParkedView>>,
    /// Why it is blocked, if it is.
    pub blocked: Option<Blocked>,
}

/// What is parked of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ParkedView {
    /// The kind's number.
    pub kind: u16,
    /// How many rows.
    pub rows: u64,
    /// How large they are together.
    pub bytes: u64,
}

impl From<ParkedKind> for ParkedView {
    fn from(ParkedKind { kind, rows, bytes }: ParkedKind) -> Self {
        Self { kind, rows, bytes }
    }
}

/// Whether a domain would be let in, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WouldAllow {
    /// Which domain.
    pub domain: Domain,
    /// Whether it would.
    pub allowed: bool,
    /// Why, in words.
    pub why: String,
}

impl Peering {
    /// A page of the peers, by name.
    pub async fn list(
        &self,
        search: &str,
        state: Option<PeerStanding>,
        window: Window,
    ) -> Answered<Page<PeerView>> {
        let search = search.trim().to_lowercase();
        let unwell = self.ground.peers().standings();
        let of = |wanted: Standing| -> Vec<Domain> {
            let found = unwell.iter().filter(|(_, standing)| *standing == wanted);
            found.map(|(domain, _)| domain.clone()).collect()
        };
        let named = match state {
            Some(PeerStanding::Healthy) => unwell.iter().map(|(domain, _)| domain.clone()).collect(),
            Some(PeerStanding::Degraded) => of(Standing::Degraded),
            Some(PeerStanding::BackingOff) => of(Standing::BackingOff),
            Some(
                PeerStanding::Paused
                | PeerStanding::Blocked
                | PeerStanding::Refused
                | PeerStanding::AwaitingConfirmation,
            )
            | None => Vec::new(),
        };
        let filter = match state {
            None => PeerFilter::All,
            Some(PeerStanding::Healthy) => PeerFilter::Besides(&named),
            Some(PeerStanding::Degraded | PeerStanding::BackingOff) => PeerFilter::Among(&named),
            Some(PeerStanding::Paused) => PeerFilter::Paused,
            Some(PeerStanding::Blocked) => PeerFilter::Blocked,
            Some(PeerStanding::Refused) => PeerFilter::Refused,
            Some(PeerStanding::AwaitingConfirmation) => PeerFilter::AwaitingConfirmation,
        };
        let query = PeersQuery { search: &search, filter, now: self.ground.now(), window };
        let page = self.ground.read().await?.peers_page(&query).await?;
        let mut rows = Vec::with_capacity(page.rows.len());
        for line in page.rows {
            rows.push(self.view(line).await);
        }
        Ok(Page { rows, total: page.total })
    }

    /// How many peers stand where.
    pub async fn counts(&self) -> Answered<BTreeMap<PeerStanding, u64>> {
        let mut counts = BTreeMap::new();
        for standing in PeerStanding::ALL {
            let page = self.list("", Some(standing), Window { offset: 0, limit: 0 }).await?;
            counts.insert(standing, page.total);
        }
        Ok(counts)
    }

    /// What waits for all peers together.
    pub async fn waiting(&self) -> Answered<OutboxDepth> {
        Ok(self.ground.read().await?.outbox_depth_of_all().await?)
    }

    /// One peer.
    pub async fn show(&self, domain: &Domain) -> Answered<PeerView> {
        let mut tx = self.ground.read().await?;
        let Known { peer, ban, pause } = Known::read(tx.as_mut(), domain, self.ground.now()).await?;
        let peer = peer.ok_or_else(|| unknown(domain))?;
        let depth = tx.outbox_depth(domain).await?;
        let parked = tx.inbox_parked(domain).await?;
        drop(tx);
        let waiting = depth.weight();
        let oldest_at = depth.oldest_at;
        let view = self.view(PeerLine { peer, ban, pause, waiting, oldest_at }).await;
        Ok(PeerView { parked: Some(parked.into_iter().map(ParkedView::from).collect()), ..view })
    }

    /// Whether a domain would be let in: what policy, ban, record and its links say.
    pub async fn would_allow(&self, domain: &Domain) -> Answered<WouldAllow> {
        let known = Known::read(self.ground.read().await?.as_mut(), domain, self.ground.now()).await?;
        let verdict = self.policy().would_allow(known.state());
        let refused = known.peer.as_ref().and_then(|peer| peer.refused.clone()).map(words);
        let (allowed, why) = match (&known.ban, &known.peer, refused) {
            (Some(ban), ..) => (false, crate::bans::words(ban, self.ground.domain())),
            (None, Some(_), Some(refused)) if verdict.allows() => {
                (false, format!("`{domain}` is a peer, but its links are refused at present: {refused}"))
            }
            (None, Some(peer), None) if verdict.allows() => {
                (true, format!("{}, under the authority with the pin {}", verdict.words(domain), peer.pin))
            }
            (None, ..) => (verdict.allows(), verdict.words(domain)),
        };
        Ok(WouldAllow { domain: domain.clone(), allowed, why })
    }

    async fn view(&self, line: PeerLine) -> PeerView {
        let PeerLine { peer, ban, pause, waiting, oldest_at } = line;
        let health = self.ground.peers().health(&peer.domain).await;
        let now = self.ground.now();
        let state = match (&ban, peer.state, &peer.refused) {
            (Some(_), ..) => PeerStanding::Blocked,
            (None, PeerState::AwaitingConfirmation, _) => PeerStanding::AwaitingConfirmation,
            (None, PeerState::Allowed, Some(_)) => PeerStanding::Refused,
            (None, PeerState::Allowed, None) if pause.is_some() => PeerStanding::Paused,
            (None, PeerState::Allowed, None) => live(&health),
        };
        let last_error = match state {
            PeerStanding::Refused => peer.refused.map(words).or(health.trouble),
            PeerStanding::Degraded | PeerStanding::BackingOff => health.trouble,
            PeerStanding::Paused => {
                pause.as_ref().map(|pause| format!("an admin paused it: {}", pause.reason))
            }
            PeerStanding::Healthy | PeerStanding::Blocked | PeerStanding::AwaitingConfirmation => None,
        };
        PeerView {
            state,
            link: health.state,
            key_exchange: health.key_exchange,
            queued: waiting.rows,
            queue_percent: quota::percent(waiting, self.ground.settings().peer_queue_bytes),
            oldest_queued_ms: oldest_at.map(|oldest| now.since(oldest).0),
            last_error,
            retry_at: health.retry_at,
            since: peer.since,
            clock_skew_ms: health.clock_skew_ms,
            version: health.version,
            parked: None,
            blocked: ban.map(Blocked::from),
            address: peer.address,
            pin: peer.pin,
            federation_key: FederationKey::from_bytes(peer.federation_key),
            domain: peer.domain,
        }
    }
}

const fn live(health: &PeerHealth) -> PeerStanding {
    match health.standing {
        Standing::Healthy => PeerStanding::Healthy,
        Standing::Degraded => PeerStanding::Degraded,
        Standing::BackingOff => PeerStanding::BackingOff,
        Standing::Paused => PeerStanding::Paused,
        Standing::Refused => PeerStanding::Refused,
    }
}

/// A stored stop reason as people read it; a reason of another version as it is.
fn words(stored: String) -> String {
    stored.parse::<StopReason>().map_or(stored, |reason| reason.words().to_owned())
}
