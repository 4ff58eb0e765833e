//! One link per pair.

use std::time::Duration;

use crate::world::{Home, until};

#[tokio::test(flavor = "multi_thread")]
async fn two_crossed_dials_leave_one_link_that_serves_both_directions() {
    let (alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    alpha.knows(&beta.as_peer()).await;
    beta.knows(&alpha.as_peer()).await;
    // Both dial as soon as they start.
    let (a, b) = tokio::join!(alpha.start(), beta.start());
    let linked = || async { a.key_exchange(&beta).await.is_some() && b.key_exchange(&alpha).await.is_some() };
    until("a link on both sides", linked).await;
    until("one link", || async { a.workers.connections() + b.workers.connections() == 1 }).await;
    // It stays the one link, also when a peer that was forgotten would have been given up.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(a.workers.connections() + b.workers.connections(), 1);
    assert!(linked().await);
    a.send(&alpha, &beta, 5).await;
    b.send(&beta, &alpha, 5).await;
    until("rows both ways", || async {
        let there = beta.applied(&alpha).await.is_some_and(|head| head.last_applied.0 == 5);
        there && alpha.applied(&beta).await.is_some_and(|head| head.last_applied.0 == 5)
    })
    .await;
    assert_eq!(a.workers.connections() + b.workers.connections(), 1);
    a.stop().await;
    b.stop().await;
}
