//! A thousand peers: eight hundred that answer and have nothing to say, two hundred that are away while messages wait for
//! them. What does that cost those two who talk?

use std::{
    num::NonZeroUsize,
    path::Path,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use qpq_core::{Clock as _, Domain, SystemClock, limits};
use qpq_schemas::federation_capnp::{link, peering};
use qpq_transport::{
    AcceptLimits, CertificateAuthority, CloseCode, Connection, Endpoint, Handler, Leaf, ListenerTls, Offload,
    Profile, Rpc, RpcLimits, WorkerContext, Workers,
};

use super::{Figure, PAIRS, store};
use crate::{
    Plan,
    domains::HomeDomain,
    opaque::{
        lane::Lane,
        load::{self, Delays},
    },
    people, report,
    stopwatch::Stopwatch,
};

/// More is measurable.
const MEASURABLE: f64 = 1.1;
/// How long all links may take to come up.
const PATIENCE: Duration = Duration::from_mins(2);

pub(super) async fn measure(
    plan: &Plan,
    near: &mut HomeDomain,
    far: &HomeDomain,
    place: &Path,
) -> anyhow::Result<Figure> {
    let (there, away) = if plan.quick { (30, 10) } else { (799, 200) };
    let before = latency(plan, near, far, place, "before").await?;
    report::progress(&format!("{there} peers that answer, {away} that are away"));
    let workers = Workers::start(NonZeroUsize::MIN)?;
    let mut stubs = Vec::new();
    for n in 0..there {
        stubs.push(Stub::listen(&workers, n).await?);
    }
    let away_peers = (0..away).map(store::away);
    let peers =
        stubs.iter().map(|stub| Ok(stub.as_peer())).chain(away_peers).collect::<anyhow::Result<_>>()?;
    near.while_stopped(async |directory: &Path| store::peers(directory, peers).await).await?;
    let watch = Stopwatch::start();
    while stubs.iter().any(|stub| !stub.was_greeted()) {
        ensure!(watch.elapsed() < PATIENCE, "not every peer was greeted in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let greeted = watch.seconds();
    let beside = latency(plan, near, far, place, "beside").await?;
    drop(stubs);
    workers.stop(Duration::from_secs(5)).await;
    let (before, beside) = (before.delivered.medians(), beside.delivered.medians());
    let what =
        format!("50 messages per second to one of {} peers, {away} of which are away", there + away + 1);
    let figure = format!(
        "p50 {:.1} ms, p99 {:.1} ms; without the others {:.1} and {:.1} ms; {there} were linked {greeted:.1} s after the start",
        beside.p50, beside.p99, before.p50, before.p99
    );
    Ok((what, figure, beside.p50 <= before.p50 * MEASURABLE))
}

/// Between people of their own: those from before have lost their sessions with the restart.
async fn latency(
    plan: &Plan,
    near: &HomeDomain,
    far: &HomeDomain,
    place: &Path,
    when: &str,
) -> anyhow::Result<Delays> {
    let senders = people::crowd(near, place, &format!("writer-{when}"), PAIRS).await?;
    let receivers = people::crowd(far, place, &format!("reader-{when}"), PAIRS).await?;
    let lanes: Vec<Rc<Lane>> = Lane::between(&senders, &receivers).await?;
    let delays = load::latency(plan, &lanes).await;
    drop(lanes);
    for person in senders.into_iter().chain(receivers) {
        person.client.close().await;
    }
    delays
}

/// A peer that answers `hello` and nothing else: enough for a link that stays up.
struct Stub {
    domain: Domain,
    address: String,
    authority: CertificateAuthority,
    greeted: Arc<AtomicBool>,
}

impl Stub {
    async fn listen(workers: &Workers, n: u32) -> anyhow::Result<Self> {
        let (domain, now): (Domain, _) = (format!("there-{n}.test").parse()?, SystemClock.now());
        let authority = CertificateAuthority::generate(&domain, now)?;
        let leaf = Leaf::new(&authority.issue(&domain, now, 30)?)?;
        let tls = ListenerTls::federation(&leaf)?;
        let endpoint = Endpoint::listen("127.0.0.1:0".parse()?, &tls, Profile::Peer, Offload::On)?;
        let address = endpoint.local_addr().to_string();
        let greeted = Arc::new(AtomicBool::new(false));
        let hello = Hello { domain: domain.clone(), greeted: Arc::clone(&greeted) };
        drop(workers.serve(&endpoint, AcceptLimits::default(), move |_| Answering(hello.clone())).await?);
        Ok(Self { domain, address, authority, greeted })
    }

    fn as_peer(&self) -> store::PeerToStore {
        store::PeerToStore {
            domain: self.domain.clone(),
            address: self.address.clone(),
            pin: self.authority.pin(),
            ca_certificate: self.authority.certificate_der().to_vec(),
            rows: 0,
        }
    }

    fn was_greeted(&self) -> bool {
        self.greeted.load(Ordering::Acquire)
    }
}

struct Answering(Hello);

impl Handler for Answering {
    async fn serve(self: Rc<Self>, connection: Connection, _: WorkerContext) {
        let Ok((reader, writer)) = connection.accept_stream(PATIENCE).await else { return };
        let bootstrap: peering::Client = capnp_rpc::new_client(self.0.clone());
        drop(Rpc::answering(reader, writer, bootstrap.client, RpcLimits::peer()).run().await);
        connection.close(CloseCode::Done, "");
    }
}

#[derive(Clone)]
struct Hello {
    domain: Domain,
    greeted: Arc<AtomicBool>,
}

impl peering::Server for Hello {
    async fn hello(
        self: capnp::capability::Rc<Self>,
        _: peering::HelloParams,
        mut results: peering::HelloResults,
    ) -> capnp::Result<()> {
        let mut results = results.get();
        let mut hello = results.reborrow().init_hello();
        hello.set_min_version(limits::PROTOCOL_VERSION);
        hello.set_max_version(limits::PROTOCOL_VERSION);
        hello.set_domain(self.domain.as_str());
        let mut trusted = hello.init_trusted();
        trusted.set_incarnation(&[1; 16]);
        trusted.set_heads_digest(&[0; 32]);
        trusted.set_clock(SystemClock.now().as_millis());
        results.set_link(capnp_rpc::new_client::<link::Client, _>(Idle));
        self.greeted.store(true, Ordering::Release);
        Ok(())
    }
}

/// Is asked for nothing.
struct Idle;

impl link::Server for Idle {}
