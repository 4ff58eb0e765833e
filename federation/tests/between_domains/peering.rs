//! Two commands make two domains peers.

use qpq_core::{Address, ErrorCode};
use qpq_storage::PeerState;

use qpq_service::PeerStanding;

use crate::world::{HOUR, Home, admin, until};

#[tokio::test(flavor = "multi_thread")]
async fn two_commands_make_two_domains_peers_over_a_post_quantum_link() {
    let (alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    let (a, b) = (alpha.start().await, beta.start().await);
    let invite = a.peering.invite(Some(beta.domain.clone()), HOUR, &admin()).await.unwrap();
    let accepted = b.peering.accept(invite.token.expose(), &admin()).await.unwrap();
    assert_eq!((&accepted.domain, accepted.awaiting_confirmation), (&alpha.domain, false));
    until("a link", || async {
        a.key_exchange(&beta).await.is_some() && b.key_exchange(&alpha).await.is_some()
    })
    .await;
    assert_eq!(a.key_exchange(&beta).await.as_deref(), Some("X25519MLKEM768"));
    let shown = a.peering.show(&beta.domain).await.unwrap();
    assert_eq!((shown.state, shown.pin, shown.queued), (PeerStanding::Healthy, beta.authority.pin(), 0));
    assert!(shown.link.starts_with("connected"), "{}", shown.link);

    // Both ways, interactively: the other side answers about users that it doesn't have.
    for (us, we, them) in [(&a, &alpha, &beta), (&b, &beta, &alpha)] {
        let requester: Address = format!("anna@{}", we.domain).parse().unwrap();
        let missing: Address = format!("nobody@{}", them.domain).parse().unwrap();
        let deadline = us.ground.interactive_deadline();
        let answers = us
            .ground
            .peers()
            .resolve_user(&them.domain, &requester, &[missing], None, &qpq_service::Views::new(), deadline)
            .await
            .unwrap();
        assert!(matches!(answers.as_slice(), [Err((_, refusal))] if refusal.code == ErrorCode::NotFound));
    }

    let again = b.peering.accept(invite.token.expose(), &admin()).await;
    assert!(again.is_ok(), "a repeat by the same domain gets the same answer");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_for_anybody_waits_for_the_inviters_admin() {
    let (alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    let (a, b) = (alpha.start().await, beta.start().await);
    let invite = a.peering.invite(None, HOUR, &admin()).await.unwrap();
    let accepted = b.peering.accept(invite.token.expose(), &admin()).await.unwrap();
    assert!(accepted.awaiting_confirmation);
    assert_eq!(alpha.record(&beta).await.unwrap().state, PeerState::AwaitingConfirmation);
    b.send(&beta, &alpha, 3).await;
    until("a refusal", || async { beta.record(&alpha).await.unwrap().refused.is_some() }).await;
    assert!(alpha.applied(&beta).await.is_none());

    let confirmed = a.peering.confirm(&beta.domain, &admin()).await.unwrap();
    assert_eq!(confirmed.pin, beta.authority.pin());
    until("the rows", || async { alpha.applied(&beta).await.is_some_and(|head| head.last_applied.0 == 3) })
        .await;
    assert_eq!(beta.record(&alpha).await.unwrap().refused, None);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_serves_one_domain_once() {
    let (alpha, beta, gamma) = (Home::new("alpha.test"), Home::new("beta.test"), Home::new("gamma.test"));
    let (a, b, c) = (alpha.start().await, beta.start().await, gamma.start().await);
    let bound = a.peering.invite(Some(beta.domain.clone()), HOUR, &admin()).await.unwrap();
    let refused = c.peering.accept(bound.token.expose(), &admin()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Invite);
    let open = a.peering.invite(None, HOUR, &admin()).await.unwrap();
    b.peering.accept(open.token.expose(), &admin()).await.unwrap();
    let used = c.peering.accept(open.token.expose(), &admin()).await.unwrap_err();
    assert_eq!(used.code, ErrorCode::Invite);
    assert!(alpha.record(&gamma).await.is_none() && gamma.record(&alpha).await.is_none());
    let rubbish = c.peering.accept("qpqinvite1.AAAA", &admin()).await.unwrap_err();
    assert_eq!(rubbish.code, ErrorCode::Invite);
    for running in [a, b, c] {
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_a_peer_cuts_its_link_and_drops_what_waits() {
    let (alpha, beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    alpha.knows(&beta.as_peer()).await;
    beta.knows(&alpha.as_peer()).await;
    let (a, b) = (alpha.start().await, beta.start().await);
    until("a link", || async { b.key_exchange(&alpha).await.is_some() }).await;
    a.peering.remove(&beta.domain, &admin()).await.unwrap();
    until("the end of the link", || async { b.key_exchange(&alpha).await.is_none() }).await;
    b.send(&beta, &alpha, 1).await;
    until("a refusal", || async { beta.record(&alpha).await.unwrap().refused.is_some() }).await;
    assert!(alpha.applied(&beta).await.is_none());
    assert_eq!(a.peering.show(&beta.domain).await.unwrap_err().code, ErrorCode::NotFound);
    a.stop().await;
    b.stop().await;
}
