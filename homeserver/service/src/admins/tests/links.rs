//! Links: once, in time, the newest only; and what somebody is afterwards.

use super::*;
use qpq_storage::{AdminRole, LinkPurpose};

#[tokio::test(start_paused = true)]
async fn the_first_admin_follows_a_link_and_is_an_owner() {
    let home = Home::open();
    let watched = home.admins.first_link();
    let link = home.admins.first_run().await.unwrap().unwrap();
    assert!(link.url.starts_with("http://localhost:7445/setup/"));
    assert_eq!(token(&link.url).len(), 43);
    assert!(!format!("{link:?}").contains(&token(&link.url)));
    assert_eq!(watched.borrow().as_ref(), Some(&link));
    let view = home.admins.link(&token(&link.url)).await.unwrap();
    assert_eq!((view.purpose, view.name, view.role), (LinkPurpose::First, None, AdminRole::Owner));
    let ann = with_passkey(&home, &link.url, " Ann ").await.unwrap();
    assert_eq!(ann.name, "ann");
    assert_eq!(ann.welcome.recovery_codes.len(), 10);
    assert_eq!(watched.borrow().as_ref(), None);
    assert_eq!(home.admins.first_run().await.unwrap(), None);
    let session = home.admins.session(ann.welcome.session.cookie.expose()).await.unwrap().unwrap();
    assert_eq!(&session, ann.signed_in());
    assert_eq!(session.role, AdminRole::Owner);
    assert_eq!(code(socket(&home, "admin.setup-link", json!({})).await), ErrorCode::NotAllowed);
    assert_eq!(home.audited().await, ["admin:ann admin.setup ann"]);
}

#[tokio::test(start_paused = true)]
async fn a_link_works_once_and_one_that_never_was_looks_the_same() {
    let home = Home::open();
    let link = home.admins.first_run().await.unwrap().unwrap();
    let late = home.admins.begin_setup_password(&token(&link.url)).await.unwrap();
    with_passkey(&home, &link.url, "ann").await.unwrap();
    let used = home.admins.link(&token(&link.url)).await.unwrap_err();
    assert_eq!(used.code, ErrorCode::Gone);
    for other in ["", "nothing", "../../etc/passwd", "<script>"] {
        assert_eq!(home.admins.link(other).await.unwrap_err(), used);
    }
    assert_eq!(code(with_passkey(&home, &link.url, "eve").await), ErrorCode::Gone);
    assert_eq!(code(with_password(&home, &link.url, "eve").await), ErrorCode::Gone);
    let answer = home
        .admins
        .finish_setup_password(&token(&link.url), "eve", &secret(PASSWORD), &late.id, "123456", &visit())
        .await;
    assert_eq!(code(answer), ErrorCode::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_link_ends_with_its_hour_and_with_the_next_one() {
    let home = Home::open();
    let first = home.admins.first_run().await.unwrap().unwrap();
    let second = home.admins.first_run().await.unwrap().unwrap();
    assert_eq!(code(home.admins.link(&token(&first.url)).await), ErrorCode::Gone);
    home.wait(Millis::from_secs(3_599));
    assert!(home.admins.link(&token(&second.url)).await.is_ok());
    home.wait(Millis::from_secs(1));
    assert_eq!(code(home.admins.link(&token(&second.url)).await), ErrorCode::Gone);
    assert_eq!(code(with_passkey(&home, &second.url, "ann").await), ErrorCode::Gone);
    let third = socket(&home, "admin.setup-link", json!({})).await.unwrap();
    with_passkey(&home, third["url"].as_str().unwrap(), "ann").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_at_once_do_not_both_become_the_first() {
    let home = Home::open();
    let link = home.admins.first_run().await.unwrap().unwrap();
    let (one, two) =
        tokio::join!(with_passkey(&home, &link.url, "ann"), with_passkey(&home, &link.url, "eve"));
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|ok| **ok).count(), 1);
    let listed = socket(&home, "admin.list", json!({})).await.unwrap();
    assert_eq!(listed["admins"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_was_added_first_ends_the_link_for_the_first() {
    let home = Home::open();
    let link = home.admins.first_run().await.unwrap().unwrap();
    added(&home, "bob", "owner").await;
    assert_eq!(code(home.admins.link(&token(&link.url)).await), ErrorCode::Gone);
    assert_eq!(home.admins.first_run().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn names_that_could_be_anything_but_names_are_refused() {
    let home = Home::open();
    let link = home.admins.first_run().await.unwrap().unwrap();
    for name in ["", "<b>ann</b>", "ann\r\nSet-Cookie: x", "admin:ann", "änn"] {
        assert_eq!(code(with_passkey(&home, &link.url, name).await), ErrorCode::Malformed, "{name:?}");
        let add = socket(&home, "admin.add", json!({ "name": name, "role": "owner" })).await;
        assert_eq!(code(add), ErrorCode::Malformed, "{name:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_typing_mistake_keeps_the_offer() {
    let home = Home::open();
    let token = token(&home.admins.first_run().await.unwrap().unwrap().url);
    let offer = home.admins.begin_setup_password(&token).await.unwrap();
    let bytes = data_encoding::BASE32_NOPAD.decode(offer.secret.replace(' ', "").as_bytes()).unwrap();
    let digits = TotpSecret::from_bytes(&bytes).unwrap().code_at(home.now());
    let finish = async |password: &str, digits: &str| {
        let password = secret(password);
        home.admins.finish_setup_password(&token, "ann", &password, &offer.id, digits, &visit()).await
    };
    let wrong = if digits == "000000" { "000001" } else { "000000" };
    assert_eq!(code(finish(PASSWORD, wrong).await), ErrorCode::LoginFailed);
    assert_eq!(code(finish("eleven char", &digits).await), ErrorCode::Malformed);
    assert_eq!(code(finish(&"x".repeat(1_025), &digits).await), ErrorCode::Malformed);
    assert_eq!(home.admins.setup_offer(&token, &offer.id).await.unwrap(), offer);
    finish("twelve chars", &digits).await.unwrap();
    assert_eq!(code(home.admins.setup_offer(&token, &offer.id).await), ErrorCode::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_recovery_link_replaces_what_was_lost() {
    let home = Home::open();
    first(&home).await;
    let mut bob = added(&home, "bob", "operator").await;
    let made = socket(&home, "admin.recover", json!({ "name": "bob" })).await.unwrap();
    assert_eq!(home.admins.session(bob.welcome.session.cookie.expose()).await.unwrap(), None);
    // Until the link is used, the old way works: nobody is locked out by a link that never arrives.
    let digits = bob.code_now(&home);
    home.admins.sign_in_password("bob", &secret(PASSWORD), &digits, &visit()).await.unwrap();
    let again = with_passkey(&home, made["url"].as_str().unwrap(), "").await.unwrap();
    assert_eq!(again.name, "bob");
    home.wait(Millis::from_secs(30));
    let digits = bob.code_now(&home);
    let old = home.admins.sign_in_password("bob", &secret(PASSWORD), &digits, &visit()).await;
    assert_eq!(code(old), ErrorCode::LoginFailed);
    let old_code = bob.welcome.recovery_codes.remove(0);
    assert_eq!(code(home.admins.sign_in_recovery("bob", &old_code, &visit()).await), ErrorCode::LoginFailed);
    let own = home.admins.own(again.signed_in()).await.unwrap();
    assert_eq!((own.passkeys.len(), own.password, own.recovery_codes_left), (1, false, 10));
}
