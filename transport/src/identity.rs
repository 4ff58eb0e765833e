//! The internal certificate authority of a domain, and the identities (leaf and key) that it issues.
//!
//! The authority's public key is what clients and peers pin, so leaves can be replaced without asking anybody.
//! All keys are ECDSA P-256, which every TLS implementation can verify.

use std::time::Duration;

use data_encoding::BASE64;
use qpq_core::{Domain, Millis, Pin, Secret, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::verify::{ChainFault, PeerCertificate, dns_names};

/// The authority outlives every leaf; rotating it is an act of its own.
const AUTHORITY_LIFETIME: Millis = Millis::from_days(3_650);
/// Certificates count from a little earlier, so that a machine whose clock is behind accepts a fresh one.
const BACKDATED: Millis = Millis::from_secs(3_600);
/// 9999-12-31T23:59:59Z, the last moment that X.509 can write down (RFC 5280, section 4.1.2.5).
const LAST_MOMENT: Timestamp = Timestamp::from_millis(253_402_300_799_000);
/// What the authority's common name starts with; the domain follows.
const AUTHORITY_NAME: &str = "quicproquo internal CA of ";

/// Why an authority or an identity could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The key or certificate could not be made.
    #[error("could not make a certificate")]
    Make(#[from] rcgen::Error),
    /// The text holds no certificate in PEM form.
    #[error("the text holds no certificate in PEM form")]
    NoCertificate,
    /// The text holds no private key in PEM form (PKCS #8).
    #[error("the text holds no private key in PEM form (PKCS #8)")]
    NoKey,
    /// The certificate was not made by `qpq-server` as an internal authority.
    #[error("the certificate is not that of an internal authority made by `qpq-server`")]
    NotOurAuthority,
    /// The private key belongs to another certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The certificates are no chain that a peer would accept.
    #[error("the certificates are not a usable chain")]
    Chain(#[from] ChainFault),
    /// The span of validity can't be written into a certificate.
    #[error("a certificate can't be valid from {from} for so long")]
    Lifetime {
        /// The start that was asked for.
        from: Timestamp,
    },
}

/// Certificates and a private key as text, to be kept in files or in the database.
#[derive(Debug, Clone)]
pub struct IdentityPem {
    /// The certificates, leaf first.
    pub certificates: String,
    /// The private key of the first certificate (PKCS #8).
    pub key: Secret<String>,
}

/// The certificate authority of one domain: the key that clients and peers pin.
#[derive(Debug)]
pub struct CertificateAuthority {
    domain: Domain,
    certificate: CertificateDer<'static>,
    pin: Pin,
    key: Secret<Vec<u8>>,
}

impl CertificateAuthority {
    /// Makes a new authority with a fresh key.
    pub fn generate(domain: &Domain, now: Timestamp) -> Result<Self, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = authority_params(domain)?;
        set_validity(&mut params, now, AUTHORITY_LIFETIME)?;
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            domain: domain.clone(),
            certificate: certificate.into(),
            pin: Pin::of_spki(&key.subject_public_key_info()),
            key: Secret::new(key.serialize_der()),
        })
    }

    /// Reads an authority that [`Self::to_pem`] wrote.
    pub fn from_pem(certificate: &str, key: &Secret<String>) -> Result<Self, IdentityError> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|_| IdentityError::NoCertificate)?;
        let key = private_key(key)?;
        let domain = authority_domain(&certificate)?;
        let pair = key_pair(&key)?;
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|_| IdentityError::NoCertificate)?;
        if parsed.public_key().raw != pair.subject_public_key_info() {
            return Err(IdentityError::KeyMismatch);
        }
        let pin = Pin::of_spki(parsed.public_key().raw);
        Ok(Self { domain, certificate, pin, key })
    }

    /// The authority as text, its private key included.
    pub fn to_pem(&self) -> IdentityPem {
        IdentityPem { certificates: self.certificate_pem(), key: key_pem(&self.key) }
    }

    /// The domain that it was made for.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// What clients and peers pin: the hash of its public key.
    pub const fn pin(&self) -> Pin {
        self.pin
    }

    /// Its certificate as text.
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// Its certificate in DER form.
    pub const fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Issues a leaf with a fresh key, valid from now (a little earlier) for so many days.
    pub fn issue(
        &self,
        domain: &Domain,
        now: Timestamp,
        lifetime_days: u64,
    ) -> Result<Identity, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new([domain.as_str().to_owned()])?;
        params.distinguished_name = common_name(domain.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        set_validity(&mut params, now, Millis::from_days(lifetime_days))?;
        let issuer = Issuer::new(authority_params(&self.domain)?, key_pair(&self.key)?);
        let leaf = params.signed_by(&key, &issuer)?;
        Identity::new(vec![leaf.into(), self.certificate.clone()], Secret::new(key.serialize_der()))
    }
}

/// A leaf certificate with the chain up to its authority, and the leaf's private key.
#[derive(Debug, Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    certificate: PeerCertificate,
    key: Secret<Vec<u8>>,
}

impl Identity {
    /// Reads certificates (leaf first) and the leaf's private key.
    pub fn from_pem(certificates: &str, key: &Secret<String>) -> Result<Self, IdentityError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| IdentityError::NoCertificate)?;
        let leaf = chain.first().ok_or(IdentityError::NoCertificate)?;
        let key = private_key(key)?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| IdentityError::NoCertificate)?;
        if parsed.public_key().raw != key_pair(&key)?.subject_public_key_info() {
            return Err(IdentityError::KeyMismatch);
        }
        Self::new(chain, key)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: Secret<Vec<u8>>) -> Result<Self, IdentityError> {
        let certificate = PeerCertificate::parse(&chain)?;
        Ok(Self { chain, certificate, key })
    }

    /// The identity as text, its private key included.
    pub fn to_pem(&self) -> IdentityPem {
        let certificates = self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect();
        IdentityPem { certificates, key: key_pem(&self.key) }
    }

    /// What the leaf says: domain, authority, validity.
    pub const fn certificate(&self) -> &PeerCertificate {
        &self.certificate
    }

    /// The certificates, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key as rustls takes it.
    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.expose().clone()).into()
    }
}

fn authority_params(domain: &Domain) -> Result<CertificateParams, rcgen::Error> {
    // The domain stands in the SAN, because a common name is cut at 64 characters.
    let mut params = CertificateParams::new([domain.as_str().to_owned()])?;
    params.distinguished_name = common_name(&format!("{AUTHORITY_NAME}{domain}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    // RFC 5280, appendix A.1: a common name has at most 64 characters.
    distinguished.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    distinguished
}

/// The domain that one of our authorities was made for.
fn authority_domain(certificate: &CertificateDer<'_>) -> Result<Domain, IdentityError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| IdentityError::NoCertificate)?;
    let ours = parsed
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
        .any(|name| name.starts_with(AUTHORITY_NAME));
    let domain = dns_names(&parsed).into_iter().next();
    match domain {
        Some(domain) if ours && parsed.is_ca() => Ok(domain),
        _ => Err(IdentityError::NotOurAuthority),
    }
}

/// Valid from a little before `now` until `lifetime` after it.
fn set_validity(
    params: &mut CertificateParams,
    now: Timestamp,
    lifetime: Millis,
) -> Result<(), IdentityError> {
    let (from, until) = (now.before(BACKDATED), now.after(lifetime));
    if until > LAST_MOMENT {
        return Err(IdentityError::Lifetime { from: now });
    }
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let moment = |time: Timestamp| epoch + Duration::from_secs(time.as_millis() / 1_000);
    (params.not_before, params.not_after) = (moment(from), moment(until));
    Ok(())
}

fn private_key(text: &Secret<String>) -> Result<Secret<Vec<u8>>, IdentityError> {
    let key =
        PrivatePkcs8KeyDer::from_pem_slice(text.expose().as_bytes()).map_err(|_| IdentityError::NoKey)?;
    Ok(Secret::new(key.secret_pkcs8_der().to_vec()))
}

fn key_pair(key: &Secret<Vec<u8>>) -> Result<KeyPair, rcgen::Error> {
    KeyPair::try_from(key.expose().as_slice())
}

fn key_pem(key: &Secret<Vec<u8>>) -> Secret<String> {
    Secret::new(pem("PRIVATE KEY", key.expose()))
}

/// The textual encoding of RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    // Sized once, so that a private key leaves no half-written copies behind in memory.
    let mut text = String::with_capacity(der.len().div_ceil(48) * 65 + 2 * label.len() + 64);
    text.extend(["-----BEGIN ", label, "-----\n"]);
    for line in der.chunks(48) {
        BASE64.encode_append(line, &mut text);
        text.push('\n');
    }
    text.extend(["-----END ", label, "-----\n"]);
    text
}
