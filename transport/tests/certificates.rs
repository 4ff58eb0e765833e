//! The authority, what it issues, and that reading the certificates of others never panics.

#![expect(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

use proptest::prelude::*;
use qpq_core::{Domain, Millis, Pin, Secret, Timestamp};
use qpq_transport::{
    Anchors, CertificateAuthority, CertificateDer, ChainFault, Identity, IdentityError, PeerCertificate,
    Verdict, judge,
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn authority(name: &str) -> CertificateAuthority {
    CertificateAuthority::generate(&domain(name), NOW).unwrap()
}

#[test]
fn an_authority_survives_being_written_and_read() {
    let made = authority("alpha.test");
    let pem = made.to_pem();
    let read = CertificateAuthority::from_pem(&pem.certificates, &pem.key).unwrap();
    assert_eq!((read.pin(), read.domain()), (made.pin(), made.domain()));
    let identity = read.issue(&domain("alpha.test"), NOW, 30).unwrap();
    assert_eq!(identity.certificate().ca_pin, made.pin());
}

#[test]
fn a_domain_longer_than_a_common_name_is_no_problem() {
    let long = format!("{}.{}.test", "a".repeat(60), "b".repeat(60));
    let pem = authority(&long).to_pem();
    let read = CertificateAuthority::from_pem(&pem.certificates, &pem.key).unwrap();
    assert_eq!(read.issue(&domain(&long), NOW, 30).unwrap().certificate().domain().as_str(), long);
}

#[test]
fn an_identity_survives_being_written_and_read() {
    let made = authority("alpha.test").issue(&domain("alpha.test"), NOW, 30).unwrap();
    let pem = made.to_pem();
    let read = Identity::from_pem(&pem.certificates, &pem.key).unwrap();
    assert_eq!(read.certificate(), made.certificate());
    assert_eq!(read.chain(), made.chain());
}

#[test]
fn validity_is_what_was_asked_for() {
    let identity = authority("alpha.test").issue(&domain("alpha.test"), NOW, 30).unwrap();
    let certificate = identity.certificate();
    assert_eq!(certificate.not_after, NOW.after(Millis::from_days(30)));
    assert!(certificate.not_before < NOW);
}

#[test]
fn keys_of_others_and_foreign_authorities_are_refused() {
    let (alpha, beta) = (authority("alpha.test").to_pem(), authority("beta.test").to_pem());
    assert!(matches!(
        CertificateAuthority::from_pem(&alpha.certificates, &beta.key),
        Err(IdentityError::KeyMismatch)
    ));
    let leaf = authority("alpha.test").issue(&domain("alpha.test"), NOW, 1).unwrap().to_pem();
    assert!(matches!(
        CertificateAuthority::from_pem(&leaf.certificates, &leaf.key),
        Err(IdentityError::NotOurAuthority)
    ));
    assert!(matches!(Identity::from_pem(&leaf.certificates, &beta.key), Err(IdentityError::KeyMismatch)));
    assert!(matches!(Identity::from_pem("", &beta.key), Err(IdentityError::NoCertificate)));
    assert!(matches!(
        Identity::from_pem(&leaf.certificates, &Secret::new(String::new())),
        Err(IdentityError::NoKey)
    ));
}

#[test]
fn a_lifetime_beyond_the_calendar_is_refused() {
    let refused = authority("alpha.test").issue(&domain("alpha.test"), NOW, u64::MAX);
    assert!(matches!(refused, Err(IdentityError::Lifetime { .. })));
}

#[test]
fn each_flaw_has_its_verdict() {
    let (alpha, other) = (authority("alpha.test"), authority("alpha.test"));
    let name = domain("alpha.test");
    let chain = alpha.issue(&name, NOW, 30).unwrap().chain().to_vec();
    let pins = [Pin::of_spki(b"an old one"), alpha.pin()];
    let anchors = Anchors { domain: &name, pins: &pins };
    assert_eq!(judge(&chain, &anchors, NOW), Verdict::Trusted);
    assert_eq!(judge(&chain, &anchors, NOW.after(Millis::from_days(31))), Verdict::Expired);
    assert_eq!(judge(&chain, &anchors, NOW.before(Millis::from_days(1))), Verdict::NotYetValid);
    assert_eq!(judge(&chain, &Anchors { domain: &name, pins: &[other.pin()] }, NOW), Verdict::Unpinned);
    assert_eq!(judge(&chain, &Anchors { domain: &name, pins: &[] }, NOW), Verdict::Unpinned);
    let elsewhere = Anchors { domain: &domain("beta.test"), pins: &pins };
    assert_eq!(judge(&chain, &elsewhere, NOW), Verdict::WrongDomain);
    assert_eq!(judge(&chain[..1], &anchors, NOW), Verdict::Malformed);
}

#[test]
fn an_expired_leaf_under_an_unpinned_authority_says_nothing_but_unpinned() {
    let (alpha, other) = (authority("alpha.test"), authority("alpha.test"));
    let name = domain("alpha.test");
    let chain = other.issue(&name, NOW, 1).unwrap().chain().to_vec();
    let anchors = Anchors { domain: &name, pins: &[alpha.pin()] };
    assert_eq!(judge(&chain, &anchors, NOW.after(Millis::from_days(9))), Verdict::Unpinned);
}

#[test]
fn a_leaf_is_no_authority_and_a_borrowed_authority_proves_nothing() {
    let (alpha, beta) = (authority("alpha.test"), authority("beta.test"));
    let leaf =
        |by: &CertificateAuthority| by.issue(&domain("alpha.test"), NOW, 30).unwrap().chain()[0].clone();
    let borrowed = [leaf(&beta), alpha.certificate_der().clone()];
    assert_eq!(PeerCertificate::parse(&borrowed), Err(ChainFault::NotSigned));
    let by_leaf = [leaf(&alpha), leaf(&alpha)];
    assert_eq!(PeerCertificate::parse(&by_leaf), Err(ChainFault::NotAnAuthority));
    let alone = [alpha.certificate_der().clone(), alpha.certificate_der().clone()];
    assert_eq!(PeerCertificate::parse(&alone), Err(ChainFault::NotSigned));
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let alpha = authority("alpha.test");
    let key = alpha.to_pem().key.expose().lines().nth(1).unwrap().to_owned();
    let shown = format!("{alpha:?} {:?}", alpha.to_pem());
    assert!(!shown.contains(&key));
}

proptest! {
    #[test]
    fn reading_noise_never_panics(
        leaf in prop::collection::vec(any::<u8>(), 0..300),
        authority in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let chain = [CertificateDer::from(leaf), CertificateDer::from(authority)];
        prop_assert!(PeerCertificate::parse(&chain).is_err());
    }

    /// Real certificates with some bytes changed get deeper into the parsers than noise does.
    #[test]
    fn reading_damaged_certificates_never_panics_and_never_trusts_another_key(
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_authority in any::<bool>(),
    ) {
        let (pin, chain) = sample();
        let mut chain: Vec<Vec<u8>> = chain.iter().map(|der| der.to_vec()).collect();
        let target = &mut chain[usize::from(in_authority)];
        for (at, byte) in hits {
            let at = at.index(target.len());
            target[at] = byte;
        }
        let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
        if let Ok(read) = PeerCertificate::parse(&chain) {
            // The signature covers the leaf; of the authority's certificate only its key is pinned.
            prop_assert!(in_authority || chain[0] == sample().1[0] || read.ca_pin == *pin);
        }
    }
}

/// One chain for all cases: making keys is slow.
fn sample() -> &'static (Pin, Vec<CertificateDer<'static>>) {
    static SAMPLE: std::sync::OnceLock<(Pin, Vec<CertificateDer<'static>>)> = std::sync::OnceLock::new();
    SAMPLE.get_or_init(|| {
        let alpha = authority("alpha.test");
        (alpha.pin(), alpha.issue(&domain("alpha.test"), NOW, 30).unwrap().chain().to_vec())
    })
}
