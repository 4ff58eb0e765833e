//! `alpha.test` in memory, with everything above the store real, and `beta.test` as its peer.

use std::{num::NonZeroUsize, sync::Arc};

use ed25519_dalek::SigningKey;
use qpq_core::{Clock as _, Domain, Incarnation, OsEntropy, SystemClock, Timestamp};
use qpq_delivery::rates::Rate;
use qpq_federation::{Discovery, DiscoverySettings, Federation, FederationConfig};
use qpq_federation_proto::Policy;
use qpq_hub::Engine;
use qpq_service::{
    Ground, OpaqueSetup, Peering, PeeringIdentity, RegistrationPolicy, Settings, UseCases, Writer,
};
use qpq_storage::{Peer, PeerState, Storage, Vault, memory::MemoryStorage};
use qpq_transport::{CertificateAuthority, Endpoint, Leaf, ListenerTls, Offload, Profile, Workers};
use tokio::runtime::Runtime;

/// No rate: what is fuzzed lies behind it.
const ANY: Rate = Rate { burst: u32::MAX, refill: qpq_core::Millis(1) };

/// The domain.
pub struct Home {
    /// What drives its writer.
    pub runtime: Runtime,
    /// The thread that conversations are on.
    pub workers: Workers,
    /// What can be asked for.
    pub cases: UseCases,
    /// The links of peers.
    pub federation: Federation,
    /// Peers, for the console.
    pub peering: Peering,
    /// The domain's part in logins.
    pub setup: OpaqueSetup,
    /// The federation key of `beta.test`.
    pub beta: SigningKey,
}

/// Who is spoken to.
pub fn alpha() -> Domain {
    "alpha.test".parse().expect("a domain")
}

/// Its peer.
pub fn beta() -> Domain {
    "beta.test".parse().expect("a domain")
}

impl Home {
    /// Opens it.
    pub fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut entropy = OsEntropy::new().expect("entropy");
        let now = SystemClock.now();
        let beta = SigningKey::from_bytes(&[7; 32]);
        let incarnation = Incarnation::begin(now, &mut entropy);
        let vault = Vault { domain: alpha(), incarnation, created_at: now };
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::of(vault));
        let known = peer(&beta, now);
        runtime.block_on(async {
            let mut tx = storage.write().await.expect("a transaction");
            tx.peer_store(&known).await.expect("a peer is stored");
            tx.commit().await.expect("a commit");
        });
        let (writer, writing) = Writer::new(Arc::clone(&storage));
        drop(runtime.spawn(writing));
        let settings = Settings {
            registration: RegistrationPolicy::Open,
            attempts_per_network: ANY,
            logins_per_name: ANY,
            lookups: ANY,
            claims_per_domain: ANY,
            submits_per_minute: u32::MAX,
            ..Settings::default()
        };
        let clock = Arc::new(SystemClock);
        let ground = Ground::new(alpha(), incarnation, settings, clock, Box::new(entropy), storage, writer);
        let ground = Arc::new(ground);
        let setup = OpaqueSetup::generate(&mut entropy);
        let cases = UseCases::new(&ground, setup.clone(), Engine::new().expect("an engine"));
        let workers = Workers::start(NonZeroUsize::MIN).expect("a thread");
        let authority = CertificateAuthority::generate(&alpha(), now).expect("an authority");
        let leaf = Leaf::new(&authority.issue(&alpha(), now, 30).expect("a leaf")).expect("a leaf");
        let peering = Peering::new(
            Arc::clone(&ground),
            PeeringIdentity {
                policy: Policy::AllowListed,
                address: Some("127.0.0.1:7444".parse().expect("an address")),
                ca_certificate: authority.certificate_der().to_vec(),
                pin: authority.pin(),
                key: SigningKey::from_bytes(&[9; 32]),
            },
        );
        let federation = runtime.block_on(async {
            let tls = ListenerTls::federation(&leaf).expect("TLS");
            let here = "127.0.0.1:0".parse().expect("an address");
            let endpoint = Endpoint::listen(here, &tls, Profile::Peer, Offload::On).expect("a socket");
            let (directory, key_packages, groups) =
                (cases.directory.clone(), cases.key_packages.clone(), cases.groups.clone());
            let (workers, peering, ground) = (workers.clone(), peering.clone(), Arc::clone(&ground));
            let discovery = Discovery::new(&DiscoverySettings::default()).expect("anchors");
            let config = FederationConfig {
                discovery,
                ground,
                peering,
                directory,
                key_packages,
                groups,
                workers,
                endpoint,
                leaf,
            };
            Federation::start(config).await.expect("federation")
        });
        Self { runtime, workers, cases, federation, peering, setup, beta }
    }
}

/// Nothing listens where it is said to be.
fn peer(key: &SigningKey, now: Timestamp) -> Peer {
    let authority = CertificateAuthority::generate(&beta(), now).expect("an authority");
    Peer {
        domain: beta(),
        state: PeerState::Allowed,
        address: Some("127.0.0.1:1".to_owned()),
        pin: authority.pin(),
        ca_certificate: authority.certificate_der().to_vec(),
        federation_key: key.verifying_key().to_bytes(),
        incarnation: None,
        refused: None,
        since: now,
        note: String::new(),
    }
}
