//! Changes of one's own factors.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_last_way_in_stays() {
    let home = Home::open();
    let ann = first(&home).await;
    let me = ann.signed_in();
    let own = home.admins.own(me).await.unwrap();
    let only = own.passkeys[0].id;
    assert!(own.passkeys[0].usable_here);
    assert_eq!(code(home.admins.remove_passkey(me, only, request()).await), ErrorCode::NotAllowed);
    let begun = home.admins.begin_add_passkey(me).await.unwrap();
    assert_eq!(begun.options["publicKey"]["excludeCredentials"].as_array().unwrap().len(), 1);
    let mut another = Authenticator::new();
    let answer = another.create(&begun.options);
    home.admins.add_passkey(me, " blue <key> ", &begun.id, answer, request()).await.unwrap();
    home.admins.remove_passkey(me, only, request()).await.unwrap();
    assert_eq!(code(home.admins.remove_passkey(me, only, request()).await), ErrorCode::NotFound);
    let own = home.admins.own(me).await.unwrap();
    assert_eq!(own.passkeys.len(), 1);
    assert_eq!(own.passkeys[0].label, "blue <key>");
    let begun = home.admins.begin_sign_in(&visit()).await.unwrap();
    let answer = another.sign(&begun.options);
    home.admins.sign_in_passkey(&begun.id, answer, &visit()).await.unwrap();
    let rows = home.audited().await;
    assert_eq!(rows[1], format!("admin:ann admin.passkey-add ann {}", own.passkeys[0].id));
    assert_eq!(rows[2], format!("admin:ann admin.passkey-remove ann {only}"));
    assert_eq!(rows.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn changes_want_a_fresh_proof_and_a_living_session() {
    let home = Home::open();
    let ann = first(&home).await;
    let me = ann.signed_in();
    home.wait(Millis::from_secs(601));
    assert_eq!(code(home.admins.begin_add_passkey(me).await), ErrorCode::ReauthenticationNeeded);
    assert_eq!(code(home.admins.begin_set_password(me).await), ErrorCode::ReauthenticationNeeded);
    assert_eq!(code(home.admins.new_recovery_codes(me, request()).await), ErrorCode::ReauthenticationNeeded);
    let from_the_future = SignedIn { proved_at: home.now().after(Millis(1)), ..me.clone() };
    let refused = home.admins.new_recovery_codes(&from_the_future, request()).await;
    assert_eq!(code(refused), ErrorCode::ReauthenticationNeeded);
    let fresh = SignedIn { proved_at: home.now(), ..me.clone() };
    let codes = home.admins.new_recovery_codes(&fresh, request()).await.unwrap();
    assert_eq!(codes.len(), secrets::RECOVERY_CODES);
    let old = &ann.welcome.recovery_codes[0];
    assert_eq!(code(home.admins.sign_in_recovery("ann", old, &visit()).await), ErrorCode::LoginFailed);
    home.admins.sign_out(me).await.unwrap();
    assert_eq!(code(home.admins.new_recovery_codes(&fresh, request()).await), ErrorCode::SessionExpired);
}

#[tokio::test(start_paused = true)]
async fn a_new_password_ends_other_sessions_and_voids_the_old_one() {
    let home = Home::open();
    let bob = added(&home, "bob", "operator").await;
    let digits = bob.code_now(&home);
    let here = home.admins.sign_in_password("bob", &secret(PASSWORD), &digits, &visit()).await.unwrap();
    let me = &here.signed_in;
    let offer = home.admins.begin_set_password(me).await.unwrap();
    assert_eq!(home.admins.own_offer(me, &offer.id).await.unwrap(), offer);
    let bytes = data_encoding::BASE32_NOPAD.decode(offer.secret.replace(' ', "").as_bytes()).unwrap();
    let digits = TotpSecret::from_bytes(&bytes).unwrap().code_at(home.now());
    let new = secret("another good password");
    home.admins.set_password(me, &new, &offer.id, &digits, request()).await.unwrap();
    assert_eq!(home.admins.session(bob.welcome.session.cookie.expose()).await.unwrap(), None);
    assert!(home.admins.session(here.cookie.expose()).await.unwrap().is_some());
    home.wait(Millis::from_secs(30));
    let digits = bob.code_now(&home);
    let old = home.admins.sign_in_password("bob", &secret(PASSWORD), &digits, &visit()).await;
    assert_eq!(code(old), ErrorCode::LoginFailed);
    let digits = TotpSecret::from_bytes(&bytes).unwrap().code_at(home.now());
    home.admins.sign_in_password("bob", &new, &digits, &visit()).await.unwrap();
}
