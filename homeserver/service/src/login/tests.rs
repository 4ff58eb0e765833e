//! Logging in: passwords, names that don't exist, devices.

use qpq_core::{ErrorCode, Millis, limits};
use tokio::time::Instant;

use crate::{
    RegistrationPolicy, Settings,
    fixture::{Home, Person, network},
};

#[tokio::test(start_paused = true)]
async fn a_wrong_password_and_an_unknown_name_get_the_same_answer() {
    let home = Home::open();
    let (alice, _) = home.joins("alice").await;
    let wrong = Person { password: b"guess".to_vec(), ..alice }.log_in(&home).await.unwrap_err();
    let unknown = Person::new("nobody").log_in(&home).await.unwrap_err();
    assert_eq!(wrong.code, ErrorCode::LoginFailed);
    assert_eq!(wrong, unknown);
    assert_eq!(home.counted("quicproquo_login_failures_total{reason=\"credentials\"}"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_costs_the_same_bytes_and_time() {
    let home = Home::open();
    home.joins("alice").await;
    let mut sizes = Vec::new();
    for name in ["alice", "nobody"] {
        let person = Person::new(name);
        let started = Instant::now();
        let (begun, response) = home
            .use_cases
            .logins
            .begin(&network(), &person.address.to_string(), &person.ke1())
            .await
            .unwrap();
        assert!(started.elapsed() >= limits::LOGIN_FLOOR.to_duration());
        let between = Instant::now();
        let refused = home.use_cases.logins.finish(begun, &[0; 64]).await.unwrap_err();
        assert!(between.elapsed() >= limits::LOGIN_FLOOR.to_duration());
        sizes.push((response.len(), refused));
    }
    assert_eq!(sizes[0], sizes[1]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_finds_its_password_wrong_and_says_no_more_is_counted() {
    let home = Home::open();
    let (alice, _) = home.joins("alice").await;
    let address = alice.address.to_string();
    let begun = home.use_cases.logins.begin(&network(), &address, &alice.ke1()).await.unwrap();
    let unfinished = "quicproquo_login_failures_total{reason=\"unfinished\"}";
    assert_eq!(home.counted(unfinished), 0);
    drop(begun);
    assert_eq!(home.counted(unfinished), 1);
    alice.log_in(&home).await.unwrap();
    assert_eq!(home.counted(unfinished), 1);
}

#[tokio::test(start_paused = true)]
async fn addresses_of_other_domains_are_told_apart_from_wrong_passwords() {
    let home = Home::open();
    let ke1 = Person::new("alice").ke1();
    for address in ["alice@beta.test", "alice", ""] {
        let refused = home.use_cases.logins.begin(&network(), address, &ke1).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Malformed);
    }
    let refused = home.use_cases.logins.begin(&network(), "alice@alpha.test", &[1; 5]).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Malformed);
}

#[tokio::test(start_paused = true)]
async fn guessing_slows_down_and_says_when() {
    let home = Home::open();
    let (alice, _) = home.joins("alice").await;
    let wrong = Person { password: b"guess".to_vec(), ..alice.clone() };
    let refused = loop {
        let refused = wrong.log_in(&home).await.unwrap_err();
        if refused.code != ErrorCode::LoginFailed {
            break refused;
        }
    };
    assert_eq!(refused.code, ErrorCode::RateLimited);
    assert_eq!(alice.log_in(&home).await.unwrap_err().code, ErrorCode::RateLimited);
    assert_eq!(home.counted("quicproquo_login_failures_total{reason=\"rate-limited\"}"), 2);
    assert_eq!(home.counted("quicproquo_limits_hit_total{limit=\"logins\"}"), 2);
    home.wait(refused.retry_after.unwrap());
    assert!(alice.log_in(&home).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_device_is_new_known_taken_or_revoked() {
    let home = Home::open();
    let (alice, first) = home.joins("alice").await;
    let (bob, _) = home.joins("bob").await;
    let tablet = alice.with_new_device();
    let on_tablet = tablet.log_in(&home).await.unwrap();
    assert_eq!(home.use_cases.devices.own(&first.handle).await.unwrap().len(), 2);
    assert!(tablet.log_in(&home).await.is_ok(), "a known device");
    let thief = Person { device: bob.device, ..alice.with_new_device() };
    assert_eq!(thief.log_in(&home).await.unwrap_err().code, ErrorCode::Malformed);
    assert_eq!(
        home.use_cases.devices.revoke_own(&first.handle, bob.device).await.unwrap_err().code,
        ErrorCode::NotFound
    );
    home.use_cases.devices.revoke_own(&first.handle, tablet.device).await.unwrap();
    assert!(on_tablet.handle.ended().is_cancelled());
    assert_eq!(on_tablet.handle.check(home.now()).unwrap_err().code, ErrorCode::Revoked);
    assert_eq!(tablet.log_in(&home).await.unwrap_err().code, ErrorCode::Revoked);
    assert_eq!(home.counted("quicproquo_login_failures_total{reason=\"device\"}"), 1);
    assert!(first.handle.check(home.now()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_account_has_so_many_devices_and_no_more() {
    let home = Home::with(Settings {
        registration: RegistrationPolicy::Open,
        logins_per_name: qpq_delivery::rates::Rate { burst: 100, refill: Millis(1) },
        ..Settings::default()
    });
    let (alice, _) = home.joins("alice").await;
    for _ in 1..limits::DEVICES_PER_ACCOUNT {
        alice.with_new_device().log_in(&home).await.unwrap();
    }
    assert_eq!(alice.with_new_device().log_in(&home).await.unwrap_err().code, ErrorCode::TooManyDevices);
    assert_eq!(home.counted("quicproquo_limits_hit_total{limit=\"devices\"}"), 1);
    assert!(alice.log_in(&home).await.is_ok());
}
