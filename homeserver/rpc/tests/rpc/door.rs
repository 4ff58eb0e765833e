//! What a connection without a session can do.

use qpq_core::{ErrorCode, limits};

use crate::{
    local,
    world::{PASSWORD, World, whoami},
};

#[tokio::test]
async fn info_says_who_and_within_which_limits() {
    local(async {
        let world = World::start().await;
        let caller = world.dial().await;
        let reply = caller.homeserver.info_request().send().promise.await.unwrap();
        let info = reply.get().unwrap().get_info().unwrap();
        assert_eq!(info.get_domain().unwrap(), "alpha.test");
        assert_eq!(info.get_incarnation().unwrap(), world.cases.ground.incarnation().to_bytes());
        assert_eq!(
            usize::try_from(info.get_limits().unwrap().get_message_bytes()),
            Ok(limits::MESSAGE_BYTES)
        );
        assert!(!info.get_draining());
    })
    .await;
}

#[tokio::test]
async fn an_account_is_made_and_its_device_logs_in_again() {
    local(async {
        let world = World::start().await;
        let alice = world.registered("alice").await;
        assert_eq!(whoami(&alice.session).await.as_deref(), Ok("alice@alpha.test"));
        let again = world.dial().await.log_in(alice.device.clone()).await.unwrap();
        assert_eq!(again.granted.device, alice.granted.device);
        assert_eq!(whoami(&again.session).await.as_deref(), Ok("alice@alpha.test"));
    })
    .await;
}

#[tokio::test]
async fn a_wrong_token_a_taken_name_and_a_wrong_password_have_their_numbers() {
    local(async {
        let world = World::start().await;
        let alice = world.registered("alice").await;
        let refused = world.dial().await.register("bob", "a guess").await.map(drop);
        assert_eq!(refused, Err(ErrorCode::RegistrationToken.number()));
        let refused = world.dial().await.register("alice", "a guess").await.map(drop);
        assert_eq!(
            refused,
            Err(ErrorCode::RegistrationToken.number()),
            "the token is judged before the name"
        );
        let refused = world.dial().await.register("alice", &world.token().await).await.map(drop);
        assert_eq!(refused, Err(ErrorCode::NameTaken.number()));
        let caller = world.dial().await;
        let user = &alice.device.address.user;
        assert_eq!(caller.prove(user, b"a guess").await.map(drop), Err(ErrorCode::LoginFailed.number()));
        let nobody = "nobody@alpha.test".parse().unwrap();
        assert_eq!(caller.prove(&nobody, PASSWORD).await.map(drop), Err(ErrorCode::LoginFailed.number()));
    })
    .await;
}

#[tokio::test]
async fn a_malformed_field_is_named() {
    local(async {
        let world = World::start().await;
        let alice = world.registered("alice").await;
        let mut request = alice.caller.homeserver.resume_request();
        request.get().set_token(&[1; 31]);
        let reply = request.send().promise.await.unwrap();
        let failure = reply.get().unwrap().get_failure().unwrap();
        assert_eq!(failure.get_code(), ErrorCode::Malformed.number());
        assert!(failure.get_text().unwrap().to_str().unwrap().contains("`token` has 31 bytes"));

        let devices = alice.session.devices_request().send().pipeline.get_devices();
        let mut request = devices.revoke_request();
        request.get().set_device(&[1; 3]);
        let reply = request.send().promise.await.unwrap();
        let failure = reply.get().unwrap().get_failure().unwrap();
        assert_eq!(failure.get_code(), ErrorCode::Malformed.number());
        assert!(failure.get_text().unwrap().to_str().unwrap().contains("`device`"));
    })
    .await;
}
