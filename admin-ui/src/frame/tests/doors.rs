//! Signing in and what an admin does then, without a script.

use axum::{body::Body, http::StatusCode};
use qpq_core::Millis;

use super::home::{Home, PASSWORD};

const HOSTILE: &str = "<script>alert('x')</script>\"'>";

#[tokio::test]
async fn the_first_admin_sets_up_signs_out_and_signs_in_again() {
    let home = Home::open().await;
    let link = home.admins.first_run().await.unwrap().unwrap();
    let mut browser = home.browser();
    browser.sets_up(&link.url, "olga").await;
    let first = browser.cookies["__Host-quicproquo"].clone();
    let used = home.browser().get(link.url.strip_prefix(super::home::ORIGIN).unwrap()).await;
    assert_eq!(used.status, StatusCode::GONE);
    assert!(used.body.contains("<code>qpq-server admin setup-link</code>"), "{}", used.body);

    let page = browser.get("/account").await;
    assert!(
        page.body.contains("<bdi>olga</bdi>") && page.body.contains("&#60;script&#62;agent"),
        "{}",
        page.body
    );
    let out = browser.sends("/account", "/sign-out", &[]).await;
    assert_eq!((out.status, out.header("location")), (StatusCode::SEE_OTHER, "/sign-in"));
    assert!(!browser.cookies.contains_key("__Host-quicproquo"));
    assert!(browser.get("/sign-in").await.body.contains("You are signed out."));
    assert!(!browser.get("/sign-in").await.body.contains("You are signed out."), "it is said once");
    browser.cookies.insert("__Host-quicproquo".to_owned(), first.clone());
    assert_eq!(browser.get("/users").await.status, StatusCode::SEE_OTHER, "the old cookie is dead");

    let code = browser.code();
    let fields = [("name", "olga"), ("_password", PASSWORD), ("_code", code.as_str())];
    let entered = browser.sends("/sign-in?back=%2Fusers%3Fpage%3D2", "/sign-in", &fields).await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER, "{}", entered.body);
    assert_ne!(browser.cookies["__Host-quicproquo"], first);
    assert_eq!(browser.get("/users").await.status, StatusCode::OK);
    assert_eq!(browser.get("/sign-in?back=%2F%2Fevil.test").await.header("location"), "/");
}

#[tokio::test]
async fn wrong_passwords_get_the_form_again_and_then_a_pause() {
    let home = Home::open().await;
    drop(home.owner().await);
    let mut browser = home.browser();
    let fields = [("name", "olga\"><script>"), ("_password", "wrong"), ("_code", "000000")];
    for _ in 0..3 {
        let answer = browser.sends("/sign-in", "/sign-in", &fields).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.body);
        assert!(answer.body.contains("olga&#34;&#62;&#60;script&#62;"), "{}", answer.body);
        assert!(!answer.body.contains("value=\"wrong\""));
    }
    let answer = browser.sends("/sign-in", "/sign-in", &fields).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.body);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn a_change_says_what_happened_where_it_was_asked_for() {
    let home = Home::open().await;
    let mut owner = home.owner().await;
    let fields = [("addresses", "mallory@evil.test"), ("reason", HOSTILE), ("expires_ms", "7d")];
    let done = owner.sends("/bans?kind=user", "/users/ban", &fields).await;
    assert_eq!(
        (done.status, done.header("location")),
        (StatusCode::SEE_OTHER, "/bans?kind=user"),
        "{}",
        done.body
    );
    let page = owner.get("/bans?kind=user").await;
    assert!(page.body.contains("Banned: \u{2068}mallory@evil.test\u{2069}."), "{}", page.body);
    assert!(
        page.body.contains("&#60;script&#62;alert") && !page.body.contains("<script>alert"),
        "{}",
        page.body
    );
    assert!(page.body.contains("href=\"/users\" aria-current=\"true\""), "{}", page.body);
}

#[tokio::test]
async fn a_page_that_renews_itself_keeps_nobody_signed_in_who_has_gone_away() {
    let home = Home::open().await;
    let mut owner = home.owner().await;
    for expected in [StatusCode::OK, StatusCode::OK, StatusCode::UNAUTHORIZED] {
        home.clock.advance(Millis::from_secs(500));
        let request =
            owner.request("GET", "/users").header("hx-request", "true").body(Body::empty()).unwrap();
        assert_eq!(owner.ask(request).await.status, expected);
    }
}

#[tokio::test]
async fn what_is_shown_once_is_on_a_page_to_copy_and_to_scan() {
    let home = Home::open().await;
    let mut owner = home.owner().await;
    let made = owner
        .sends("/tokens", "/tokens/create", &[("uses", "2"), ("expires_ms", "7d"), ("note", HOSTILE)])
        .await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    let token = made.between("id=\"secret\" class=\"secret\">", "<");
    assert!(made.body.contains(&format!("--registration-token {token}")), "{}", made.body);
    assert!(made.body.contains("<svg class=\"qr\""));
    assert!(made.header("cache-control").contains("no-store"));
    let listed = owner.get("/tokens").await;
    assert!(!listed.body.contains(&token) && !listed.body.contains("<script>alert"), "{}", listed.body);
}

#[tokio::test]
async fn a_refused_form_comes_back_with_what_was_typed() {
    let home = Home::open().await;
    let mut owner = home.owner().await;
    let fields = [("addresses", "nobody"), ("reason", HOSTILE), ("expires_ms", "soon")];
    let refused = owner.sends("/bans", "/users/ban", &fields).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.body.contains("value=\"nobody\"") && refused.body.contains("value=\"soon\""),
        "{}",
        refused.body
    );
    assert!(!refused.body.contains("<script>alert"));
    assert!(refused.body.contains("href=\"/bans\""));
    let unknown = owner.sends("/tokens", "/tokens/create", &[("use", "2")]).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert!(unknown.body.contains("did you mean <code>uses</code>"), "{}", unknown.body);
}

#[tokio::test]
async fn a_proof_and_the_change_that_wanted_it_are_one_step() {
    let home = Home::open().await;
    let mut owner = home.owner().await;
    home.clock.advance(Millis::from_secs(660));
    let before = owner.cookies["__Host-quicproquo"].clone();
    let ban = [("addresses", "mallory@evil.test"), ("reason", "spam")];
    let asked = owner.sends("/bans", "/users/ban", &ban).await;
    assert_eq!(asked.status, StatusCode::FORBIDDEN);
    assert!(asked.body.contains("name=\"reason\" value=\"spam\""), "{}", asked.body);
    let token = asked.between("name=\"_token\" value=\"", "\"");
    let mut fields = ban.to_vec();
    fields.extend([("_token", token.as_str()), ("_back", "/bans"), ("_password", "wrong"), ("_code", "1")]);
    let wrong = owner.post("/users/ban", &fields).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{}", wrong.body);
    assert!(wrong.body.contains("name=\"reason\" value=\"spam\""));
    let code = owner.code();
    let mut fields = ban.to_vec();
    fields.extend([
        ("_token", token.as_str()),
        ("_back", "/bans"),
        ("_password", PASSWORD),
        ("_code", code.as_str()),
    ]);
    let done = owner.post("/users/ban", &fields).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/bans"), "{}", done.body);
    assert_ne!(owner.cookies["__Host-quicproquo"], before, "the session rotates");
    let page = owner.get("/bans").await;
    assert!(page.body.contains("Banned: \u{2068}mallory@evil.test\u{2069}."), "{}", page.body);
    let again = owner.sends("/bans", "/users/unban", &[("addresses", "mallory@evil.test")]).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "the proof counts for what follows");
}

#[tokio::test]
async fn what_cannot_be_undone_wants_the_name_typed() {
    let home = Home::open().await;
    let mut owner = home.owner().await;
    let fields = [("domain", "beta.test"), ("_typed", "beta.tes")];
    let refused = owner.sends("/federation", "/federation/remove", &fields).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.body.contains("value=\"beta.tes\""), "{}", refused.body);
}

#[tokio::test]
async fn a_session_that_was_idle_is_over() {
    let home = Home::open().await;
    let mut owner = home.owner().await;
    let token = owner.token("/account").await;
    home.clock.advance(Millis::from_secs(1_300));
    let answer = owner.post("/users/ban", &[("_token", &token), ("_back", "/bans")]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.body.contains("/sign-in?back=%2Fbans"), "{}", answer.body);
}

#[tokio::test]
async fn the_language_is_the_browsers_until_another_is_chosen() {
    let home = Home::open().await;
    let mut browser = home.browser();
    browser.language = "de-DE,de;q=0.9,en;q=0.4";
    let page = browser.get("/sign-in").await;
    assert!(page.body.contains("<html lang=\"de\">") && page.body.contains("Anmelden"));
    let switched = browser.sends("/sign-in?back=%2Fbans", "/language", &[("language", "en")]).await;
    assert_eq!(switched.header("location"), "/sign-in?back=%2Fbans");
    assert!(browser.get("/sign-in").await.body.contains("<html lang=\"en\">"));
    let odd = browser.sends("/sign-in", "/language", &[("language", "fr")]).await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn pages_say_how_little_a_browser_may_do_and_hsts_belongs_to_https() {
    let home = Home::open().await;
    let mut browser = home.browser();
    for path in ["/sign-in", "/no/such/page", "/setup/none", "/users"] {
        let page = browser.get(path).await;
        assert_eq!(page.header("content-security-policy"), super::super::headers::POLICY, "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(page.header("cross-origin-resource-policy"), "same-origin");
        assert!(page.header("permissions-policy").contains("camera=()"));
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("strict-transport-security"), "");
    }
    let lost = browser.get("/no/such/page").await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
    assert!(lost.body.contains("req_"), "{}", lost.body);
    let named = Home::at("https://admin.alpha.test", "admin.alpha.test").await;
    let page = named.browser().get("/sign-in").await;
    assert_eq!(page.header("strict-transport-security"), "max-age=31536000");
}

#[tokio::test]
async fn who_comes_by_address_is_led_to_localhost_where_passkeys_work() {
    let home = Home::open().await;
    let request = axum::http::Request::get("/sign-in?back=%2F").header("host", "127.0.0.1:7445");
    let answer = home.asked(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("location"), "http://localhost:7445/sign-in?back=%2F");
}

#[tokio::test]
async fn assets_are_kept_for_good_under_names_that_change_with_them() {
    let home = Home::open().await;
    let mut browser = home.browser();
    let page = browser.get("/sign-in").await;
    let style = page.between("<link rel=\"stylesheet\" href=\"", "\"");
    let got = browser.get(&style).await;
    assert_eq!(got.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(got.header("content-type"), "text/css; charset=utf-8");
    assert!(got.headers.get("set-cookie").is_none());
    assert_eq!(browser.get("/assets/console-0000000000000000.css").await.status, StatusCode::NOT_FOUND);
}
