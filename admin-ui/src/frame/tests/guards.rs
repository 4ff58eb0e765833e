//! Every form's target, tried by who may not: other sites, forms without token, nobody, the wrong role, a proof that is
//! too old, too long a form.

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use qpq_core::Millis;
use qpq_service::{Action, Actions, Guard, Kind};

use super::{
    super::targets::{self, Who},
    home::{Answer, Browser, Home, form},
};

/// Where a target is for a request.
fn at(path: &str) -> String {
    path.replace("{token}", "no-such-link")
}

async fn sent(browser: &mut Browser<'_>, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
    let mut request = browser.request("POST", &at(path));
    request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).unwrap();
    browser.ask(request).await
}

#[tokio::test]
async fn no_form_is_taken_from_another_site_or_without_its_token() {
    let home = Home::open().await;
    let mut owner = home.owner().await;
    let mut stranger = home.browser();
    let theirs = stranger.token("/sign-in").await;
    let token = owner.token("/account").await;
    let ours = [("sec-fetch-site", "same-origin")];
    for target in targets::all() {
        for headers in [
            &[][..],
            &[("sec-fetch-site", "cross-site"), ("origin", super::home::ORIGIN)],
            &[("sec-fetch-site", "same-site"), ("origin", super::home::ORIGIN)],
            &[("sec-fetch-site", "same-origin"), ("origin", "http://evil.test")],
            &[("origin", "null")],
        ] {
            let answer = sent(&mut owner, target.path, headers, form(&[("_token", &token)])).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{} {headers:?}", target.path);
        }
        for body in ["", "_token=", "_token=guessed", &form(&[("_token", &theirs)])] {
            let answer = sent(&mut owner, target.path, &ours, body.to_owned()).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{} {body}", target.path);
        }
        let answer = sent(&mut stranger, target.path, &ours, form(&[("_token", &token)])).await;
        let expected =
            if target.who == Who::Admin { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        assert_eq!(answer.status, expected, "{}", target.path);
        let long = format!("_token={token}&reason={}", "x".repeat(70_000));
        let answer = sent(&mut owner, target.path, &ours, long).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", target.path);
        let odd = sent(&mut owner, target.path, &ours, form(&[("_token", &token), ("_role", "owner")])).await;
        assert_eq!(odd.status, StatusCode::BAD_REQUEST, "{}", target.path);
    }
    // Nothing of all that ended the session.
    assert_eq!(owner.get("/account").await.status, StatusCode::OK);
}

/// What is typed for an argument: a text, unless it holds a number.
fn typed_into(action: &Action, name: &str, text: &'static str) -> &'static str {
    let argument = action.arguments.iter().find(|argument| argument.name == name);
    if argument.is_some_and(|argument| argument.kind == Kind::Number) { "7" } else { text }
}

#[tokio::test]
async fn every_change_needs_its_role_and_a_fresh_proof() {
    let home = Home::open().await;
    let mut owner = home.owner().await;
    let mut auditor = home.admin(&mut owner, "auditor").await;
    let mut operator = home.admin(&mut owner, "operator").await;
    let (reads, runs) = (auditor.token("/account").await, operator.token("/account").await);
    let owns = owner.token("/account").await;
    let role = |verb: &str| Actions::all().find(|action| action.verb == verb).unwrap().role;
    let (lowest, middle) = (role("user.list"), role("user.ban"));
    let changing = || Actions::all().filter(|action| action.audit.is_some());
    for action in changing() {
        let fields = |token| match action.guard {
            Guard::Typed(name) => {
                let value = typed_into(action, name, "x");
                form(&[("_token", token), (name, value), ("_typed", value)])
            }
            _ => form(&[("_token", token)]),
        };
        let ours = [("sec-fetch-site", "same-origin")];
        assert!(action.role > lowest, "`{}` may be done by an auditor", action.verb);
        let answer = sent(&mut auditor, action.route, &ours, fields(&reads)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}: {}", action.verb, answer.body);
        assert!(answer.body.contains("Your role"), "{}", action.verb);
        if action.role > middle {
            let answer = sent(&mut operator, action.route, &ours, fields(&runs)).await;
            assert!(answer.body.contains("Your role"), "{}", action.verb);
        }
    }
    home.clock.advance(Millis::from_secs(660));
    for action in changing() {
        let mut given = vec![("_token", owns.as_str()), ("_back", "/users?page=2")];
        if let Guard::Typed(name) = action.guard {
            let value = typed_into(action, name, "kept<x");
            given.extend([(name, value), ("_typed", value)]);
        }
        let answer = owner.post(action.route, &given).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", action.verb);
        assert!(answer.body.contains(&format!("action=\"{}\"", action.route)), "{}", action.verb);
        assert!(answer.body.contains("name=\"_back\" value=\"/users?page=2\""), "{}", action.verb);
        if let Guard::Typed(name) = action.guard {
            let kept = typed_into(action, name, "kept&#60;x");
            assert!(
                answer.body.contains(&format!("name=\"_typed\" value=\"{kept}\"")),
                "{}: {}",
                action.verb,
                answer.body
            );
        }
    }
    for (path, fields) in [
        ("/account/passkeys/begin", &[][..]),
        ("/account/passkeys/add", &[("_ceremony", "x"), ("_answer", "{}"), ("label", "x")]),
        ("/account/passkeys/remove", &[("id", "psk_00000000000000000000000000000000")]),
        ("/account/password/offer", &[]),
        ("/account/password", &[("offer", "x"), ("_code", "000000"), ("_password", "four words make one")]),
        ("/account/codes", &[]),
    ] {
        let mut fields = fields.to_vec();
        fields.push(("_token", &owns));
        let answer = owner.post(path, &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn every_action_has_its_place_in_the_console() {
    let home = Home::open().await;
    let mut owner = home.owner().await;
    for action in Actions::all() {
        assert!(action.route.starts_with('/'), "`{}` has no route", action.verb);
        let answer = owner.get(action.route).await;
        let expected: &[StatusCode] = match action.audit {
            None => &[StatusCode::OK, StatusCode::BAD_REQUEST],
            Some(_) => &[StatusCode::METHOD_NOT_ALLOWED],
        };
        assert!(expected.contains(&answer.status), "`{}`: {} {}", action.verb, answer.status, answer.body);
    }
    for target in targets::all().filter(|target| target.action().is_none()) {
        assert!(!Actions::all().any(|action| action.route == target.path), "{} is there twice", target.path);
    }
}

#[tokio::test]
async fn nobody_sees_a_page_without_a_session() {
    let home = Home::open().await;
    drop(home.owner().await);
    let mut stranger = home.browser();
    let pages = Actions::all().filter(|action| action.audit.is_none()).map(|action| action.route);
    for path in pages.chain(["/account", "/prove", "/live", "/"]) {
        let answer = stranger.get(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert!(answer.header("location").starts_with("/sign-in"), "{path}");
        assert!(answer.body.is_empty(), "{path}");
    }
    stranger.cookies.insert("__Host-quicproquo".to_owned(), "guessed".to_owned());
    assert_eq!(stranger.get("/users").await.status, StatusCode::SEE_OTHER);
    // A part that renews itself takes the whole page to the door.
    let request = stranger.request("GET", "/live").header("hx-request", "true");
    let request = request.header("hx-current-url", "http://localhost:7445/?a=b");
    let answer = stranger.ask(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.header("hx-redirect"), "/sign-in?back=%2F%3Fa%3Db");
}
