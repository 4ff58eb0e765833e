//! Bans: whom they cut off, what they leave alone, and that they end.

use qpq_core::{Address, Domain, ErrorCode, Millis, RequestId};
use qpq_storage::Window;

use super::{BanTerms, Effect};
use crate::{
    Answered, Caller, SessionEnd,
    fixture::{Home, Person},
};

const ALL: Window = Window { offset: 0, limit: 100 };

fn owner() -> Caller {
    Caller::uid(0, RequestId::from_bytes([7; 16]))
}

fn job() -> Caller {
    Caller::job("lift-bans", RequestId::from_bytes([8; 16]))
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn terms(reason: &str, lifetime: Option<Millis>) -> BanTerms {
    BanTerms::new(reason, lifetime).unwrap()
}

async fn ban(home: &Home, who: &str, lifetime: Option<Millis>) -> Answered<usize> {
    let banned = home.use_cases.bans.ban(&[address(who)], &terms("spam", lifetime), &owner()).await?;
    Ok(banned.iter().map(|banned| banned.sessions_ended).sum())
}

#[tokio::test(start_paused = true)]
async fn a_ban_cuts_live_sessions_and_they_resume_when_it_is_over() {
    let home = Home::open();
    let (_, opened) = home.joins("mallory").await;
    let token = opened.grant.resumption_token.expose().to_vec();

    assert_eq!(ban(&home, "mallory@alpha.test", Some(Millis::from_secs(60))).await.unwrap(), 1);
    assert!(matches!(opened.handle.why(), Some(SessionEnd::Banned(why)) if why.contains("spam")));
    let refused = home.use_cases.sessions.resume(&token, None).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Banned);
    assert!(refused.text.contains("spam"), "{}", refused.text);

    home.wait(Millis::from_secs(61));
    home.use_cases.sessions.resume(&token, None).await.expect("the row is still there, but its time is over");
    assert_eq!(home.use_cases.bans.lift_due(&job()).await.unwrap(), 1);
    assert_eq!(home.use_cases.bans.lift_due(&job()).await.unwrap(), 0);
    assert_eq!(
        home.audited().await,
        ["uid:0 user.ban mallory@alpha.test", "job:lift-bans user.unban mallory@alpha.test"]
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_banned_hears_it_only_with_the_password() {
    let home = Home::open();
    let (mallory, _) = home.joins("mallory").await;
    ban(&home, "mallory@alpha.test", None).await.unwrap();
    assert_eq!(mallory.log_in(&home).await.unwrap_err().code, ErrorCode::Banned);
    let guessing = Person { password: b"guess".to_vec(), ..mallory };
    assert_eq!(guessing.log_in(&home).await.unwrap_err().code, ErrorCode::LoginFailed);
}

#[tokio::test(start_paused = true)]
async fn many_are_banned_together_or_not_at_all() {
    let home = Home::open();
    home.joins("mallory").await;
    let both = [address("mallory@alpha.test"), address("nobody@alpha.test")];
    let refused = home.use_cases.bans.ban(&both, &terms("spam", None), &owner()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotFound);
    assert_eq!(home.use_cases.bans.list("", None, ALL).await.unwrap().total, 0);
    assert!(home.audited().await.is_empty());

    let with_a_stranger = [address("mallory@alpha.test"), address("eve@beta.test")];
    home.use_cases.bans.ban(&with_a_stranger, &terms("spam", None), &owner()).await.unwrap();
    assert_eq!(home.use_cases.bans.list("", None, ALL).await.unwrap().total, 2);
    assert_eq!(home.audited().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_is_refused_and_leaves_no_row() {
    let home = Home::open();
    home.joins("mallory").await;
    ban(&home, "mallory@alpha.test", None).await.unwrap();
    assert_eq!(ban(&home, "mallory@alpha.test", None).await.unwrap_err().code, ErrorCode::NotAllowed);
    let free = [address("eve@beta.test")];
    assert_eq!(home.use_cases.bans.unban(&free, "", &owner()).await.unwrap_err().code, ErrorCode::NotFound);
    let us: Domain = "alpha.test".parse().unwrap();
    assert_eq!(
        home.use_cases.bans.block(&us, &terms("x", None), &owner()).await.unwrap_err().code,
        ErrorCode::Malformed
    );
    assert_eq!(home.audited().await.len(), 1);
}

#[test]
fn a_reason_is_one_line_that_says_something() {
    for (reason, lifetime) in [
        ("", None),
        ("  ", None),
        ("two\nlines", None),
        ("x", Some(Millis(10))),
        ("x", Some(Millis::from_days(10_000))),
    ] {
        assert_eq!(BanTerms::new(reason, lifetime).unwrap_err().code, ErrorCode::Malformed, "{reason:?}");
    }
    assert!(BanTerms::new(&"x".repeat(501), None).is_err());
    assert!(BanTerms::new("<script>alert(1)</script>", None).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_preview_counts_and_changes_nothing() {
    let home = Home::open();
    let (_, opened) = home.joins("mallory").await;
    let preview = home.use_cases.bans.preview(&address("mallory@alpha.test"), Effect::Ban).await.unwrap();
    assert_eq!((preview.sessions, preview.live_sessions, preview.devices), (1, 1, 1));
    assert!(!preview.text.is_empty());
    assert!(opened.handle.why().is_none());
}
