//! `peer probe` names the fault that was planted, and leaves the link alone. Faults of DNS are in `discovery.rs`.

use std::{net::UdpSocket, num::NonZeroUsize, rc::Rc, time::Duration};

use qpq_core::{ErrorCode, Millis};
use qpq_federation::DiscoverySettings;
use qpq_schemas::federation_capnp::peering;
use qpq_service::Refusal;
use qpq_storage::Peer;
use qpq_transport::{
    AcceptLimits, CertificateAuthority, Connection, Endpoint, Handler, ListenerTls, Offload, Profile, Rpc,
    RpcLimits, WorkerContext, Workers,
};

use crate::world::{Home, PATIENCE, Running, now, until};

/// Two domains that know each other.
async fn peers() -> (Home, Home) {
    let (alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    alpha.knows(&beta.as_peer()).await;
    beta.knows(&alpha.as_peer()).await;
    (alpha, beta)
}

async fn linked(a: &Running, beta: &Home) {
    until("a link", || async { a.key_exchange(beta).await.is_some() }).await;
}

/// The probe fails at this step with these words.
async fn expect(a: &Running, beta: &Home, step: &str, cause: &str, remedy: &str) {
    let (failed, said, advice) = a.probe(beta).await.unwrap();
    assert_eq!(failed, step, "{said}");
    assert!(said.contains(cause), "{said}");
    assert!(advice.contains(remedy), "{advice}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_well_passes_and_its_link_stays_as_it_is() {
    let (alpha, beta) = peers().await;
    let (a, b) = (alpha.start().await, beta.start().await);
    linked(&a, &beta).await;
    linked(&b, &alpha).await;
    until("one link", || async { a.workers.connections() + b.workers.connections() == 1 }).await;
    a.send(&alpha, &beta, 2).await;
    for _ in 0..3 {
        let report = a.peering.probe(&beta.domain).await.unwrap();
        assert!(report.ok, "{report:?}");
        assert!(report.steps.iter().all(|step| step.outcome == "passed" && step.took_ms.is_some()));
        let theirs = report.theirs.unwrap();
        assert!(theirs.reachable && theirs.standing == "healthy", "{theirs:?}");
        assert!(report.clock_skew_ms.unwrap().abs() < 5_000);
    }
    // The connections of the probes are gone, and the link has carried on.
    until("one link", || async { a.workers.connections() + b.workers.connections() == 1 }).await;
    assert!(a.key_exchange(&beta).await.is_some() && b.key_exchange(&alpha).await.is_some());
    until("the rows", || async { beta.applied(&alpha).await.is_some_and(|head| head.last_applied.0 == 2) })
        .await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_no_name_server_answers() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    alpha.discovery =
        DiscoverySettings { servers: vec![silent.local_addr().unwrap()], ..DiscoverySettings::default() };
    alpha.knows(&Peer { address: None, ..beta.as_peer() }).await;
    let a = alpha.start().await;
    expect(&a, &beta, "dns", "no name server answered in time", "federation.dns").await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_datagrams_vanish() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    let address = silent.local_addr().unwrap();
    alpha.knows(&Peer { address: Some(address.to_string()), ..beta.as_peer() }).await;
    let a = alpha.start().await;
    expect(&a, &beta, "quic", &format!("nobody answers at {address} (UDP)"), "firewall").await;
    let report = a.peering.probe(&beta.domain).await.unwrap();
    assert!(report.steps.iter().skip(3).all(|step| step.outcome == "skipped"), "{report:?}");
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_another_service_listens_there() {
    let (alpha, beta) = peers().await;
    let fake = Fake::start(&beta, &ListenerTls::client(&beta.leaf()).unwrap()).await;
    let a = alpha.start().await;
    expect(&a, &beta, "alpn", "doesn't speak `quicproquo/federation/1`", "another service").await;
    a.stop().await;
    fake.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_its_certificate_has_expired() {
    let (alpha, mut beta) = peers().await;
    beta.leaf_since = now().before(Millis::from_days(40));
    let (a, b) = (alpha.start().await, beta.start().await);
    expect(&a, &beta, "certificate", "its certificate has expired", "renews").await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_a_third_domain_is_at_its_address() {
    let (alpha, beta) = peers().await;
    let gamma = Home { listen: beta.listen, ..Home::new("gamma.test") };
    let (a, c) = (alpha.start().await, gamma.start().await);
    expect(&a, &beta, "certificate", "another domain (`gamma.test`), not as `beta.test`", "correct it").await;
    a.stop().await;
    c.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_its_authority_is_another_one() {
    let (alpha, mut beta) = peers().await;
    beta.authority = CertificateAuthority::generate(&beta.domain, now()).unwrap();
    let (a, b) = (alpha.start().await, beta.start().await);
    let pin = beta.authority.pin().to_string();
    expect(&a, &beta, "certificate", &pin, "Compare the pin with its admin").await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_it_does_not_know_us() {
    let (alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    alpha.knows(&beta.as_peer()).await;
    let (a, b) = (alpha.start().await, beta.start().await);
    expect(&a, &beta, "hello", "doesn't know or doesn't trust this domain", "peer invite alpha.test").await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_no_common_version() {
    let (alpha, beta) = peers().await;
    let fake = Fake::start(&beta, &ListenerTls::federation(&beta.leaf()).unwrap()).await;
    let a = alpha.start().await;
    expect(&a, &beta, "hello", "`beta.test` speaks 7 to 9", "upgrade this homeserver").await;
    a.stop().await;
    fake.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_it_has_stopped_us() {
    let (alpha, beta) = peers().await;
    beta.knows(&Peer { refused: Some("chainDiffers".to_owned()), ..alpha.as_peer() }).await;
    let (a, b) = (alpha.start().await, beta.start().await);
    linked(&a, &beta).await;
    expect(&a, &beta, "health", "`beta.test` sends nothing to this domain", "peer confirm alpha.test").await;
    // And the other way round it is told what we hold back ourselves.
    expect(&b, &alpha, "health", "this domain sends nothing to `alpha.test`", "peer confirm alpha.test")
        .await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_its_clock_is_ten_minutes_ahead() {
    let (alpha, mut beta) = peers().await;
    beta.ahead = Millis::from_secs(600);
    let (a, b) = (alpha.start().await, beta.start().await);
    expect(&a, &beta, "clock", "s ahead of ours", "timedatectl").await;
    expect(&b, &alpha, "clock", "s behind ours", "timedatectl").await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_is_no_peer_is_not_looked_at() {
    let (alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    let a = alpha.start().await;
    assert_eq!(a.peering.probe(&beta.domain).await.unwrap_err().code, ErrorCode::NotFound);
    a.stop().await;
}

/// Something else at a domain's address: it answers every `hello` with versions of the future.
struct Fake {
    workers: Workers,
}

impl Fake {
    async fn start(home: &Home, tls: &ListenerTls) -> Self {
        let endpoint = Endpoint::listen(home.listen, tls, Profile::Peer, Offload::On).unwrap();
        let workers = Workers::start(NonZeroUsize::MIN).unwrap();
        let domain = home.domain.to_string();
        workers
            .serve(&endpoint, AcceptLimits::default(), move |_| FromTheFuture { domain: domain.clone() })
            .await
            .unwrap();
        Self { workers }
    }

    async fn stop(self) {
        self.workers.stop(PATIENCE).await;
    }
}

#[derive(Clone)]
struct FromTheFuture {
    domain: String,
}

impl Handler for FromTheFuture {
    async fn serve(self: Rc<Self>, connection: Connection, _: WorkerContext) {
        let Ok((reader, writer)) = connection.accept_stream(Duration::from_secs(10)).await else { return };
        let server: peering::Client = capnp_rpc::new_client(Self::clone(&self));
        drop(Rpc::answering(reader, writer, server.client, RpcLimits::peer()).run().await);
    }
}

impl peering::Server for FromTheFuture {
    async fn hello(
        self: capnp::capability::Rc<Self>,
        _: peering::HelloParams,
        mut results: peering::HelloResults,
    ) -> capnp::Result<()> {
        let mut results = results.get();
        let mut hello = results.reborrow().init_hello();
        hello.set_min_version(7);
        hello.set_max_version(9);
        hello.set_domain(self.domain.as_str());
        let refusal = Refusal::new(ErrorCode::VersionUnsupported, "too old");
        qpq_service::wire::write_failure(&refusal, results.init_failure());
        Ok(())
    }
}
