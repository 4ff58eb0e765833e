//! Sessions: single-use tokens, ends that take effect at once.

use qpq_core::{ErrorCode, Millis, Secret};
use qpq_storage::{UserFilter, UserSort};

use crate::{SessionEnd, Upkeep, fixture::Home};

#[tokio::test(start_paused = true)]
async fn a_resumption_token_works_once_and_is_followed_by_the_next() {
    let home = Home::open();
    let (_, first) = home.joins("alice").await;
    let sessions = &home.use_cases.sessions;
    let second = sessions.resume(first.grant.resumption_token.expose(), None).await.unwrap();
    assert_eq!(second.grant.session, first.grant.session);
    assert_eq!(first.handle.why(), Some(SessionEnd::Resumed));
    let replayed = sessions.resume(first.grant.resumption_token.expose(), None).await.unwrap_err();
    assert_eq!(replayed.code, ErrorCode::Revoked);
    assert!(second.handle.check(home.now()).is_ok(), "a replay does no harm");
    let third = sessions.resume(second.grant.resumption_token.expose(), None).await.unwrap();
    assert!(third.handle.check(home.now()).is_ok());
    assert_eq!(sessions.live().count(), 1);
    drop(third);
    assert_eq!(sessions.live().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_lost_the_answer_goes_on_with_the_token_it_chose() {
    let home = Home::open();
    let (_, first) = home.joins("alice").await;
    let sessions = &home.use_cases.sessions;
    let (used, next) = (first.grant.resumption_token.expose(), Secret::new([9; 32]));
    let lost = sessions.resume(used, Some(next.clone())).await.unwrap();
    assert_eq!(lost.grant.resumption_token.expose(), next.expose());
    drop(lost);
    let again = sessions.resume(used, Some(next.clone())).await.unwrap_err();
    assert_eq!(again.code, ErrorCode::Revoked);
    let itself = sessions.resume(next.expose(), Some(next.clone())).await.unwrap_err();
    assert_eq!(itself.code, ErrorCode::Malformed);
    assert!(sessions.resume(next.expose(), None).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn time_ends_sessions_and_tokens() {
    let home = Home::open();
    let (_, opened) = home.joins("alice").await;
    let sessions = &home.use_cases.sessions;
    home.wait(home.ground.settings().session_lifetime);
    assert_eq!(opened.handle.check(home.now()).unwrap_err().code, ErrorCode::SessionExpired);
    assert!(opened.handle.ended().is_cancelled());
    let resumed = sessions.resume(opened.grant.resumption_token.expose(), None).await.unwrap();
    home.wait(home.ground.settings().resumption_lifetime);
    let expired = sessions.resume(resumed.grant.resumption_token.expose(), None).await.unwrap_err();
    assert_eq!(expired.code, ErrorCode::SessionExpired);
    let swept = Upkeep::new(std::sync::Arc::clone(&home.ground), sessions.clone()).tick().await.unwrap();
    assert_eq!(swept.sessions, 1);
    assert_eq!(resumed.handle.why(), Some(SessionEnd::Expired));
    assert!(sessions.list(None).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_revoked_session_ends_at_once_and_for_good() {
    let home = Home::open();
    let (alice, opened) = home.joins("alice").await;
    let sessions = &home.use_cases.sessions;
    let other = alice.log_in(&home).await.unwrap();
    sessions.revoke(opened.grant.session).await.unwrap();
    assert!(opened.handle.ended().is_cancelled());
    let refused = sessions.resume(opened.grant.resumption_token.expose(), None).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Revoked);
    assert!(other.handle.check(home.now()).is_ok());
    assert_eq!(sessions.revoke(opened.grant.session).await.unwrap_err().code, ErrorCode::NotFound);
    let listed = sessions.list(Some(&alice.address)).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].live);
}

#[tokio::test(start_paused = true)]
async fn deleting_an_account_ends_all_it_had() {
    let home = Home::open();
    let (alice, opened) = home.joins("alice").await;
    let (_, bob) = home.joins("bob").await;
    home.use_cases.accounts.delete(&alice.address).await.unwrap();
    assert_eq!(opened.handle.why(), Some(SessionEnd::Revoked));
    assert!(bob.handle.check(home.now()).is_ok());
    assert_eq!(home.use_cases.accounts.show(&alice.address).await.unwrap_err().code, ErrorCode::NotFound);
    let all = qpq_storage::Window { offset: 0, limit: 10 };
    let left = home.use_cases.accounts.list("", UserFilter::All, UserSort::Name, all).await.unwrap();
    assert_eq!(left.total, 1);
    assert_eq!(alice.log_in(&home).await.unwrap_err().code, ErrorCode::LoginFailed);
    let elsewhere = "alice@beta.test".parse().unwrap();
    assert_eq!(home.use_cases.accounts.delete(&elsewhere).await.unwrap_err().code, ErrorCode::NotFound);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_no_token() {
    let home = Home::open();
    home.wait(Millis(1));
    for token in [&[][..], &[0; 32], &[1; 5_000]] {
        assert_eq!(home.use_cases.sessions.resume(token, None).await.unwrap_err().code, ErrorCode::Revoked);
    }
}
