//! Signing in and proving it again: right, wrong, repeated, too often, too late.

use super::*;

async fn passkey_sign_in(home: &Home, key: &mut Authenticator) -> Answered<super::super::NewSession> {
    let begun = home.admins.begin_sign_in(&visit()).await?;
    let answer = key.sign(&begun.options);
    home.admins.sign_in_passkey(&begun.id, answer, &visit()).await
}

#[tokio::test(start_paused = true)]
async fn a_passkey_signs_in_without_a_name_and_each_answer_once() {
    let home = Home::open();
    let mut ann = first(&home).await;
    let begun = home.admins.begin_sign_in(&visit()).await.unwrap();
    assert_eq!(begun.options.get("mediation"), None);
    assert_eq!(begun.options["publicKey"]["rpId"], "localhost");
    assert_eq!(begun.options["publicKey"]["userVerification"], "required");
    let answer = ann.key.sign(&begun.options);
    let session = home.admins.sign_in_passkey(&begun.id, answer.clone(), &visit()).await.unwrap();
    assert_eq!(session.signed_in.name, "ann");
    assert_ne!(session.signed_in.session, ann.signed_in().session);
    assert_eq!(code(home.admins.sign_in_passkey(&begun.id, answer, &visit()).await), ErrorCode::Gone);
    let own = home.admins.own(&session.signed_in).await.unwrap();
    assert_eq!(own.passkeys[0].last_used_at, Some(home.now()));
}

#[tokio::test(start_paused = true)]
async fn new_passkeys_are_ones_that_authenticators_find_by_themselves() {
    let home = Home::open();
    let link = home.admins.first_run().await.unwrap().unwrap();
    let begun = home.admins.begin_setup_passkey(&token(&link.url), "ann").await.unwrap();
    let selection = &begun.options["publicKey"]["authenticatorSelection"];
    assert_eq!(selection["residentKey"], "required");
    assert_eq!(selection["requireResidentKey"], true);
    assert_eq!(selection["userVerification"], "required");
    assert_eq!(begun.options["publicKey"]["user"]["name"], "ann");
}

#[tokio::test(start_paused = true)]
async fn a_passkey_that_is_not_right_is_not_accepted() {
    let home = Home::open();
    let mut ann = first(&home).await;
    // Of nobody here.
    assert_eq!(code(passkey_sign_in(&home, &mut Authenticator::new()).await), ErrorCode::LoginFailed);
    // On another site.
    ann.key.origin = "http://localhost:9999";
    assert_eq!(code(passkey_sign_in(&home, &mut ann.key).await), ErrorCode::LoginFailed);
    ann.key.origin = "http://localhost:7445";
    // Without finger or PIN.
    ann.key.flags = 0x01;
    assert_eq!(code(passkey_sign_in(&home, &mut ann.key).await), ErrorCode::LoginFailed);
    ann.key.flags = 0x05;
    passkey_sign_in(&home, &mut ann.key).await.unwrap();
    // A copy of the authenticator, whose counter stayed behind.
    ann.key.counter = 0;
    assert_eq!(code(passkey_sign_in(&home, &mut ann.key).await), ErrorCode::LoginFailed);
    // Too late.
    let begun = home.admins.begin_sign_in(&visit()).await.unwrap();
    let answer = ann.key.sign(&begun.options);
    home.wait(Millis::from_secs(300));
    assert_eq!(code(home.admins.sign_in_passkey(&begun.id, answer, &visit()).await), ErrorCode::Gone);
    // No answer at all.
    let begun = home.admins.begin_sign_in(&visit()).await.unwrap();
    let nonsense = home.admins.sign_in_passkey(&begun.id, json!({ "id": 7 }), &visit()).await;
    assert_eq!(code(nonsense), ErrorCode::Malformed);
}

#[tokio::test(start_paused = true)]
async fn a_password_needs_its_code_and_each_code_works_once() {
    let home = Home::open();
    let bob = added(&home, "bob", "operator").await;
    let digits = bob.code_now(&home);
    let try_in = async |password: &str, digits: &str| {
        home.admins.sign_in_password(" Bob ", &secret(password), digits, &visit()).await
    };
    let session = try_in(PASSWORD, &digits).await.unwrap();
    assert_eq!(session.signed_in.name, "bob");
    assert_eq!(code(try_in(PASSWORD, &digits).await), ErrorCode::LoginFailed);
    home.wait(Millis::from_secs(30));
    let digits = bob.code_now(&home);
    assert_eq!(code(try_in("another password", &digits).await), ErrorCode::LoginFailed);
    try_in(PASSWORD, &digits).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_gets_the_same_answer_and_the_same_limit() {
    let home = Home::open();
    added(&home, "bob", "operator").await;
    let mut answers = Vec::new();
    for name in ["bob", "nobody", "<b>", ""] {
        let mut said = Vec::new();
        for _ in 0..4 {
            let refused = home
                .admins
                .sign_in_password(name, &secret("wrong password"), "123456", &visit_from(name))
                .await
                .unwrap_err();
            said.push(refused);
        }
        answers.push(said);
    }
    for said in &answers {
        assert_eq!(said, &answers[0]);
        let codes: Vec<ErrorCode> = said.iter().map(|refusal| refusal.code).collect();
        assert_eq!(&codes[..3], [ErrorCode::LoginFailed; 3]);
        assert_eq!((codes[3], said[3].retry_after), (ErrorCode::RateLimited, Some(Millis::from_secs(900))));
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_attempts_elsewhere_lock_nobody_out() {
    let home = Home::open();
    let bob = added(&home, "bob", "operator").await;
    let digits = bob.code_now(&home);
    let from = async |network: &str, password: &str| {
        home.admins.sign_in_password("bob", &secret(password), &digits, &visit_from(network)).await
    };
    for _ in 0..3 {
        assert_eq!(code(from("198.51.100.1", "wrong password").await), ErrorCode::LoginFailed);
    }
    assert_eq!(code(from("198.51.100.1", PASSWORD).await), ErrorCode::RateLimited);
    from("192.0.2.1", PASSWORD).await.unwrap();
    home.wait(Millis::from_secs(900));
    assert_eq!(code(from("198.51.100.1", "wrong password").await), ErrorCode::LoginFailed);
}

#[tokio::test(start_paused = true)]
async fn a_recovery_code_works_once_and_leaves_a_trace() {
    let home = Home::open();
    let ann = first(&home).await;
    let codes = &ann.welcome.recovery_codes;
    let typed = codes[3].to_lowercase().replace('-', " ");
    let session = home.admins.sign_in_recovery("ann", &typed, &visit()).await.unwrap();
    assert_eq!(home.admins.own(&session.signed_in).await.unwrap().recovery_codes_left, 9);
    assert_eq!(code(home.admins.sign_in_recovery("ann", &codes[3], &visit()).await), ErrorCode::LoginFailed);
    home.admins.sign_in_recovery("ann", &codes[4], &visit()).await.unwrap();
    assert_eq!(
        home.audited().await,
        [
            "admin:ann admin.setup ann",
            "admin:ann admin.recovery-code ann",
            "admin:ann admin.recovery-code ann"
        ]
    );
    // Who has a password needs it too.
    let bob = added(&home, "bob", "operator").await;
    let codes = &bob.welcome.recovery_codes;
    assert_eq!(code(home.admins.sign_in_recovery("bob", &codes[0], &visit()).await), ErrorCode::LoginFailed);
    home.admins.sign_in_password("bob", &secret(PASSWORD), &codes[0], &visit()).await.unwrap();
    let again = home.admins.sign_in_password("bob", &secret(PASSWORD), &codes[0], &visit()).await;
    assert_eq!(code(again), ErrorCode::LoginFailed);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_idle_or_old_and_when_it_is_told_to() {
    let home = Home::open();
    let ann = first(&home).await;
    let cookie = ann.welcome.session.cookie.expose();
    let lives = async || home.admins.session(cookie).await.unwrap().is_some();
    home.wait(Millis::from_secs(1_200));
    assert!(lives().await);
    home.wait(Millis::from_secs(1_201));
    assert!(!lives().await);
    for strange in ["", "x", &"y".repeat(1_000)] {
        assert_eq!(home.admins.session(strange).await.unwrap(), None);
    }
    let home = Home::open();
    let ann = first(&home).await;
    let cookie = ann.welcome.session.cookie.expose();
    for _ in 0..71 {
        home.wait(Millis::from_secs(600));
        assert!(home.admins.session(cookie).await.unwrap().is_some());
    }
    home.wait(Millis::from_secs(601));
    assert_eq!(home.admins.session(cookie).await.unwrap(), None);
    let home = Home::open();
    let ann = first(&home).await;
    home.admins.sign_out(ann.signed_in()).await.unwrap();
    assert_eq!(home.admins.session(ann.welcome.session.cookie.expose()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_proof_makes_a_new_session_in_place_of_the_old_one() {
    let home = Home::open();
    let mut ann = first(&home).await;
    home.wait(Millis::from_secs(601));
    let add = json!({ "name": "cat", "role": "auditor" });
    let stale = perform(&home, &ann.caller(), "admin.add", add.clone()).await;
    assert_eq!(code(stale), ErrorCode::ReauthenticationNeeded);
    let begun = home.admins.begin_proof(ann.signed_in()).await.unwrap();
    let answer = ann.key.sign(&begun.options);
    let proved = home.admins.prove_passkey(ann.signed_in(), &begun.id, answer, &visit()).await.unwrap();
    let (old, new) = (ann.welcome.session.cookie.expose(), proved.cookie.expose());
    assert_ne!(old, new);
    assert_ne!(proved.signed_in.form_token, ann.signed_in().form_token);
    assert_eq!(home.admins.session(old).await.unwrap(), None);
    assert_eq!(home.admins.session(new).await.unwrap().as_ref(), Some(&proved.signed_in));
    perform(&home, &proved.signed_in.caller(request()), "admin.add", add).await.unwrap();
    // The session that is gone proves nothing any more.
    let begun = home.admins.begin_proof(ann.signed_in()).await.unwrap();
    let answer = ann.key.sign(&begun.options);
    let again = home.admins.prove_passkey(ann.signed_in(), &begun.id, answer, &visit()).await;
    assert_eq!(code(again), ErrorCode::SessionExpired);
}

#[tokio::test(start_paused = true)]
async fn a_proof_is_ones_own() {
    let home = Home::open();
    let mut ann = first(&home).await;
    let bob = added(&home, "bob", "owner").await;
    // bob has no passkey to prove.
    assert_eq!(code(home.admins.begin_proof(bob.signed_in()).await), ErrorCode::NotFound);
    let begun = home.admins.begin_proof(ann.signed_in()).await.unwrap();
    let answer = ann.key.sign(&begun.options);
    let stolen = home.admins.prove_passkey(bob.signed_in(), &begun.id, answer, &visit()).await;
    assert_eq!(code(stolen), ErrorCode::Gone);
    let digits = bob.code_now(&home);
    let wrong = home.admins.prove_password(ann.signed_in(), &secret(PASSWORD), &digits, &visit()).await;
    assert_eq!(code(wrong), ErrorCode::LoginFailed);
    let proved =
        home.admins.prove_password(bob.signed_in(), &secret(PASSWORD), &digits, &visit()).await.unwrap();
    assert_eq!(proved.signed_in.name, "bob");
    assert_eq!(home.admins.session(bob.welcome.session.cookie.expose()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_counted_by_what_was_wrong_and_what_is_right_is_not() {
    let home = Home::open();
    let ann = first(&home).await;
    let counted = |reason: &str| {
        let text = home.ground.metrics().render(&qpq_metrics::Snapshot::default());
        let line = format!("quicproquo_console_sign_in_failures_total{{reason=\"{reason}\"}} ");
        text.lines().find_map(|told| told.strip_prefix(&line)).map_or(0, |n| n.parse::<u64>().unwrap())
    };
    let sign_in = async |network: &str, password: &str, code: &str| {
        home.admins.sign_in_password("ann", &secret(password), code, &visit_from(network)).await
    };
    let link = home.admins.first_run().await.unwrap();
    assert!(link.is_none());
    sign_in("a", "not her password", "123456").await.map(drop).unwrap_err();
    assert_eq!(counted("password"), 1);
    home.admins.link("never-was").await.map(drop).unwrap_err();
    assert_eq!(counted("setup-link"), 1);
    home.admins.sign_in_recovery("ann", "AAAA-BBBB-CCCC-DDDD", &visit_from("b")).await.map(drop).unwrap_err();
    assert_eq!(counted("recovery-code"), 1);
    for _ in 0..3 {
        sign_in("c", "not her password", "123456").await.map(drop).unwrap_err();
    }
    assert_eq!((counted("password"), counted("rate-limited")), (4, 0));
    sign_in("c", "not her password", "123456").await.map(drop).unwrap_err();
    assert_eq!((counted("password"), counted("rate-limited")), (4, 1));
    let mut key = ann.key;
    passkey_sign_in(&home, &mut Authenticator::new()).await.map(drop).unwrap_err();
    assert_eq!(counted("passkey"), 1);
    passkey_sign_in(&home, &mut key).await.map(drop).unwrap();
    assert_eq!((counted("passkey"), counted("code")), (1, 0));
}
