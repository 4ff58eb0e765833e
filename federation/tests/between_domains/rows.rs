//! Rows arrive whole, in order, once.

use qpq_core::{ErrorCode, Millis};

use crate::world::{Home, now, until};

async fn peers() -> (Home, Home) {
    let (alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    alpha.knows(&beta.as_peer()).await;
    beta.knows(&alpha.as_peer()).await;
    (alpha, beta)
}

async fn arrived(at: &Home, from: &Home, rows: u64) {
    until("the rows", || async { at.applied(from).await.is_some_and(|head| head.last_applied.0 == rows) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_while_the_peer_was_away_arrives_when_it_returns() {
    let (alpha, beta) = peers().await;
    let a = alpha.start().await;
    a.send(&alpha, &beta, 700).await;
    let b = beta.start().await;
    arrived(&beta, &alpha, 700).await;
    until("the acknowledgement", || async { alpha.depth(&beta).await.rows == 0 }).await;
    assert_eq!(alpha.depth(&beta).await.kept, 700);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_goes_on_after_its_own_homeserver_restarted() {
    let (alpha, beta) = peers().await;
    let a = alpha.start().await;
    a.send(&alpha, &beta, 300).await;
    a.stop().await;
    let (b, a) = (beta.start().await, alpha.start().await);
    arrived(&beta, &alpha, 300).await;
    // And again, with a chain that was read back from the store.
    a.send(&alpha, &beta, 1).await;
    arrived(&beta, &alpha, 301).await;
    a.stop().await;
    let a = alpha.start().await;
    a.send(&alpha, &beta, 1).await;
    arrived(&beta, &alpha, 302).await;
    assert_eq!(alpha.record(&beta).await.unwrap().refused, None);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_restarts_under_traffic_loses_nothing() {
    let (alpha, beta) = peers().await;
    let (a, mut b) = (alpha.start().await, beta.start().await);
    for round in 1..=5 {
        a.send(&alpha, &beta, 50).await;
        b.send(&beta, &alpha, 50).await;
        b.stop().await;
        a.send(&alpha, &beta, 50).await;
        b = beta.start().await;
        arrived(&beta, &alpha, 100 * round).await;
        arrived(&alpha, &beta, 50 * round).await;
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_time_is_over_keeps_its_place() {
    let (alpha, beta) = peers().await;
    let a = alpha.start().await;
    a.send(&alpha, &beta, 1).await;
    a.send_expiring(&alpha, &beta, now().before(Millis(1))).await;
    a.send(&alpha, &beta, 1).await;
    let b = beta.start().await;
    arrived(&beta, &alpha, 3).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_down_is_said_to_be_down() {
    let (alpha, beta) = peers().await;
    let a = alpha.start().await;
    a.send(&alpha, &beta, 2).await;
    until("a backoff", || async { a.peering.show(&beta.domain).await.unwrap().retry_at.is_some() }).await;
    let shown = a.peering.show(&beta.domain).await.unwrap();
    assert_eq!((shown.queued, shown.key_exchange), (2, None));
    assert!(shown.oldest_queued_ms.is_some() && shown.link.contains("doesn't answer"), "{}", shown.link);
    let requester = "anna@alpha.test".parse().unwrap();
    let asked = "bert@beta.test".parse().unwrap();
    let deadline = a.ground.interactive_deadline();
    let error = a
        .ground
        .peers()
        .resolve_user(&beta.domain, &requester, &[asked], None, &qpq_service::Views::new(), deadline)
        .await
        .unwrap_err();
    assert_eq!(qpq_service::Refusal::from(error).code, ErrorCode::PeerUnreachable);
    a.stop().await;
}
