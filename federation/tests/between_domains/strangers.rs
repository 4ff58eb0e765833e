//! What a domain says to those whom it doesn't trust, and to those who lie to it.

use ed25519_dalek::SigningKey;
use qpq_core::{ErrorCode, Incarnation, MessageId, Millis, OsEntropy, Seq};
use qpq_federation_proto::{Batch, Row, RowKind, SignedHeader};
use qpq_storage::Peer;
use qpq_transport::{CertificateAuthority, Leaf};
use tokio::task::LocalSet;

use crate::{
    stranger::{Claims, Stranger, digests, relay},
    world::{Home, KIND, now, until},
};

const DAY: Millis = Millis::from_days(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_third_domain_gets_hello_and_accept_invite_and_nothing_else() {
    let (alpha, gamma) = (Home::new("alpha.test"), Home::new("gamma.test"));
    let a = alpha.start().await;
    LocalSet::new()
        .run_until(async {
            let stranger = Stranger::dial(&gamma.leaf(), &alpha.domain, alpha.listen).await;
            let greeted = stranger.hello(&gamma.domain, Some(lies(&gamma, None))).await;
            assert_eq!(greeted.code, Some(ErrorCode::Untrusted.number()), "{}", greeted.text);
            assert!(greeted.link.is_none() && !greeted.told);
            let code = stranger.accept_invite(b"no statement").await;
            assert_eq!(code, ErrorCode::Malformed.number());
            let ended = stranger.connection.closed().await;
            assert!(ended.contains("10 s"), "{ended}");
        })
        .await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_without_trust_is_told_when_to_come_back() {
    let (alpha, gamma) = (Home::new("alpha.test"), Home::new("gamma.test"));
    let a = alpha.start().await;
    LocalSet::new()
        .run_until(async {
            let stranger = Stranger::dial(&gamma.leaf(), &alpha.domain, alpha.listen).await;
            let mut last = None;
            for _ in 0..100 {
                last = stranger.hello(&gamma.domain, None).await.code;
            }
            assert_eq!(last, Some(ErrorCode::RateLimited.number()));
            assert_eq!(stranger.accept_invite(b"").await, ErrorCode::RateLimited.number());
        })
        .await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_name_under_another_authority_is_not_trusted() {
    let (alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    alpha.knows(&beta.as_peer()).await;
    let a = alpha.start().await;
    let forged = CertificateAuthority::generate(&beta.domain, now()).unwrap();
    let leaf = Leaf::new(&forged.issue(&beta.domain, now(), 30).unwrap()).unwrap();
    LocalSet::new()
        .run_until(async {
            let stranger = Stranger::dial(&leaf, &alpha.domain, alpha.listen).await;
            let greeted = stranger.hello(&beta.domain, Some(lies(&beta, None))).await;
            assert_eq!(greeted.code, Some(ErrorCode::Untrusted.number()));
            assert!(greeted.link.is_none() && !greeted.told);
            // Nor does the certificate of one peer speak for another name.
            let greeted = stranger.hello(&"gamma.test".parse().unwrap(), None).await;
            assert_eq!(greeted.code, Some(ErrorCode::Untrusted.number()));
        })
        .await;
    assert_eq!(alpha.record(&beta).await.unwrap().incarnation, None);
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_told_so() {
    let (alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    let before = now().before(Millis(3 * DAY.0));
    let authority = CertificateAuthority::generate(&beta.domain, before).unwrap();
    let leaf = Leaf::new(&authority.issue(&beta.domain, before, 1).unwrap()).unwrap();
    alpha.knows(&Peer { pin: authority.pin(), ..beta.as_peer() }).await;
    let a = alpha.start().await;
    LocalSet::new()
        .run_until(async {
            let stranger = Stranger::dial(&leaf, &alpha.domain, alpha.listen).await;
            let greeted = stranger.hello(&beta.domain, Some(lies(&beta, None))).await;
            assert_eq!(greeted.code, Some(ErrorCode::CertificateExpired.number()), "{}", greeted.text);
            assert!(greeted.link.is_none() && !greeted.told);
        })
        .await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_about_us_without_proof_stops_that_peer_alone() {
    let (alpha, beta, gamma) = (Home::new("alpha.test"), Home::new("beta.test"), Home::new("gamma.test"));
    for home in [&beta, &gamma] {
        alpha.knows(&home.as_peer()).await;
    }
    // The one that is asked for the proof.
    beta.knows(&alpha.as_peer()).await;
    let (a, b) = (alpha.start().await, beta.start().await);
    let later = Incarnation::begin(now().after(DAY), &mut OsEntropy::new().unwrap());
    LocalSet::new()
        .run_until(async {
            let liar = Stranger::dial(&beta.leaf(), &alpha.domain, alpha.listen).await;
            let greeted = liar.hello(&beta.domain, Some(lies(&beta, Some(later)))).await;
            assert_eq!(greeted.code, Some(ErrorCode::PolicyRefused.number()), "{}", greeted.text);
            assert!(greeted.link.is_none());
            until("the stop", || async {
                alpha.record(&beta).await.unwrap().refused.as_deref() == Some("unprovenClaim")
            })
            .await;
            let truthful = Stranger::dial(&beta.leaf(), &alpha.domain, alpha.listen).await;
            let greeted = truthful.hello(&beta.domain, Some(lies(&beta, None))).await;
            assert_eq!(greeted.code, Some(ErrorCode::PolicyRefused.number()), "only the admin lifts it");
            let other = Stranger::dial(&gamma.leaf(), &alpha.domain, alpha.listen).await;
            let greeted = other.hello(&gamma.domain, Some(lies(&gamma, Some(alpha.incarnation)))).await;
            assert_eq!(greeted.code, None, "{}", greeted.text);
            assert!(greeted.link.is_some() && greeted.told);
        })
        .await;
    assert_eq!(a.ground.incarnation(), alpha.incarnation);
    assert_eq!(alpha.record(&beta).await.unwrap().incarnation, Some(beta.incarnation));
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_count_only_under_the_pinned_federation_key() {
    let (alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    alpha.knows(&beta.as_peer()).await;
    let a = alpha.start().await;
    let row = Row {
        seq: Seq(1),
        id: MessageId::from_bytes([1; 16]),
        kind: RowKind::from_number(KIND),
        ttl: None,
        payload: vec![1, 2, 3],
        request: None,
    };
    let batch = Batch::new(beta.stream_to(&alpha), None, vec![row]).unwrap();
    let sign = |key: &SigningKey, origin: &Home, destination: &Home| {
        let (origin, destination) = (origin.domain.clone(), destination.domain.clone());
        SignedHeader::sign(key, origin, destination, beta.incarnation, digests(&batch)).unwrap()
    };
    LocalSet::new()
        .run_until(async {
            let peer = Stranger::dial(&beta.leaf(), &alpha.domain, alpha.listen).await;
            let link = peer.hello(&beta.domain, Some(lies(&beta, None))).await.link.unwrap();
            let untrusted = Some(ErrorCode::Untrusted.number());
            let other_key = SigningKey::from_bytes(&[9; 32]);
            assert_eq!(relay(&link, &sign(&other_key, &beta, &alpha), &batch).await, untrusted);
            assert_eq!(relay(&link, &sign(&beta.key, &alpha, &alpha), &batch).await, untrusted);
            assert_eq!(relay(&link, &sign(&beta.key, &beta, &beta), &batch).await, untrusted);
            assert!(alpha.applied(&beta).await.is_none());
            // Answered after it is there, and as often as it comes.
            for _ in 0..2 {
                assert_eq!(relay(&link, &sign(&beta.key, &beta, &alpha), &batch).await, None);
                assert_eq!(alpha.applied(&beta).await.unwrap().last_applied, Seq(1));
            }
        })
        .await;
    a.stop().await;
}

fn lies(home: &Home, yours: Option<Incarnation>) -> Claims {
    Claims { incarnation: home.incarnation, yours }
}
