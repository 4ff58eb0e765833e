//! Both listeners over real loopback sockets: who gets in, under which judgement and which key exchange.

#![expect(clippy::unwrap_used, reason = "the functions around the tests are tests too")]
#![expect(clippy::future_not_send, reason = "handlers live on one thread")]

use std::{net::SocketAddr, num::NonZeroUsize, rc::Rc, sync::Arc, time::Duration};

use qpq_core::{Domain, ManualClock, Millis, Pin, Timestamp, limits};
use qpq_transport::{
    AcceptLimits, Anchors, CertificateAuthority, CertificateDer, CloseCode, Connection, DialError, DialTls,
    Endpoint, Handler, Identity, Leaf, ListenerTls, Offload, PeerCertificate, Profile, ServerTrust, Verdict,
    WorkerContext, Workers,
};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs, aws_lc_rs::kx_group},
    pki_types::{ServerName, UnixTime},
};
use tokio::sync::mpsc;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const SOON: Duration = Duration::from_secs(10);

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn authority(name: &str) -> CertificateAuthority {
    CertificateAuthority::generate(&domain(name), NOW).unwrap()
}

fn leaf(identity: &Identity) -> Leaf {
    Leaf::new(identity).unwrap()
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(NOW))
}

/// Tells the test who came, and answers each stream with one byte.
struct Door(mpsc::Sender<Connection>);

impl Handler for Door {
    async fn serve(self: Rc<Self>, connection: Connection, context: WorkerContext) {
        self.0.send(connection.clone()).await.unwrap();
        if let Ok((_recv, mut send)) = connection.accept_stream(SOON).await {
            send.write_all(b"!").await.unwrap();
            send.finish().unwrap();
        }
        context.stopping().run_until_cancelled(connection.closed()).await;
    }
}

struct Listener {
    endpoint: Endpoint,
    workers: Workers,
    came: mpsc::Receiver<Connection>,
}

impl Listener {
    async fn start(tls: &ListenerTls, profile: Profile) -> Self {
        let endpoint = Endpoint::listen(loopback(), tls, profile, Offload::On).unwrap();
        let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
        let (door, came) = mpsc::channel(8);
        workers.serve(&endpoint, AcceptLimits::default(), move |_| Door(door.clone())).await.unwrap();
        Self { endpoint, workers, came }
    }

    async fn federation(identity: &Identity) -> Self {
        Self::start(&ListenerTls::federation(&leaf(identity)).unwrap(), Profile::Peer).await
    }

    async fn client(identity: &Identity) -> Self {
        Self::start(&ListenerTls::client(&leaf(identity)).unwrap(), Profile::Client).await
    }

    fn address(&self) -> SocketAddr {
        self.endpoint.local_addr()
    }

    async fn next(&mut self) -> Connection {
        tokio::time::timeout(SOON, self.came.recv()).await.unwrap().unwrap()
    }

    async fn stop(self) {
        assert_eq!(self.workers.stop(SOON).await.abandoned, 0);
    }
}

/// A dial and the byte that shows that the other side let us in.
async fn knock(
    endpoint: &Endpoint,
    to: SocketAddr,
    tls: &DialTls,
    profile: Profile,
) -> Result<Connection, DialError> {
    let connection = endpoint.dial(to, tls, profile, SOON).await?;
    let (mut recv, mut send) = connection.open_stream().await.unwrap();
    send.write_all(b"?").await.unwrap();
    assert_eq!(recv.read_to_end(8).await.unwrap(), b"!");
    Ok(connection)
}

fn dialler() -> Endpoint {
    Endpoint::dialler(loopback(), Offload::On).unwrap()
}

#[tokio::test]
async fn a_federation_link_is_post_quantum_and_shows_both_domains() {
    let (alpha, beta) = (authority("alpha.test"), authority("beta.test"));
    let mut listener = Listener::federation(&alpha.issue(&domain("alpha.test"), NOW, 30).unwrap()).await;
    let ours = leaf(&beta.issue(&domain("beta.test"), NOW, 30).unwrap());
    let tls = DialTls::federation(&ours, &domain("alpha.test"));
    let outgoing = knock(&dialler(), listener.address(), &tls, Profile::Peer).await.unwrap();
    let incoming = listener.next().await;
    for connection in [&outgoing, &incoming] {
        assert_eq!(connection.key_exchange(), Some("X25519MLKEM768"));
        assert_eq!(connection.protocol().as_deref(), Some(limits::FEDERATION_ALPN));
    }
    for (connection, authority) in [(&outgoing, &alpha), (&incoming, &beta)] {
        let shown = connection.peer_certificate().unwrap();
        assert_eq!(shown.domain(), authority.domain());
        let anchors = Anchors { domain: authority.domain(), pins: &[authority.pin()] };
        assert_eq!(shown.judge(&anchors, NOW), Verdict::Trusted);
    }
    listener.stop().await;
}

#[tokio::test]
async fn strangers_expired_and_unpinned_peers_reach_the_listener_and_are_told_apart() {
    let (alpha, beta, gamma) = (authority("alpha.test"), authority("beta.test"), authority("gamma.test"));
    let mut listener = Listener::federation(&alpha.issue(&domain("alpha.test"), NOW, 30).unwrap()).await;
    let long_ago = NOW.before(Millis::from_days(90));
    let old_beta = CertificateAuthority::generate(&domain("beta.test"), long_ago).unwrap();
    let pinned = [beta.pin(), old_beta.pin()];
    let anchors = Anchors { domain: &domain("beta.test"), pins: &pinned };
    for (identity, verdict) in [
        (beta.issue(&domain("beta.test"), NOW, 30), Verdict::Trusted),
        (gamma.issue(&domain("gamma.test"), NOW, 30), Verdict::WrongDomain),
        (gamma.issue(&domain("beta.test"), NOW, 30), Verdict::Unpinned),
        (old_beta.issue(&domain("beta.test"), long_ago, 30), Verdict::Expired),
        (beta.issue(&domain("beta.test"), NOW.after(Millis::from_days(2)), 30), Verdict::NotYetValid),
    ] {
        let tls = DialTls::federation(&leaf(&identity.unwrap()), &domain("alpha.test"));
        let outgoing = knock(&dialler(), listener.address(), &tls, Profile::Peer).await.unwrap();
        let shown = listener.next().await.peer_certificate().unwrap();
        assert_eq!(shown.judge(&anchors, NOW), verdict);
        outgoing.close(CloseCode::Done, "");
    }
    listener.stop().await;
}

#[tokio::test]
async fn a_peer_that_shows_another_domain_than_the_dialled_one_is_not_dialled() {
    let alpha = authority("alpha.test");
    let listener = Listener::federation(&alpha.issue(&domain("alpha.test"), NOW, 30).unwrap()).await;
    let ours = leaf(&authority("beta.test").issue(&domain("beta.test"), NOW, 30).unwrap());
    let tls = DialTls::federation(&ours, &domain("gamma.test"));
    let error = dialler().dial(listener.address(), &tls, Profile::Peer, SOON).await.unwrap_err();
    let DialError::Untrusted { verdict: Verdict::WrongDomain, showed, .. } = error else { panic!("{error}") };
    assert_eq!(showed, [domain("alpha.test")]);
    listener.stop().await;
}

#[tokio::test]
async fn a_client_accepts_only_its_pin_its_domain_and_a_valid_leaf() {
    let (alpha, other) = (authority("alpha.test"), authority("alpha.test"));
    let mut listener = Listener::client(&alpha.issue(&domain("alpha.test"), NOW, 30).unwrap()).await;
    let (pin, address) = (ServerTrust::Pin(alpha.pin()), listener.address());
    let file = ServerTrust::from_ca_pem(&alpha.certificate_pem()).unwrap();
    let dial = async |name: &str, trust: &ServerTrust, at: Timestamp| {
        let tls = DialTls::client(&domain(name), trust, Arc::new(ManualClock::at(at)));
        knock(&dialler(), address, &tls, Profile::Client).await
    };
    for trust in [&pin, &file] {
        let outgoing = dial("alpha.test", trust, NOW).await.unwrap();
        let incoming = listener.next().await;
        for connection in [&outgoing, &incoming] {
            assert_eq!(connection.key_exchange(), Some("X25519MLKEM768"));
            assert_eq!(connection.protocol().as_deref(), Some(limits::CLIENT_ALPN));
        }
        assert!(incoming.peer_chain().is_empty());
    }
    let wrong_pin = ServerTrust::Pin(Pin::of_spki(b"another"));
    let wrong_file = ServerTrust::from_ca_pem(&other.certificate_pem()).unwrap();
    let later = NOW.after(Millis::from_days(31));
    for (name, trust, at, expected) in [
        ("alpha.test", &wrong_pin, NOW, Verdict::Unpinned),
        ("alpha.test", &wrong_file, NOW, Verdict::Unpinned),
        ("beta.test", &pin, NOW, Verdict::WrongDomain),
        ("beta.test", &file, NOW, Verdict::WrongDomain),
        ("alpha.test", &pin, later, Verdict::Expired),
        ("alpha.test", &file, later, Verdict::Expired),
    ] {
        match dial(name, trust, at).await {
            Err(DialError::Untrusted { verdict, .. }) => assert_eq!(verdict, expected),
            other => panic!("{name} {expected:?}: {other:?}"),
        }
    }
    listener.stop().await;
}

#[tokio::test]
async fn a_replaced_leaf_is_shown_from_the_next_connection_on() {
    let alpha = authority("alpha.test");
    let shown = leaf(&alpha.issue(&domain("alpha.test"), NOW, 30).unwrap());
    let mut listener = Listener::start(&ListenerTls::client(&shown).unwrap(), Profile::Client).await;
    let tls = DialTls::client(&domain("alpha.test"), &ServerTrust::Pin(alpha.pin()), clock());
    let (endpoint, address) = (dialler(), listener.address());
    let first = knock(&endpoint, address, &tls, Profile::Client).await.unwrap();
    listener.next().await;
    shown.replace(&alpha.issue(&domain("alpha.test"), NOW, 60).unwrap()).unwrap();
    let second = knock(&endpoint, address, &tls, Profile::Client).await.unwrap();
    listener.next().await;
    let until = |connection: &Connection| connection.peer_certificate().unwrap().not_after;
    assert!(until(&first) < until(&second));
    assert!(!first.is_closed());
    listener.stop().await;
}

#[tokio::test]
async fn nobody_answers_and_the_dial_says_so() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let tls =
        DialTls::client(&domain("alpha.test"), &ServerTrust::Pin(authority("alpha.test").pin()), clock());
    let to = silent.local_addr().unwrap();
    let error = dialler().dial(to, &tls, Profile::Client, Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error, DialError::NoAnswer { .. }), "{error}");
}

/// A foreign client: our listeners seen through plain rustls and quinn.
struct Foreign {
    groups: Vec<&'static dyn SupportedKxGroup>,
    alpn: &'static [u8],
    certificate: Option<Identity>,
}

impl Foreign {
    /// The error with which the listener hung up, or the listener's own view of the connection.
    async fn dials(self, listener: &mut Listener) -> Result<Connection, String> {
        let provider = CryptoProvider { kx_groups: self.groups, ..aws_lc_rs::default_provider() };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody));
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = rustls::pki_types::pem::PemObject::from_pem_slice(
                    identity.to_pem().key.expose().as_bytes(),
                );
                builder.with_client_auth_cert(identity.chain().to_vec(), key.unwrap()).unwrap()
            }
        };
        config.alpn_protocols = vec![self.alpn.to_vec()];
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
        let endpoint = quinn::Endpoint::client(loopback()).unwrap();
        let connecting = endpoint.connect_with(config, listener.address(), "alpha.test").unwrap();
        let connection = connecting.await.map_err(|error| error.to_string())?;
        let (mut send, mut recv) = connection.open_bi().await.map_err(|error| error.to_string())?;
        send.write_all(b"?").await.map_err(|error| error.to_string())?;
        recv.read_to_end(8).await.map_err(|error| format!("{error:?}"))?;
        Ok(listener.next().await)
    }
}

#[tokio::test]
async fn without_a_certificate_a_federation_listener_refuses_tls() {
    let alpha = authority("alpha.test");
    let mut listener = Listener::federation(&alpha.issue(&domain("alpha.test"), NOW, 30).unwrap()).await;
    let nobody =
        Foreign { groups: vec![kx_group::X25519MLKEM768], alpn: limits::FEDERATION_ALPN, certificate: None };
    let refused = nobody.dials(&mut listener).await.unwrap_err();
    assert!(refused.to_lowercase().contains("certificate"), "{refused}");
    listener.stop().await;
}

#[tokio::test]
async fn classical_key_exchange_is_accepted_from_clients_and_refused_from_peers() {
    let (alpha, beta) = (authority("alpha.test"), authority("beta.test"));
    let ours = alpha.issue(&domain("alpha.test"), NOW, 30).unwrap();
    let mut clients = Listener::client(&ours).await;
    for (group, name) in [(kx_group::X25519, "X25519"), (kx_group::SECP256R1, "secp256r1")] {
        let foreign = Foreign { groups: vec![group], alpn: limits::CLIENT_ALPN, certificate: None };
        assert_eq!(foreign.dials(&mut clients).await.unwrap().key_exchange(), Some(name));
    }
    let both = vec![kx_group::X25519MLKEM768, kx_group::X25519];
    let foreign = Foreign { groups: both, alpn: limits::CLIENT_ALPN, certificate: None };
    assert_eq!(foreign.dials(&mut clients).await.unwrap().key_exchange(), Some("X25519MLKEM768"));
    clients.stop().await;

    let mut peers = Listener::federation(&ours).await;
    let certificate = || Some(beta.issue(&domain("beta.test"), NOW, 30).unwrap());
    let foreign =
        Foreign { groups: vec![kx_group::X25519], alpn: limits::FEDERATION_ALPN, certificate: certificate() };
    let refused = foreign.dials(&mut peers).await.unwrap_err();
    assert!(refused.contains("NoKxGroupsInCommon"), "{refused}");
    let groups = vec![kx_group::X25519MLKEM768];
    let foreign = Foreign { groups, alpn: limits::FEDERATION_ALPN, certificate: certificate() };
    assert_eq!(foreign.dials(&mut peers).await.unwrap().key_exchange(), Some("X25519MLKEM768"));
    peers.stop().await;
}

#[tokio::test]
async fn a_leaf_that_its_presented_authority_did_not_sign_is_refused_by_tls() {
    let (alpha, beta, gamma) = (authority("alpha.test"), authority("beta.test"), authority("gamma.test"));
    let mut listener = Listener::federation(&alpha.issue(&domain("alpha.test"), NOW, 30).unwrap()).await;
    // gamma signs a leaf with beta's name and presents beta's real authority beside it.
    let forged = gamma.issue(&domain("beta.test"), NOW, 30).unwrap().to_pem();
    let forged_leaf = forged.certificates.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
    let chain = format!("{forged_leaf}{}", beta.certificate_pem());
    assert!(Identity::from_pem(&chain, &forged.key).is_err());
    let chain: Vec<CertificateDer<'static>> =
        rustls::pki_types::pem::PemObject::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
    assert!(PeerCertificate::parse(&chain).is_err());
    let provider =
        CryptoProvider { kx_groups: vec![kx_group::X25519MLKEM768], ..aws_lc_rs::default_provider() };
    let key = rustls::pki_types::pem::PemObject::from_pem_slice(forged.key.expose().as_bytes()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_auth_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![limits::FEDERATION_ALPN.to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
    let endpoint = quinn::Endpoint::client(loopback()).unwrap();
    let closed = match endpoint.connect_with(config, listener.address(), "alpha.test").unwrap().await {
        Ok(connection) => connection.closed().await,
        Err(error) => error,
    };
    assert!(closed.to_string().contains("certificate"), "{closed}");
    assert!(listener.came.try_recv().is_err());
    listener.stop().await;
}

/// Trusts whoever it meets: these tests are about what the listener does.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
