//! Registration: tokens, names, devices, one transaction.

use qpq_core::{ErrorCode, Millis};

use crate::{
    Settings,
    fixture::{Home, Person},
};

async fn token(home: &Home, uses: u32) -> (qpq_core::TokenId, String) {
    let made = home.use_cases.tokens.create(Some(uses), Some(Millis::from_days(1))).await.unwrap();
    (made.row.id, made.token.expose().clone())
}

#[tokio::test(start_paused = true)]
async fn an_account_is_made_and_logs_in_again() {
    let home = Home::with(Settings::default());
    let (_, secret) = token(&home, 1).await;
    let alice = Person::new("alice");
    let opened = alice.register(&home, &secret).await.unwrap();
    assert_eq!(opened.handle.device(), &alice.device_address());
    assert!(opened.handle.check(home.now()).is_ok());
    let again = alice.log_in(&home).await.unwrap();
    assert_eq!(again.handle.account(), opened.handle.account());
    assert_ne!(again.grant.session, opened.grant.session);
    let shown = home.use_cases.accounts.own(&again.handle).await.unwrap();
    assert_eq!(shown.keys.devices, vec![alice.certificate()]);
}

#[tokio::test(start_paused = true)]
async fn the_token_is_judged_before_the_name() {
    let home = Home::with(Settings::default());
    let (_, secret) = token(&home, 2).await;
    Person::new("alice").register(&home, &secret).await.unwrap();
    let other = Person::new("alice");
    let code = |answer: Result<_, crate::Refusal>| answer.map(|_: crate::Opened| ()).unwrap_err().code;
    assert_eq!(code(other.register(&home, "").await), ErrorCode::RegistrationToken);
    assert_eq!(code(other.register(&home, "nonsense").await), ErrorCode::RegistrationToken);
    assert_eq!(code(other.register(&home, &secret).await), ErrorCode::NameTaken);
    let begun = home.use_cases.registrations.begin(&crate::fixture::network(), "no such name", "", &[]).await;
    assert_eq!(begun.unwrap_err().code, ErrorCode::RegistrationToken);
}

#[tokio::test(start_paused = true)]
async fn used_up_expired_and_revoked_tokens_are_refused() {
    let home = Home::with(Settings::default());
    let (_, used_up) = token(&home, 1).await;
    Person::new("alice").register(&home, &used_up).await.unwrap();
    let (id, revoked) = token(&home, 5).await;
    home.use_cases.tokens.revoke(id).await.unwrap();
    assert_eq!(home.use_cases.tokens.revoke(id).await.unwrap_err().code, ErrorCode::NotFound);
    let (_, expired) = token(&home, 5).await;
    home.wait(Millis::from_days(2));
    for secret in [used_up, revoked, expired] {
        let refused = Person::new("bob").register(&home, &secret).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::RegistrationToken);
    }
}

#[tokio::test(start_paused = true)]
async fn one_use_makes_one_account_when_two_finish_at_once() {
    let home = Home::with(Settings::default());
    let (_, secret) = token(&home, 1).await;
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    let (first, second) = tokio::join!(alice.register(&home, &secret), bob.register(&home, &secret));
    assert_eq!(u8::from(first.is_ok()) + u8::from(second.is_ok()), 1);
    let refused = first.err().or_else(|| second.err()).unwrap();
    assert_eq!(refused.code, ErrorCode::RegistrationToken);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_proves_nothing_is_refused() {
    let home = Home::open();
    let (alice, mallory) = (Person::new("alice"), Person::new("mallory"));
    let stranger = Person { identity: mallory.identity.clone(), ..alice.clone() };
    let unsigned = alice.register_claiming(&home, "", |challenge| stranger.claim(challenge)).await;
    assert_eq!(unsigned.unwrap_err().code, ErrorCode::DeviceNotSigned);
    let copied = alice.register_claiming(&home, "", |challenge| crate::DeviceClaim {
        possession: mallory.claim(challenge).possession,
        ..alice.claim(challenge)
    });
    assert_eq!(copied.await.unwrap_err().code, ErrorCode::DeviceNotSigned);
    assert!(alice.register(&home, "").await.is_ok(), "nothing was kept of the refused ones");
}

#[tokio::test(start_paused = true)]
async fn a_device_id_belongs_to_one_account() {
    let home = Home::open();
    let (alice, _) = home.joins("alice").await;
    let bob = Person { device: alice.device, ..Person::new("bob") };
    assert_eq!(bob.register(&home, "").await.unwrap_err().code, ErrorCode::Malformed);
}
