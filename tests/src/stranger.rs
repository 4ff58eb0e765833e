//! Who is not what they claim: certificates that no peer should trust, and TLS that offers less than it must.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use qpq_core::{Clock as _, Domain, Millis, Secret, SystemClock, limits};
use qpq_transport::{CertificateAuthority, Identity, Leaf};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
};

use crate::HomeDomain;

/// A leaf for `domain` under an authority that nobody has pinned.
pub fn unpinned_leaf(domain: &Domain) -> anyhow::Result<Leaf> {
    let now = SystemClock.now();
    let authority = CertificateAuthority::generate(domain, now)?;
    Ok(Leaf::new(&authority.issue(domain, now, 30)?)?)
}

/// The leaf that a domain's server shows: who has its keys *is* the domain.
pub fn stolen_leaf(domain: &HomeDomain) -> anyhow::Result<Leaf> {
    let identity = Identity::from_pem(&key(domain, "tls.crt")?, &Secret::new(key(domain, "tls.key")?))?;
    Ok(Leaf::new(&identity)?)
}

/// A leaf for a domain under its own, pinned authority that ended long ago.
pub fn expired_leaf(domain: &HomeDomain) -> anyhow::Result<Leaf> {
    let authority =
        CertificateAuthority::from_pem(&key(domain, "ca.crt")?, &Secret::new(key(domain, "ca.key")?))?;
    let long_ago = SystemClock.now().before(Millis::from_days(400));
    Ok(Leaf::new(&authority.issue(domain.name(), long_ago, 10)?)?)
}

/// A leaf for `domain` under the authority of the domain whose data is in `directory`, which is another.
pub fn leaf_under(directory: &Path, domain: &Domain) -> anyhow::Result<Leaf> {
    let key = Secret::new(key_in(directory, "ca.key")?);
    let authority = CertificateAuthority::from_pem(&key_in(directory, "ca.crt")?, &key)?;
    Ok(Leaf::new(&authority.issue(domain, SystemClock.now(), 30)?)?)
}

fn key(domain: &HomeDomain, name: &str) -> anyhow::Result<String> {
    key_in(domain.directory(), name)
}

fn key_in(directory: &Path, name: &str) -> anyhow::Result<String> {
    let path = directory.join("keys").join(name);
    fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
}

/// The key-exchange groups by name.
pub fn group(name: &str) -> anyhow::Result<&'static dyn SupportedKxGroup> {
    Ok(match name {
        "X25519MLKEM768" => aws_lc_rs::kx_group::X25519MLKEM768,
        "X25519" => aws_lc_rs::kx_group::X25519,
        "secp256r1" => aws_lc_rs::kx_group::SECP256R1,
        other => anyhow::bail!("no group is called {other}"),
    })
}

/// Dials with nothing but these groups and without a client certificate; believes every server.
pub async fn bare_dial(
    address: &str,
    domain: &Domain,
    alpn: &[u8],
    groups: &[&'static dyn SupportedKxGroup],
) -> anyhow::Result<quinn::Connection> {
    let provider = provider(groups);
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse()?)?;
    let to: SocketAddr = address.parse()?;
    let connecting = endpoint.connect_with(config, to, domain.as_str())?;
    Ok(tokio::time::timeout(Duration::from_secs(10), connecting).await.context("nobody answered")??)
}

/// A listener for `domain` that knows only these groups; it accepts connections and serves nobody.
pub fn bare_listener(
    domain: &Domain,
    groups: &[&'static dyn SupportedKxGroup],
) -> anyhow::Result<(quinn::Endpoint, qpq_core::Pin)> {
    let certified = rcgen::generate_simple_self_signed([domain.to_string()])?;
    let pin = qpq_core::Pin::of_spki(&rcgen::PublicKeyData::subject_public_key_info(&certified.signing_key));
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider(groups))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.into()], key.into())?;
    tls.alpn_protocols = vec![limits::CLIENT_ALPN.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    Ok((quinn::Endpoint::server(config, "127.0.0.1:0".parse()?)?, pin))
}

fn provider(groups: &[&'static dyn SupportedKxGroup]) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { kx_groups: groups.to_vec(), ..aws_lc_rs::default_provider() })
}

/// Takes every server for the right one: what is tested is the other side.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
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
        Err(rustls::Error::General(String::from("TLS 1.2 is not spoken")))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
