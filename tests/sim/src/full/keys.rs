//! Certificates of one size: Ed25519, whose signatures have no lengths to choose from, so that two runs of a seed send
//! the same packets. An authority that people run makes ECDSA ones; both are read and judged by the same code.

use qpq_core::{Domain, Secret};
use qpq_transport::{CertificateAuthority, Identity};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, SerialNumber, date_time_ymd,
};

/// Makes a domain's authority and a leaf under it, valid for decades: clocks of a run are wrong by days.
pub(crate) fn make(domain: &Domain) -> Result<(CertificateAuthority, Identity), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let authority_key = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| text(&error))?;
    let mut authority = params(&format!("quicproquo internal CA of {domain}"), domain)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = authority.self_signed(&authority_key).map_err(|error| text(&error))?;
    let leaf_key = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| text(&error))?;
    let mut leaf = params(domain.as_str(), domain)?;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = Secret::new(authority_key.serialize_pem());
    let loaded = CertificateAuthority::from_pem(&certificate.pem(), &key).map_err(|error| text(&error))?;
    let issuer = Issuer::new(authority, authority_key);
    let signed = leaf.signed_by(&leaf_key, &issuer).map_err(|error| text(&error))?;
    let chain = format!("{}{}", signed.pem(), certificate.pem());
    let identity = Identity::from_pem(&chain, &Secret::new(leaf_key.serialize_pem()));
    Ok((loaded, identity.map_err(|error| text(&error))?))
}

fn params(name: &str, domain: &Domain) -> Result<CertificateParams, String> {
    let mut params =
        CertificateParams::new([domain.as_str().to_owned()]).map_err(|error| error.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&[0x11; 16]));
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    Ok(params)
}
