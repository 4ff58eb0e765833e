//! A domain with everything above its store real: what stays when its process ends, and the process.

#![expect(clippy::future_not_send, reason = "a domain's tasks live in one local set")]

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task,
    time::Duration,
};

use ed25519_dalek::SigningKey;
use qpq_core::{Clock, Domain, Incarnation, Millis, SeededEntropy};
use qpq_federation::{Discovery, DiscoverySettings, Federation, FederationConfig};
use qpq_federation_proto::Policy;
use qpq_hub::Engine;
use qpq_service::{Ground, OpaqueSetup, Peering, PeeringIdentity, Settings, UseCases, Writer, relay};
use qpq_storage::{
    Peer, PeerState, Storage, Vault,
    memory::{Copied, MemoryStorage},
};
use qpq_transport::{
    AcceptLimits, CertificateAuthority, Endpoint, Leaf, ListenerTls, OwnNetwork, Profile, Workers,
};
use tokio::task::{JoinHandle, LocalSet};

use super::{
    clock::SimClock,
    disk::SimDisk,
    keys,
    net::{Net, OnThisThread, address},
    watch::Watch,
};
use crate::{
    dice::Dice,
    history::{DomainNo, Event},
};

/// Newcomers are greeted as in a homeserver that people run.
const LIMITS: AcceptLimits = AcceptLimits { connections: 1_000, handshake: Duration::from_secs(10) };

/// What stays of a domain when its process ends.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) no: DomainNo,
    pub(crate) domain: Domain,
    pub(crate) storage: Arc<MemoryStorage>,
    pub(crate) disk: Arc<SimDisk>,
    pub(crate) clock: Arc<SimClock>,
    authority: CertificateAuthority,
    leaf: Leaf,
    key: SigningKey,
    incarnation: Cell<Incarnation>,
    /// What was copied last.
    backup: RefCell<Option<Copied>>,
    setup: OpaqueSetup,
    engine: Engine,
}

/// A process of a domain: its ground once it has begun, and the way to end it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) ground: Rc<RefCell<Option<Arc<Ground>>>>,
    polls_left: Rc<Cell<Option<u64>>>,
    task: JoinHandle<()>,
}

impl Home {
    pub(crate) fn new(
        no: DomainNo,
        domain: Domain,
        skew: i64,
        dice: &mut Dice,
        watch: &Watch,
    ) -> Result<Self, String> {
        let (authority, identity) = keys::make(&domain)?;
        let clock = Arc::new(SimClock::new(skew));
        let incarnation = Incarnation::begin(clock.now(), dice.entropy());
        let vault = Vault { domain: domain.clone(), incarnation, created_at: clock.now() };
        let (disk, storage) = SimDisk::with_store(no, vault, dice.fork(), watch.clone());
        let mut entropy = SeededEntropy::new(dice.below(u64::MAX));
        Ok(Self {
            no,
            domain,
            storage,
            disk,
            clock,
            authority,
            leaf: Leaf::new(&identity).map_err(|error| error.to_string())?,
            key: SigningKey::from_bytes(&dice.entropy().bytes32()),
            incarnation: Cell::new(incarnation),
            backup: RefCell::new(None),
            setup: OpaqueSetup::generate(&mut entropy),
            engine: Engine::new().map_err(|error| error.to_string())?,
        })
    }

    /// The certificate that it shows.
    pub(crate) const fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// Its federation key.
    pub(crate) const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The life of its database.
    pub(crate) const fn incarnation(&self) -> Incarnation {
        self.incarnation.get()
    }

    /// Copies its database.
    pub(crate) fn back_up(&self, watch: &Watch) {
        self.backup.replace(Some(self.storage.copied()));
        watch.tell(Event::Snapshot { domain: self.no });
    }

    /// Puts its database back to the last copy, in a new life. Nobody may be using it.
    pub(crate) async fn restore(&self, dice: &mut Dice, watch: &Watch) -> Result<(), String> {
        let Some(copied) = self.backup.borrow().clone() else { return Ok(()) };
        self.storage.put_back(&copied);
        watch.restored(self.no, &self.storage);
        // A new life is later than the one before, whatever the clock says.
        let begun = self.clock.now().max(self.incarnation().time().after(Millis(1)));
        let incarnation = Incarnation::begin(begun, dice.entropy());
        let begun = async {
            let mut tx = self.storage.write().await?;
            relay::begin_life(tx.as_mut(), incarnation).await?;
            tx.commit().await
        };
        begun.await.map_err(|error| error.to_string())?;
        self.incarnation.set(incarnation);
        Ok(())
    }

    /// Peers that it has stopped, and why.
    pub(crate) async fn stopped(&self) -> Vec<(Domain, String)> {
        let Ok(mut tx) = self.storage.read().await else { return Vec::new() };
        let peers = tx.peers().await.unwrap_or_default();
        peers.into_iter().filter_map(|peer| Some((peer.domain, peer.refused?))).collect()
    }

    /// Its socket with QUIC on it.
    pub(crate) fn endpoint(&self, net: &Net, seed: [u8; 32]) -> Result<Endpoint, String> {
        let tls = ListenerTls::federation(&self.leaf).map_err(|error| error.to_string())?;
        let network = OwnNetwork { socket: net.socket(self.no), runtime: Arc::new(OnThisThread), seed };
        Endpoint::on(network, &tls, Profile::Peer).map_err(|error| error.to_string())
    }

    /// The record that another domain has of this one.
    fn as_peer(&self) -> Peer {
        Peer {
            domain: self.domain.clone(),
            state: PeerState::Allowed,
            address: Some(address(self.no).to_string()),
            pin: self.authority.pin(),
            ca_certificate: self.authority.certificate_der().to_vec(),
            federation_key: self.key.verifying_key().to_bytes(),
            incarnation: None,
            refused: None,
            since: self.clock.now(),
            note: String::new(),
        }
    }

    /// Makes another domain a peer in the store, as an earlier peering would have.
    pub(crate) async fn knows(&self, other: &Self) -> Result<(), String> {
        let stored = async {
            let mut tx = self.storage.write().await?;
            tx.peer_store(&other.as_peer()).await?;
            tx.commit().await
        };
        stored.await.map_err(|error| error.to_string())
    }

    /// Begins a process in a local set of its own. Must be called inside the run's local set.
    pub(crate) fn start(self: &Rc<Self>, net: &Net, dice: &mut Dice, watch: &Watch) -> Process {
        let ground = Rc::new(RefCell::new(None));
        let polls_left = Rc::new(Cell::new(None));
        let local = LocalSet::new();
        let (home, net, watch) = (Rc::clone(self), net.clone(), watch.clone());
        let (seed, entropy) = (dice.entropy().bytes32(), SeededEntropy::new(dice.below(u64::MAX)));
        let begun = Rc::clone(&ground);
        drop(local.spawn_local(async move {
            match home.serve(&net, seed, entropy, &begun).await {
                // The process goes on in its other tasks until it is ended.
                Ok(running) => {
                    std::future::pending::<()>().await;
                    drop(running);
                }
                Err(why) => watch.note(&format!("d{} could not start: {why}", home.no)),
            }
        }));
        let living = Living { local, polls_left: Rc::clone(&polls_left) };
        Process { ground, polls_left, task: tokio::task::spawn_local(living) }
    }

    async fn serve(
        &self,
        net: &Net,
        seed: [u8; 32],
        entropy: SeededEntropy,
        begun: &Rc<RefCell<Option<Arc<Ground>>>>,
    ) -> Result<(Federation, Workers), String> {
        let storage: Arc<dyn Storage> = Arc::<MemoryStorage>::clone(&self.storage);
        let (writer, writing) = Writer::new(Arc::clone(&storage));
        drop(tokio::task::spawn_local(writing));
        let ground = Arc::new(Ground::new(
            self.domain.clone(),
            self.incarnation(),
            Settings::default(),
            Arc::<SimClock>::clone(&self.clock),
            Box::new(entropy),
            storage,
            writer,
        ));
        let cases = UseCases::new(&ground, self.setup.clone(), self.engine.clone());
        let endpoint = self.endpoint(net, seed)?;
        let identity = PeeringIdentity {
            policy: Policy::AllowListed,
            address: Some(address(self.no).to_string().parse().map_err(|_| "no address".to_owned())?),
            ca_certificate: self.authority.certificate_der().to_vec(),
            pin: self.authority.pin(),
            key: self.key.clone(),
        };
        let peering = Peering::new(Arc::clone(&ground), identity);
        let workers = Workers::on_this_thread();
        let federation = Federation::start(FederationConfig {
            ground: Arc::clone(&ground),
            peering,
            directory: cases.directory,
            key_packages: cases.key_packages,
            groups: cases.groups,
            workers: workers.clone(),
            endpoint: endpoint.clone(),
            leaf: self.leaf.clone(),
            // Everybody's address is in the records: nobody asks DNS.
            discovery: Discovery::new(&DiscoverySettings::default()).map_err(|error| error.to_string())?,
        })
        .await
        .map_err(|refusal| refusal.to_string())?;
        workers.serve(&endpoint, LIMITS, federation.handler()).await.map_err(|error| error.to_string())?;
        begun.replace(Some(ground));
        Ok((federation, workers))
    }
}

impl Process {
    /// The ground of a process that has begun and not ended.
    pub(crate) fn ground(&self) -> Option<Arc<Ground>> {
        self.ground.borrow().clone().filter(|_| !self.task.is_finished())
    }

    /// Ends it after so many more polls of its tasks, wherever they are then.
    pub(crate) fn crash_after(&self, polls: u64) {
        self.polls_left.set(Some(polls));
    }

    /// Ends it now, if it hasn't by itself, and waits until nothing of it is left.
    pub(crate) async fn ended(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

/// A process: all of its tasks, and how often they may still be polled.
struct Living {
    local: LocalSet,
    polls_left: Rc<Cell<Option<u64>>>,
}

impl Future for Living {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<()> {
        match self.polls_left.get() {
            // Dropping the set drops every task in the middle of what it does.
            Some(0) => return task::Poll::Ready(()),
            Some(left) => self.polls_left.set(Some(left.saturating_sub(1))),
            None => {}
        }
        Pin::new(&mut self.local).poll(cx)
    }
}
