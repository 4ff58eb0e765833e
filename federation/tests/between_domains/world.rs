//! Domains with a store in memory and everything above it real; each can stop and start again.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use ed25519_dalek::SigningKey;
use qpq_core::{Clock, Domain, Entropy, Incarnation, MessageId, Millis, OsEntropy, SystemClock, Timestamp};
use qpq_federation::{Discovery, DiscoverySettings, Federation, FederationConfig};
use qpq_federation_proto::{Policy, StreamId, StreamName};
use qpq_hub::Engine;
use qpq_service::{
    Caller, Effects, Ground, OpaqueSetup, Peering, PeeringIdentity, Settings, UseCases, WriteJob, Writer,
};
use qpq_storage::{
    InboxHead, NewOutboxRow, OutboxDepth, Peer, PeerState, Storage, Stored, Vault, WriteTx,
    memory::MemoryStorage,
};
use qpq_transport::{
    AcceptLimits, CertificateAuthority, Endpoint, Leaf, ListenerTls, Offload, Profile, Workers,
};
use tokio_util::task::TaskTracker;

/// Nothing here takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// A kind of row that no version knows: it is parked, whatever groups do.
pub(crate) const KIND: u16 = 900;

/// What stays of a domain when its process ends.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) domain: Domain,
    pub(crate) storage: MemoryStorage,
    pub(crate) authority: CertificateAuthority,
    pub(crate) key: SigningKey,
    pub(crate) incarnation: Incarnation,
    pub(crate) listen: SocketAddr,
    pub(crate) discovery: DiscoverySettings,
    /// Whether its invites carry its address.
    pub(crate) tells_address: bool,
    /// How far its clock is ahead.
    pub(crate) ahead: Millis,
    /// When its leaf was issued; it lives for 30 days.
    pub(crate) leaf_since: Timestamp,
}

/// The time of a machine whose clock is wrong.
#[derive(Debug)]
struct Ahead(Millis);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now().after(self.0)
    }
}

/// A domain that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) ground: Arc<Ground>,
    pub(crate) peering: Peering,
    pub(crate) workers: Workers,
    federation: Federation,
    tasks: TaskTracker,
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

impl Home {
    pub(crate) fn new(domain: &str) -> Self {
        let domain: Domain = domain.parse().unwrap();
        let mut entropy = OsEntropy::new().unwrap();
        let listen = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let incarnation = Incarnation::begin(now(), &mut entropy);
        let vault = Vault { domain: domain.clone(), incarnation, created_at: now() };
        Self {
            authority: CertificateAuthority::generate(&domain, now()).unwrap(),
            key: SigningKey::from_bytes(&entropy.bytes32()),
            incarnation,
            storage: MemoryStorage::of(vault),
            domain,
            listen,
            discovery: DiscoverySettings::default(),
            tells_address: true,
            ahead: Millis(0),
            leaf_since: now(),
        }
    }

    pub(crate) fn leaf(&self) -> Leaf {
        Leaf::new(&self.authority.issue(&self.domain, self.leaf_since, 30).unwrap()).unwrap()
    }

    pub(crate) async fn start(&self) -> Running {
        let storage: Arc<dyn Storage> = Arc::new(self.storage.clone());
        let (writer, writing) = Writer::new(Arc::clone(&storage));
        let tasks = TaskTracker::new();
        drop(tasks.spawn(writing));
        let mut entropy = OsEntropy::new().unwrap();
        let ground = Arc::new(Ground::new(
            self.domain.clone(),
            self.incarnation,
            Settings::default(),
            Arc::new(Ahead(self.ahead)),
            Box::new(entropy),
            storage,
            writer,
        ));
        let cases = UseCases::new(&ground, OpaqueSetup::generate(&mut entropy), Engine::new().unwrap());
        let leaf = self.leaf();
        let tls = ListenerTls::federation(&leaf).unwrap();
        let endpoint = listen(self.listen, &tls).await;
        let peering = Peering::new(
            Arc::clone(&ground),
            PeeringIdentity {
                policy: Policy::AllowListed,
                address: self.listen.to_string().parse().ok().filter(|_| self.tells_address),
                ca_certificate: self.authority.certificate_der().to_vec(),
                pin: self.authority.pin(),
                key: self.key.clone(),
            },
        );
        let workers = Workers::start(NonZeroUsize::MIN).unwrap();
        let federation = Federation::start(FederationConfig {
            ground: Arc::clone(&ground),
            peering: peering.clone(),
            directory: cases.directory,
            key_packages: cases.key_packages,
            groups: cases.groups,
            workers: workers.clone(),
            endpoint: endpoint.clone(),
            leaf,
            discovery: Discovery::new(&self.discovery).unwrap(),
        })
        .await
        .unwrap();
        workers.serve(&endpoint, AcceptLimits::default(), federation.handler()).await.unwrap();
        Running { ground, peering, workers, federation, tasks }
    }

    /// The record that another domain has of this one.
    pub(crate) fn as_peer(&self) -> Peer {
        Peer {
            domain: self.domain.clone(),
            state: PeerState::Allowed,
            address: Some(self.listen.to_string()),
            pin: self.authority.pin(),
            ca_certificate: self.authority.certificate_der().to_vec(),
            federation_key: self.key.verifying_key().to_bytes(),
            incarnation: None,
            refused: None,
            since: now(),
            note: String::new(),
        }
    }

    /// Makes another domain a peer in the store, as an earlier peering would have.
    pub(crate) async fn knows(&self, peer: &Peer) {
        let mut tx = self.storage.write().await.unwrap();
        tx.peer_store(peer).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) async fn record(&self, peer: &Self) -> Option<Peer> {
        self.storage.read().await.unwrap().peer(&peer.domain).await.unwrap()
    }

    /// The stream from this domain to another that the tests use.
    pub(crate) fn stream_to(&self, other: &Self) -> StreamId {
        StreamId::of(&self.domain, &other.domain, &StreamName::Control)
    }

    /// How far the stream from `origin` was applied here.
    pub(crate) async fn applied(&self, origin: &Self) -> Option<InboxHead> {
        let stream = *origin.stream_to(self).as_bytes();
        self.storage.read().await.unwrap().inbox_head(&origin.domain, &stream).await.unwrap()
    }

    pub(crate) async fn depth(&self, peer: &Self) -> OutboxDepth {
        self.storage.read().await.unwrap().outbox_depth(&peer.domain).await.unwrap()
    }
}

impl Running {
    /// Accepts so many rows for another domain.
    pub(crate) async fn send(&self, from: &Home, to: &Home, rows: u64) {
        self.ground
            .write(Rows {
                destination: to.domain.clone(),
                stream: from.stream_to(to),
                count: rows,
                expires_at: None,
            })
            .await
            .unwrap();
    }

    pub(crate) async fn send_expiring(&self, from: &Home, to: &Home, expires_at: Timestamp) {
        let stream = from.stream_to(to);
        self.ground
            .write(Rows { destination: to.domain.clone(), stream, count: 1, expires_at: Some(expires_at) })
            .await
            .unwrap();
    }

    pub(crate) async fn key_exchange(&self, peer: &Home) -> Option<String> {
        self.peering.show(&peer.domain).await.unwrap().key_exchange
    }

    /// Where a probe of a peer failed, with cause and remedy; `None`: nowhere.
    pub(crate) async fn probe(&self, peer: &Home) -> Option<(&'static str, String, String)> {
        let report = self.peering.probe(&peer.domain).await.unwrap();
        assert!(report.took_ms < 15_000, "{report:?}");
        let failed = report.steps.iter().find(|step| step.outcome == "failed")?;
        assert!(!report.ok && failed.took_ms.is_some(), "{report:?}");
        Some((failed.step, failed.said.clone(), failed.remedy.clone().unwrap()))
    }

    pub(crate) async fn stop(self) {
        self.federation.stop(PATIENCE).await;
        self.workers.stop(PATIENCE).await;
        drop(self.tasks);
    }
}

/// The socket of the process before closes a moment after its last packet.
async fn listen(at: SocketAddr, tls: &ListenerTls) -> Endpoint {
    let bound = async {
        loop {
            match Endpoint::listen(at, tls, Profile::Peer, Offload::On) {
                Ok(endpoint) => return endpoint,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, bound).await.unwrap()
}

pub(crate) fn admin() -> Caller {
    Caller::uid(0, qpq_core::RequestId::from_bytes([7; 16]))
}

pub(crate) const HOUR: Millis = Millis::from_secs(3_600);

/// Waits until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never came: {what}");
}

struct Rows {
    destination: Domain,
    stream: StreamId,
    count: u64,
    expires_at: Option<Timestamp>,
}

#[async_trait]
impl WriteJob for Rows {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        let mut entropy = OsEntropy::new().unwrap();
        let rows: Vec<NewOutboxRow> = (0..self.count)
            .map(|_| NewOutboxRow {
                destination: self.destination.clone(),
                stream: *self.stream.as_bytes(),
                id: MessageId::random(&mut entropy),
                kind: KIND,
                expires_at: self.expires_at,
                payload: vec![7; 100],
                at: now(),
                request: None,
            })
            .collect();
        tx.outbox_append(&rows).await.map(drop)
    }

    fn effects(&mut self) -> Effects {
        let mut effects = Effects::default();
        effects.send(self.destination.clone());
        effects
    }
}
