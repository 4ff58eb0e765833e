//! Who the other side is: certificate chains parsed and judged, and rustls' verifiers made of that.
//!
//! The judgement is a pure function ([`judge`]); the verifiers only decide what TLS itself must refuse. A
//! federation link completes TLS for any well-formed chain, because a peer whose pin changed or expired must
//! still be able to say `hello`; what it may call is decided from its [`Verdict`] afterwards. A client, in
//! contrast, judges the homeserver inside the handshake.

mod verifiers;

use qpq_core::{Domain, Pin, Timestamp};
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};

pub(crate) use verifiers::{AnyDomain, DialledDomain, PinnedDomain, Seen};

/// More certificates than this are not read: leaf, authority, and room for a few intermediates.
const CHAIN_LIMIT: usize = 8;
/// More names than this in one certificate are not read.
const NAMES_LIMIT: usize = 16;

/// What is wrong with a certificate chain, whoever showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// Leaf and authority are both needed.
    #[error("the chain must hold the leaf and the certificate of its authority")]
    Incomplete,
    /// A certificate is not valid DER, or not an X.509 version 3 certificate.
    #[error("a certificate could not be read")]
    Encoding,
    /// The leaf names no domain in its SAN.
    #[error("the leaf names no domain")]
    NoDomain,
    /// The second certificate is not allowed to sign certificates.
    #[error("the second certificate is not that of an authority")]
    NotAnAuthority,
    /// The leaf was not signed by the second certificate, or is not meant for TLS servers.
    #[error("the leaf was not issued for TLS by the presented authority")]
    NotSigned,
}

/// What a well-formed chain says: the leaf really is signed by the authority presented with it.
///
/// That alone is worth nothing, since anybody can make an authority; [`Self::judge`] compares with the pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The domains in the leaf's SAN, at least one.
    pub domains: Vec<Domain>,
    /// The public key of the authority that signed the leaf.
    pub ca_pin: Pin,
    /// From when leaf and authority both count.
    pub not_before: Timestamp,
    /// Until when leaf and authority both count.
    pub not_after: Timestamp,
    /// The first of `domains`.
    domain: Domain,
}

/// The authorities that count for one domain; they count for no other.
#[derive(Debug, Clone, Copy)]
pub struct Anchors<'a> {
    /// The domain.
    pub domain: &'a Domain,
    /// The public keys of its authorities; two while one replaces the other.
    pub pins: &'a [Pin],
}

/// The judgement on a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Signed by a pinned authority of that domain, and valid now.
    Trusted,
    /// The right name under an authority that is not pinned for it.
    Unpinned,
    /// Signed by a pinned authority, but no longer valid.
    Expired,
    /// Signed by a pinned authority, but not valid yet: somebody's clock is wrong.
    NotYetValid,
    /// It doesn't name the expected domain.
    WrongDomain,
    /// No chain that could be judged.
    Malformed,
}

/// Judges a chain as TLS carried it, leaf first.
pub fn judge(chain: &[CertificateDer<'_>], anchors: &Anchors<'_>, now: Timestamp) -> Verdict {
    PeerCertificate::parse(chain).map_or(Verdict::Malformed, |certificate| certificate.judge(anchors, now))
}

impl PeerCertificate {
    /// Reads a chain, leaf first and its authority second, and checks that the one really signed the other.
    pub fn parse(chain: &[CertificateDer<'_>]) -> Result<Self, ChainFault> {
        let [leaf_der, authority_der, ..] = chain else { return Err(ChainFault::Incomplete) };
        if chain.len() > CHAIN_LIMIT {
            return Err(ChainFault::Encoding);
        }
        let (leaf, authority) = (read(leaf_der)?, read(authority_der)?);
        let domains = dns_names(&leaf);
        let domain = domains.first().cloned().ok_or(ChainFault::NoDomain)?;
        if !may_sign(&authority) {
            return Err(ChainFault::NotAnAuthority);
        }
        let not_before = moment(&leaf.validity().not_before);
        check_signature(leaf_der, authority_der, not_before)?;
        let authority_from = moment(&authority.validity().not_before);
        let authority_until = moment(&authority.validity().not_after);
        Ok(Self {
            domains,
            ca_pin: Pin::of_spki(authority.public_key().raw),
            not_before: not_before.max(authority_from),
            not_after: moment(&leaf.validity().not_after).min(authority_until),
            domain,
        })
    }

    /// The first domain of the SAN: who the other side says it is.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether the leaf names this domain.
    pub fn covers(&self, domain: &Domain) -> bool {
        self.domains.contains(domain)
    }

    /// Compares with what is pinned for a domain.
    pub fn judge(&self, anchors: &Anchors<'_>, now: Timestamp) -> Verdict {
        if !self.covers(anchors.domain) {
            Verdict::WrongDomain
        } else if !anchors.pins.contains(&self.ca_pin) {
            Verdict::Unpinned
        } else {
            self.judge_time(now)
        }
    }

    fn judge_time(&self, now: Timestamp) -> Verdict {
        if now > self.not_after {
            Verdict::Expired
        } else if now < self.not_before {
            Verdict::NotYetValid
        } else {
            Verdict::Trusted
        }
    }
}

/// The domains in a certificate's SAN; wildcards and what is no domain are left out.
pub(crate) fn dns_names(certificate: &X509Certificate<'_>) -> Vec<Domain> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => name.parse().ok(),
        _ => None,
    });
    dns.take(NAMES_LIMIT).collect()
}

fn read<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, ChainFault> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(ChainFault::Encoding),
    }
}

fn may_sign(authority: &X509Certificate<'_>) -> bool {
    let usage_allows = match authority.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
        Err(_) => false,
    };
    usage_allows && authority.is_ca()
}

/// Time plays no part here: the leaf is checked at the moment its own validity begins.
fn check_signature(
    leaf: &CertificateDer<'_>,
    authority: &CertificateDer<'_>,
    at: Timestamp,
) -> Result<(), ChainFault> {
    let end_entity = EndEntityCert::try_from(leaf).map_err(|_| ChainFault::Encoding)?;
    let anchor = anchor_from_trusted_cert(authority).map_err(|_| ChainFault::Encoding)?;
    let anchors = [anchor];
    end_entity
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &[],
            unix(at),
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map(drop)
        .map_err(|_| ChainFault::NotSigned)
}

/// Whole seconds, as certificates count; what lies before 1970 counts as 1970.
fn moment(time: &ASN1Time) -> Timestamp {
    Timestamp::from_millis(u64::try_from(time.timestamp()).unwrap_or(0).saturating_mul(1_000))
}

fn unix(time: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(qpq_core::Millis(time.as_millis()).to_duration())
}

fn timestamp(time: UnixTime) -> Timestamp {
    Timestamp::from_millis(time.as_secs().saturating_mul(1_000))
}
