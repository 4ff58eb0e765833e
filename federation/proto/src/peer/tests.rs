use proptest::prelude::*;
use qpq_core::SeededEntropy;

use super::*;

const VERSIONS: VersionRange = VersionRange { min: 1, max: 2 };
const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn beta() -> Domain {
    "beta.test".parse().unwrap()
}

fn life(time: u64) -> Incarnation {
    Incarnation::begin(Timestamp::from_millis(time), &mut SeededEntropy::new(time))
}

fn trusted() -> TrustedLink {
    judge_link(&beta(), Presented::Trusted, Some(PeerState::Allowed), Policy::AllowListed).unwrap()
}

fn hello(incarnation: Incarnation, yours: Option<Incarnation>) -> Hello {
    let claims = TrustedClaims { incarnation, yours, streams: 0, heads: Digest::ZERO, clock: NOW };
    Hello { versions: VERSIONS, features: vec![], domain: beta(), trusted: Some(claims) }
}

#[test]
fn nobody_but_a_pinned_valid_allowed_peer_gets_a_trusted_link() {
    use PeerState::{Allowed, AwaitingConfirmation, Blocked};
    use Presented::{Expired, NotYetValid, Trusted, Unpinned, WrongDomain};
    let judged = |presented, record, policy| judge_link(&beta(), presented, record, policy).map(|_| ());
    for policy in [Policy::Open, Policy::AllowListed, Policy::Closed] {
        for record in [None, Some(Allowed), Some(AwaitingConfirmation), Some(Blocked)] {
            for presented in [Trusted, Unpinned, Expired, NotYetValid, WrongDomain] {
                let allowed = presented == Trusted
                    && policy != Policy::Closed
                    && (record == Some(Allowed) || (record.is_none() && policy == Policy::Open));
                assert_eq!(
                    judged(presented, record, policy).is_ok(),
                    allowed,
                    "{presented:?} {record:?} {policy:?}"
                );
            }
        }
    }
    assert_eq!(judged(Expired, Some(Allowed), Policy::AllowListed), Err(Untrusted::CertificateExpired));
    assert_eq!(judged(Unpinned, Some(Allowed), Policy::AllowListed), Err(Untrusted::Unpinned));
    assert_eq!(judged(Unpinned, None, Policy::AllowListed), Err(Untrusted::Unknown));
    assert_eq!(judged(Trusted, Some(Blocked), Policy::Open), Err(Untrusted::Blocked));
    assert_eq!(Untrusted::CertificateExpired.code(), ErrorCode::CertificateExpired);
}

#[test]
fn a_claim_about_us_is_for_the_peer_to_prove() {
    let mut peer = Peer::new(trusted(), Some(life(5)));
    let verdict = peer.handle_hello(&hello(life(5), Some(life(9))), life(8), VERSIONS, NOW);
    assert!(matches!(verdict, HelloVerdict::Welcome { challenged: true, .. }));
    let verdict = peer.handle_hello(&hello(life(5), Some(life(8))), life(8), VERSIONS, NOW);
    assert!(matches!(verdict, HelloVerdict::Welcome { remember: None, challenged: false, .. }));
}

#[test]
fn a_newer_life_of_the_peer_is_remembered_and_an_older_one_is_refused() {
    let mut peer = Peer::new(trusted(), None);
    let verdict = peer.handle_hello(&hello(life(5), None), life(8), VERSIONS, NOW);
    assert_eq!(
        verdict,
        HelloVerdict::Welcome { version: 2, remember: Some(life(5)), skew_ms: 0, challenged: false }
    );
    let verdict = peer.handle_hello(&hello(life(4), None), life(8), VERSIONS, NOW);
    assert_eq!(verdict, HelloVerdict::Stop(StopReason::IncarnationWentBack));
    let verdict = peer.handle_hello(&hello(life(6), None), life(8), VERSIONS, NOW);
    assert!(matches!(verdict, HelloVerdict::Welcome { remember: Some(_), .. }));
}

#[test]
fn a_hello_under_another_name_or_for_strangers_is_not_served() {
    let mut peer = Peer::new(trusted(), None);
    let other = Hello { domain: "gamma.test".parse().unwrap(), ..hello(life(1), None) };
    assert_eq!(
        peer.handle_hello(&other, life(1), VERSIONS, NOW),
        HelloVerdict::Stop(StopReason::CertificateRefused)
    );
    let stranger = Hello { trusted: None, ..hello(life(1), None) };
    assert_eq!(
        peer.handle_hello(&stranger, life(1), VERSIONS, NOW),
        HelloVerdict::Stop(StopReason::RefusedByPeer)
    );
    let future = Hello { versions: VersionRange { min: 3, max: 4 }, ..hello(life(1), None) };
    assert_eq!(
        peer.handle_hello(&future, life(1), VERSIONS, NOW),
        HelloVerdict::Stop(StopReason::VersionUnsupported)
    );
}

#[test]
fn of_two_crossed_dials_both_sides_keep_the_same() {
    let (alpha, beta) = ("alpha.test".parse().unwrap(), beta());
    assert_eq!(dial_that_stays(&alpha, &beta), dial_that_stays(&beta, &alpha));
    assert_eq!(dial_that_stays(&alpha, &beta), &alpha);
}

proptest! {
    #[test]
    fn both_sides_agree_on_the_newest_common_version(a: (u16, u16), b: (u16, u16)) {
        let (ours, theirs) = (VersionRange { min: a.0, max: a.1 }, VersionRange { min: b.0, max: b.1 });
        let newest = (0..=u16::MAX).rev().find(|v| (a.0..=a.1).contains(v) && (b.0..=b.1).contains(v));
        prop_assert_eq!(ours.agree(theirs).ok(), newest);
        prop_assert_eq!(theirs.agree(ours).ok(), newest);
    }
}
