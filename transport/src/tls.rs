//! The TLS settings of the two listeners and the two dialling sides: TLS 1.3 on aws-lc-rs, nothing else.
//!
//! 0-RTT and session resumption are off everywhere: each connection proves its certificates afresh, so a
//! replaced leaf or a changed pin counts from the next connection on.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use qpq_core::{Clock, Domain, Pin, limits};
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use rustls::{
    ClientConfig, ServerConfig, SignatureScheme,
    client::{ResolvesClientCert, Resumption},
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
    time_provider::TimeProvider,
    version::TLS13,
};

use crate::{
    identity::Identity,
    observe::{Group, Observed},
    verify::{AnyDomain, DialledDomain, PeerCertificate, PinnedDomain, Seen},
};

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Certificate and key can't be used.
    #[error("the certificate can't be used for TLS")]
    Identity(#[source] rustls::Error),
    /// TLS refused the settings.
    #[error("TLS could not be set up")]
    Settings(#[source] rustls::Error),
    /// The provider lacks the cipher suite that QUIC's first packets need.
    #[error("TLS could not be set up for QUIC")]
    Quic(#[from] NoInitialCipherSuite),
    /// A file of authorities holds none.
    #[error("the text holds no certificate in PEM form")]
    NoAuthority,
}

/// Our own leaf in use: shared by all who show it, and replaced while connections are open.
///
/// Clones share the slot. A connection keeps the leaf that it began with.
#[derive(Clone)]
pub struct Leaf(Arc<Slot>);

struct Slot(RwLock<Shown>);

struct Shown {
    key: Arc<CertifiedKey>,
    certificate: PeerCertificate,
}

impl Leaf {
    /// Holds an identity, ready to be shown.
    pub fn new(identity: &Identity) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Slot(RwLock::new(Shown::new(identity)?)))))
    }

    /// From now on new connections see this identity.
    pub fn replace(&self, identity: &Identity) -> Result<(), TlsError> {
        let shown = Shown::new(identity)?;
        *self.0.0.write().unwrap_or_else(PoisonError::into_inner) = shown;
        Ok(())
    }

    /// Whether this is the identity in use.
    pub fn shows(&self, identity: &Identity) -> bool {
        self.0.key().cert == identity.chain()
    }

    /// What the leaf in use says.
    pub fn certificate(&self) -> PeerCertificate {
        self.0.0.read().unwrap_or_else(PoisonError::into_inner).certificate.clone()
    }
}

impl Shown {
    fn new(identity: &Identity) -> Result<Self, TlsError> {
        let key = aws_lc_rs::sign::any_supported_type(&identity.private_key()).map_err(TlsError::Identity)?;
        let key = CertifiedKey::new(identity.chain().to_vec(), key);
        Ok(Self { key: Arc::new(key), certificate: identity.certificate().clone() })
    }
}

impl Slot {
    fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).key)
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leaf").field(&self.certificate()).finish()
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot(…)")
    }
}

impl ResolvesServerCert for Slot {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // One domain, one leaf: whoever asks for another name sees from ours that it is the wrong place.
        Some(self.key())
    }
}

impl ResolvesClientCert for Slot {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The TLS settings of a listener.
#[derive(Clone, Debug)]
pub struct ListenerTls(pub(crate) Arc<ListenerCrypto>);

/// What quinn is given for it.
pub(crate) type ListenerCrypto = Observed<QuicServerConfig>;

impl ListenerTls {
    /// The client listener: only we are authenticated; X25519MLKEM768, and X25519 and P-256 for foreign clients.
    pub fn client(leaf: &Leaf) -> Result<Self, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider(Group::all()))
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Settings)?
            .with_no_client_auth();
        Self::finish(builder.with_cert_resolver(Arc::<Slot>::clone(&leaf.0)), limits::CLIENT_ALPN)
    }

    /// The federation listener: the other side must show a well-formed chain with a domain; X25519MLKEM768 only.
    pub fn federation(leaf: &Leaf) -> Result<Self, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider(Group::post_quantum()))
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Settings)?
            .with_client_cert_verifier(Arc::new(AnyDomain));
        Self::finish(builder.with_cert_resolver(Arc::<Slot>::clone(&leaf.0)), limits::FEDERATION_ALPN)
    }

    fn finish(mut config: ServerConfig, alpn: &[u8]) -> Result<Self, TlsError> {
        config.alpn_protocols = vec![alpn.to_vec()];
        config.max_early_data_size = 0;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self(Arc::new(Observed(Arc::new(QuicServerConfig::try_from(config)?)))))
    }
}

/// What makes a client trust a homeserver.
#[derive(Debug, Clone)]
pub enum ServerTrust {
    /// The public key of the authority that signed its leaf.
    Pin(Pin),
    /// One of these authorities, by `WebPKI` path building.
    Authorities(Vec<CertificateDer<'static>>),
}

impl ServerTrust {
    /// Reads a file of authorities (`--ca`).
    pub fn from_ca_pem(text: &str) -> Result<Self, TlsError> {
        let authorities: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::NoAuthority)?;
        if authorities.is_empty() { Err(TlsError::NoAuthority) } else { Ok(Self::Authorities(authorities)) }
    }
}

/// The TLS settings of a dialling side, for one domain.
#[derive(Clone, Debug)]
pub struct DialTls {
    domain: Domain,
    purpose: Purpose,
}

#[derive(Clone, Debug)]
enum Purpose {
    Federation { leaf: Leaf },
    Client { trust: ServerTrust, clock: Arc<dyn Clock> },
}

/// What the verifier of one dial saw.
pub(crate) type Sight = Arc<Mutex<Option<Seen>>>;

impl DialTls {
    /// To a peer: we show `leaf`, the other side must show `domain`; its pin is judged afterwards, by the caller.
    pub fn federation(leaf: &Leaf, domain: &Domain) -> Self {
        Self { domain: domain.clone(), purpose: Purpose::Federation { leaf: leaf.clone() } }
    }

    /// To a homeserver as its client: judged inside the handshake.
    pub fn client(domain: &Domain, trust: &ServerTrust, clock: Arc<dyn Clock>) -> Self {
        Self { domain: domain.clone(), purpose: Purpose::Client { trust: trust.clone(), clock } }
    }

    /// The domain that the other side must show.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The settings of one dial, and where its verifier notes what it saw.
    pub(crate) fn config(&self) -> Result<(Arc<Observed<QuicClientConfig>>, Sight), TlsError> {
        let sight = Sight::default();
        let noted = Arc::clone(&sight);
        let report = Arc::new(move |seen| {
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        });
        let domain = self.domain.clone();
        let provider = provider(Group::post_quantum());
        let mut config = match &self.purpose {
            Purpose::Federation { leaf } => {
                let mut config = ClientConfig::builder_with_provider(provider)
                    .with_protocol_versions(&[&TLS13])
                    .map_err(TlsError::Settings)?
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(DialledDomain { domain, report }))
                    .with_client_cert_resolver(Arc::<Slot>::clone(&leaf.0));
                config.alpn_protocols = vec![limits::FEDERATION_ALPN.to_vec()];
                config
            }
            Purpose::Client { trust, clock } => {
                let time = Arc::new(Time(Arc::clone(clock)));
                let trust = trust.clone();
                let mut config = ClientConfig::builder_with_details(provider, time)
                    .with_protocol_versions(&[&TLS13])
                    .map_err(TlsError::Settings)?
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(PinnedDomain { domain, trust, report }))
                    .with_no_client_auth();
                config.alpn_protocols = vec![limits::CLIENT_ALPN.to_vec()];
                config
            }
        };
        config.enable_early_data = false;
        config.resumption = Resumption::disabled();
        Ok((Arc::new(Observed(Arc::new(QuicClientConfig::try_from(config)?))), sight))
    }
}

/// Our clock as rustls asks it.
#[derive(Debug)]
struct Time(Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch = qpq_core::Millis(self.0.now().as_millis()).to_duration();
        Some(UnixTime::since_unix_epoch(since_epoch))
    }
}

fn provider(kx_groups: Vec<&'static dyn SupportedKxGroup>) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}
