//! rustls' verifiers, each a few lines over [`PeerCertificate`]; the handshake's signature is always checked.

use std::{fmt, sync::Arc};

use qpq_core::{Domain, Pin};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::{Anchors, PeerCertificate, Verdict, timestamp};
use crate::tls::ServerTrust;

/// What a dialling side saw, for an error in words when the handshake fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) verdict: Verdict,
    pub(crate) presented: Option<Pin>,
    /// The domains of its certificate.
    pub(crate) showed: Vec<Domain>,
}

impl Seen {
    /// A chain that can't be read.
    const MALFORMED: Self = Self { verdict: Verdict::Malformed, presented: None, showed: Vec::new() };
}

/// Receives what was seen; called inside the handshake.
type Report = Arc<dyn Fn(Seen) + Send + Sync>;

/// The federation listener's: any well-formed chain with a domain, but a chain there must be.
#[derive(Debug)]
pub(crate) struct AnyDomain;

/// A federation dialler's: any well-formed chain that names the dialled domain.
pub(crate) struct DialledDomain {
    pub(crate) domain: Domain,
    pub(crate) report: Report,
}

/// A client's: the pinned or given authority, the address's domain, valid now.
pub(crate) struct PinnedDomain {
    pub(crate) domain: Domain,
    pub(crate) trust: ServerTrust,
    pub(crate) report: Report,
}

impl fmt::Debug for DialledDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialledDomain").field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl fmt::Debug for PinnedDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedDomain")
            .field("domain", &self.domain)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

impl ClientCertVerifier for AnyDomain {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: every domain has an authority of its own.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        PeerCertificate::parse(&chain(end_entity, intermediates))
            .map(|_| ClientCertVerified::assertion())
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

impl DialledDomain {
    fn judge(&self, chain: &[CertificateDer<'_>]) -> Seen {
        match PeerCertificate::parse(chain) {
            Err(_) => Seen::MALFORMED,
            Ok(certificate) => {
                // The authority is its own anchor here: only the name is decided in the handshake.
                let anchors = Anchors { domain: &self.domain, pins: &[certificate.ca_pin] };
                let verdict = match certificate.judge(&anchors, certificate.not_before) {
                    Verdict::WrongDomain => Verdict::WrongDomain,
                    _ => Verdict::Trusted,
                };
                Seen { verdict, presented: Some(certificate.ca_pin), showed: certificate.domains }
            }
        }
    }
}

impl PinnedDomain {
    fn judge(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Seen {
        match &self.trust {
            ServerTrust::Pin(pin) => {
                let Ok(certificate) = PeerCertificate::parse(chain) else {
                    return Seen::MALFORMED;
                };
                let anchors = Anchors { domain: &self.domain, pins: &[*pin] };
                Seen {
                    verdict: certificate.judge(&anchors, timestamp(now)),
                    presented: Some(certificate.ca_pin),
                    showed: certificate.domains,
                }
            }
            ServerTrust::Authorities(authorities) => {
                let verdict = judge_by_authorities(chain, authorities, &self.domain, now);
                Seen { verdict, presented: None, showed: Vec::new() }
            }
        }
    }
}

/// Path building of `WebPKI` from the leaf to one of the given authorities, over what intermediates were sent.
fn judge_by_authorities(
    chain: &[CertificateDer<'_>],
    authorities: &[CertificateDer<'_>],
    domain: &Domain,
    now: UnixTime,
) -> Verdict {
    let Some((leaf, intermediates)) = chain.split_first() else { return Verdict::Malformed };
    let Ok(leaf) = EndEntityCert::try_from(leaf) else { return Verdict::Malformed };
    let Ok(name) = ServerName::try_from(domain.as_str()) else { return Verdict::WrongDomain };
    if leaf.verify_is_valid_for_subject_name(&name).is_err() {
        return Verdict::WrongDomain;
    }
    let anchors: Vec<_> = authorities.iter().filter_map(|der| anchor_from_trusted_cert(der).ok()).collect();
    let path = leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        intermediates,
        now,
        KeyUsage::server_auth(),
        None,
        None,
    );
    match path.map(drop) {
        Ok(()) => Verdict::Trusted,
        Err(webpki::Error::CertExpired { .. }) => Verdict::Expired,
        Err(webpki::Error::CertNotValidYet { .. }) => Verdict::NotYetValid,
        Err(_) => Verdict::Unpinned,
    }
}

fn decide(seen: Seen, report: &Report) -> Result<ServerCertVerified, Error> {
    let verdict = seen.verdict;
    report(seen);
    let fault = match verdict {
        Verdict::Trusted => return Ok(ServerCertVerified::assertion()),
        Verdict::Unpinned => CertificateError::UnknownIssuer,
        Verdict::Expired => CertificateError::Expired,
        Verdict::NotYetValid => CertificateError::NotValidYet,
        Verdict::WrongDomain => CertificateError::NotValidForName,
        Verdict::Malformed => CertificateError::BadEncoding,
    };
    Err(Error::InvalidCertificate(fault))
}

macro_rules! server_verifier {
    ($verifier:ty, |$self:ident, $chain:ident, $now:ident| $judge:expr) => {
        impl ServerCertVerifier for $verifier {
            fn verify_server_cert(
                &$self,
                end_entity: &CertificateDer<'_>,
                intermediates: &[CertificateDer<'_>],
                _server_name: &ServerName<'_>,
                _ocsp_response: &[u8],
                $now: UnixTime,
            ) -> Result<ServerCertVerified, Error> {
                let $chain = chain(end_entity, intermediates);
                decide($judge, &$self.report)
            }

            fn verify_tls12_signature(
                &self,
                _message: &[u8],
                _cert: &CertificateDer<'_>,
                _dss: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                Err(only_tls13())
            }

            fn verify_tls13_signature(
                &self,
                message: &[u8],
                cert: &CertificateDer<'_>,
                dss: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                verify_tls13_signature(message, cert, dss, &algorithms())
            }

            fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
                algorithms().supported_schemes()
            }
        }
    };
}

server_verifier!(DialledDomain, |self, chain, _now| self.judge(&chain));
server_verifier!(PinnedDomain, |self, chain, now| self.judge(&chain, now));

fn chain<'a>(
    end_entity: &CertificateDer<'a>,
    intermediates: &[CertificateDer<'a>],
) -> Vec<CertificateDer<'a>> {
    std::iter::once(end_entity).chain(intermediates).cloned().collect()
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    aws_lc_rs::default_provider().signature_verification_algorithms
}

fn only_tls13() -> Error {
    Error::General("only TLS 1.3 is spoken here".into())
}
