//! Starting: store, use cases, federation, listeners, admin socket, in this order. Each needs the one before.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use ed25519_dalek::SigningKey;
use qpq_core::{Clock as _, Domain, FederationKey, OsEntropy, SystemClock};
use qpq_federation::{Discovery, Federation, FederationConfig};
use qpq_federation_proto::Policy;
use qpq_hub::Engine;
use qpq_metrics::Listener as Told;
use qpq_rpc::{AdminSocket, ClientListener};
use qpq_service::{
    Actions, Admins, Appliance, DomainFacts, Ground, OpaqueSetup, Peering, PeeringIdentity, Rounds,
    SocketFact, SocketState, Transparency, UseCases, Witness, Writer, relay,
};
use qpq_storage::{Storage, Vault};
use qpq_storage_sqlite::{Options, SqliteStorage};
use qpq_transport::{
    AcceptLimits, Endpoint, Leaf, ListenerTls, Listening, Offload, Profile, RpcLimits, Workers,
};
use qpq_web::{
    Hosts, Probes, PublishedLog, Readiness, Site, Sites, admin_router, bind_admin, bind_public, counted,
    public_router,
};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{
    certificates::Certificates,
    console, log,
    probe::{AddressFile, Probe},
    scheduler,
    setup_link::SetupFile,
};
use crate::{
    config::{Config, FederationPolicy, Layers},
    data_dir::DataDir,
    environment::Environment,
    keys,
    machine::{Place, RunningMachine},
    running::RunningConfiguration,
};

/// A peer's handshake or a client's may take this long.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Peers' links at once.
const PEER_CONNECTIONS: usize = 1_000;

/// The settings that flags set.
pub(super) type Flags = Vec<(&'static str, Option<String>)>;

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) facts: DomainFacts,
    pub(super) ground: Arc<Ground>,
    pub(super) storage: Arc<SqliteStorage>,
    pub(super) queue: Writer,
    pub(super) federation: Federation,
    pub(super) configuration: RunningConfiguration,
    pub(super) certificates: Certificates,
    pub(super) workers: Workers,
    pub(super) sites: Sites,
    pub(super) admin_address: AddressFile,
    pub(super) clients: Listening,
    pub(super) notice: Duration,
    pub(super) writer: JoinHandle<()>,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
}

/// Starts everything, or says what is in the way.
pub(super) async fn start(
    directory: &DataDir,
    config: &Config,
    environment: &Environment,
    (layers, flags): (Layers, Flags),
) -> anyhow::Result<Running> {
    let clock = SystemClock;
    let entropy = OsEntropy::new()?;
    let keys = keys::load(directory, &config.domain, clock.now())?;
    let (storage, vault) = open_storage(directory, config, environment).await?;

    let (queue, writing) = Writer::new(Arc::clone(&storage) as Arc<dyn Storage>);
    let tasks = TaskTracker::new();
    // Not tracked with the rest: it is the last to end.
    #[expect(clippy::disallowed_methods, reason = "its handle is awaited by `stop`")]
    let writer_task = tokio::spawn(writing);
    let ground = Arc::new(Ground::new(
        config.domain.clone(),
        vault.incarnation,
        config.settings.clone(),
        Arc::new(clock),
        Box::new(entropy),
        Arc::clone(&storage) as Arc<dyn Storage>,
        queue.clone(),
    ));
    let federation_key = SigningKey::from_bytes(keys.federation.expose());
    let told_key = FederationKey::from_bytes(federation_key.verifying_key().to_bytes());
    log::open(directory, &ground, storage.as_ref(), &mut OsEntropy::new()?, told_key).await?;
    let engine = Engine::new().context("MLS can't be started")?;
    let setup = OpaqueSetup::from_bytes(keys.opaque.expose()).context("`keys/opaque` can't be used")?;
    let cases = UseCases::new(&ground, setup, engine);

    let address = console::listens(config.admin_listen, Admins::anybody(&ground).await?);
    if let (Some(later), true) = (config.admin_listen, address != config.admin_listen) {
        warn!(
            "no admin can sign in yet, so the console listens on loopback only; it listens on {later} from the first start \
             after somebody can"
        );
    }
    let admin = bind_admin(address)?;
    let public = config.public_listen.map(bind_public).transpose()?;
    if admin.moved {
        info!(address = %admin.address, "the default port of the console is taken, it listens on another one");
    }
    let leaf = Leaf::new(&keys.leaf)?;
    let client_endpoint = listen(config, Listener::Client, &leaf)?;
    let peer_endpoint = listen(config, Listener::Federation, &leaf)?;
    let facts = DomainFacts {
        domain: config.domain.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        client_address: told(config.client_address.as_ref(), &client_endpoint),
        federation_address: config.federation_address.shown(peer_endpoint.local_addr()),
        client_pin: keys.authority.pin().to_string(),
        federation_key: told_key.to_string(),
        admin_url: console::url(admin.address),
        since: clock.now(),
    };
    let peering = Peering::new(
        Arc::clone(&ground),
        PeeringIdentity {
            policy: match config.federation_policy {
                FederationPolicy::AllowListed => Policy::AllowListed,
                FederationPolicy::Closed => Policy::Closed,
            },
            address: config.federation_address.address(peer_endpoint.local_addr())?,
            ca_certificate: keys.authority.certificate_der().to_vec(),
            pin: keys.authority.pin(),
            key: federation_key,
        },
    );

    // Before links are up: what was parked for want of a newer version is older than what comes.
    relay::take_up(&ground).await.context("rows that an older version had parked can't be taken up")?;

    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let workers = Workers::start(threads).context("could not start the worker threads")?;
    let stopping = CancellationToken::new();
    let federation = Federation::start(FederationConfig {
        ground: Arc::clone(&ground),
        peering: peering.clone(),
        directory: cases.directory.clone(),
        key_packages: cases.key_packages.clone(),
        groups: cases.groups.clone(),
        workers: workers.clone(),
        endpoint: peer_endpoint.clone(),
        leaf: leaf.clone(),
        discovery: Discovery::new(&config.discovery)
            .context("peers can't be looked for as `federation.dns-anchors` says")?,
    })
    .await
    .context("federation could not start")?;

    let peers = AcceptLimits { connections: PEER_CONNECTIONS, handshake: HANDSHAKE };
    workers.serve(&peer_endpoint, peers, federation.handler()).await?;
    let clients = AcceptLimits { connections: config.connections, handshake: HANDSHAKE };
    let for_clients = cases.clone();
    let announced = stopping.clone();
    let clients = workers
        .serve(&client_endpoint, clients, move |_| {
            ClientListener::new(for_clients.clone(), RpcLimits::client()).announcing(announced.clone())
        })
        .await?;

    // Before the socket: whoever finds that one finds everything of `run/`.
    let admin_address = AddressFile::write(directory, admin.address)?;
    let socket = AdminSocket::bind(&directory.admin_socket())?;
    ground.metrics().started(clock.now().as_seconds());
    let certificates = Certificates::new(directory, keys.authority.pin(), leaf, Arc::clone(&ground));
    let configuration = RunningConfiguration::new(
        directory.config(),
        environment.settings.clone(),
        flags,
        (peering.clone(), Arc::clone(&ground)),
        (layers, config.drain),
    );
    let machine = RunningMachine {
        place: Place::new(directory, environment),
        sockets: vec![
            granted("client.listen", &client_endpoint),
            granted("federation.listen", &peer_endpoint),
        ],
        configuration: configuration.clone(),
        storage: Arc::clone(&storage),
    };
    let appliance = Appliance { configuration: Arc::new(configuration.clone()), machine: Arc::new(machine) };
    let admins = Admins::new(
        Arc::clone(&ground),
        console::place(&config.domain, config.admin_name.as_ref(), admin.address),
    )
    .context("the console can't be where the configuration says (`admin.name`)")?;
    let setup_file = SetupFile::announce(directory, &admins).await?;
    let actions = Arc::new(Actions::new(&cases, admins.clone(), peering.clone(), facts.clone(), appliance));
    let pages = qpq_admin_ui::console(Arc::clone(&actions), admins, Arc::new(clock));
    let (checks, jobs) = (actions.checks().clone(), actions.jobs().clone());
    let stop_admin = stopping.clone();
    workers
        .spawn(None, move |_| async move {
            if let Err(error) = socket.serve(actions, stop_admin).await {
                warn!(error = &error as &dyn std::error::Error, "the admin socket ended");
            }
        })
        .await?;
    let probe = Probe::new(
        stopping.clone(),
        Arc::clone(&ground),
        cases.sessions.clone(),
        peering.clone(),
        directory.database(),
        checks,
    );
    let probes = Probes::new(Arc::new(probe) as Arc<dyn Readiness>);
    let hosts = Hosts::new(config.admin_name.as_ref().map(Domain::as_str));
    let router = counted(admin_router(probes, Some(pages), hosts), Told::Admin, ground.metrics().clone());
    let mut sites = vec![Site { bound: admin, router }];
    let (transparency, witness) = (Transparency::new(Arc::clone(&ground)), Witness::new(Arc::clone(&ground)));
    let published = log::Log::new(transparency, witness);
    let published = public_router(Arc::new(published) as Arc<dyn PublishedLog>);
    let router = counted(published, Told::Public, ground.metrics().clone());
    sites.extend(public.map(|bound| Site { bound, router }));
    let sites = Sites::serve(sites).context("the TCP listeners could not start")?;
    drop(tasks.spawn(setup_file.keep(stopping.clone())));
    scheduler::start(&jobs, Arc::new(clock), &tasks, &stopping).await?;
    drop(tasks.spawn(Rounds::new(Arc::clone(&ground)).run(stopping.clone())));
    Ok(Running {
        facts,
        ground,
        storage,
        queue,
        federation,
        configuration,
        certificates,
        workers,
        sites,
        admin_address,
        clients,
        notice: config.notice.to_duration(),
        writer: writer_task,
        tasks,
        stopping,
    })
}

async fn open_storage(
    directory: &DataDir,
    config: &Config,
    environment: &Environment,
) -> anyhow::Result<(Arc<SqliteStorage>, Vault)> {
    let path = keys::database_key_path(
        directory,
        environment.database_key_file.as_deref(),
        environment.credentials.as_deref(),
    );
    let key = keys::database_key(&path)?;
    let storage = SqliteStorage::open(&directory.database(), &key, &Options::default())
        .await
        .with_context(|| format!("could not open the database with the key in `{}`", path.display()))?;
    let vault = storage.read().await?.vault().await?;
    let Some(vault) = vault else {
        bail!(
            "`{}` holds no domain: it is not complete; restore it, or run `init` elsewhere",
            directory.database().display()
        );
    };
    if vault.domain != config.domain {
        bail!(
            "the configuration says `{}`, but the database belongs to `{}`: a domain never changes its name; correct `domain` in `{}`",
            config.domain,
            vault.domain,
            directory.config().display()
        );
    }
    if let Some(rollback) = storage.read().await?.rollback().await? {
        return Err(rolled_back(&relay::words(&rollback)));
    }
    Ok((Arc::new(storage), vault))
}

/// What an admin reads whose database is older than what was sent from it.
pub(super) fn rolled_back(why: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "nothing is served, because this database is older than what was sent from it: {why}; if another copy of it runs, \
         stop this one for good; if this is the only one, `qpq-server incarnation begin` lets it go on as a new life \
         (runbooks/rolled-back-server.md)"
    )
}

/// Which listener.
#[derive(Clone, Copy, Debug)]
enum Listener {
    Client,
    Federation,
}

fn listen(config: &Config, listener: Listener, leaf: &Leaf) -> anyhow::Result<Endpoint> {
    let (address, tls, profile) = match listener {
        Listener::Client => (config.client_listen, ListenerTls::client(leaf)?, Profile::Client),
        Listener::Federation => (config.federation_listen, ListenerTls::federation(leaf)?, Profile::Peer),
    };
    let offload = if config.gso { Offload::On } else { Offload::Off };
    Endpoint::listen(address, &tls, profile, offload).with_context(|| {
        let key = match listener {
            Listener::Client => "client.listen",
            Listener::Federation => "federation.listen",
        };
        format!("could not listen on {address} (`{key}`)")
    })
}

/// What others dial: as configured, or where we really listen.
fn told(configured: Option<&String>, endpoint: &Endpoint) -> String {
    match configured {
        Some(address) => address.clone(),
        None => endpoint.local_addr().to_string(),
    }
}

/// A bound socket as the checks judge it.
fn granted(setting: &'static str, endpoint: &Endpoint) -> SocketFact {
    let bytes = u64::try_from(endpoint.buffer_bytes()).unwrap_or(u64::MAX);
    SocketFact { setting, address: endpoint.local_addr().to_string(), state: SocketState::Granted(bytes) }
}
