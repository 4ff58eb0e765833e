//! Certificate chains as a peer shows them in TLS: cut into certificates, leaf first.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qpq_core::{Clock as _, SystemClock, Timestamp};
use qpq_fuzz::{
    home::{alpha, beta},
    parts, seeds,
};
use qpq_transport::{Anchors, CertificateAuthority, CertificateDer, PeerCertificate, Verdict, judge};

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    let chain: Vec<CertificateDer<'_>> = parts::cut_all(bytes).into_iter().map(CertificateDer::from).collect();
    let (beta, nobody) = (beta(), []);
    let anchors = Anchors { domain: &beta, pins: &nobody };
    let verdict = judge(&chain, &anchors, Timestamp::from_millis(1));
    assert_ne!(verdict, Verdict::Trusted, "nobody is pinned");
    match PeerCertificate::parse(&chain) {
        Ok(certificate) => {
            assert!(certificate.covers(certificate.domain()));
            let pins = [certificate.ca_pin];
            let anchors = Anchors { domain: certificate.domain(), pins: &pins };
            assert_ne!(certificate.judge(&anchors, Timestamp::from_millis(1)), Verdict::Unpinned);
        }
        Err(_) => assert_eq!(verdict, Verdict::Malformed),
    }
});

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let now = SystemClock.now();
    let [one, other] = [alpha(), beta()].map(|domain| {
        let authority = CertificateAuthority::generate(&domain, now).expect("an authority");
        let leaf = authority.issue(&domain, now, 30).expect("a leaf");
        leaf.chain().iter().map(|der| der.to_vec()).collect::<Vec<_>>()
    });
    let chain = |ders: &[&Vec<u8>]| parts::all(&ders.iter().map(|der| der.as_slice()).collect::<Vec<_>>());
    vec![
        ("chain", chain(&[&other[0], &other[1]])),
        ("mixed", chain(&[&other[0], &one[1]])),
        ("alone", chain(&[&one[0]])),
        ("long", chain(&[&one[0], &one[1], &other[1]])),
    ]
}
