//! Sessions: resumed, revoked, and ended with the process.

use qpq_core::ErrorCode;
use qpq_core::SessionId;

use crate::{
    local,
    world::{SOON, World, whoami},
};

#[tokio::test]
async fn resuming_rotates_the_token_and_ends_the_former_connection() {
    local(async {
        let world = World::start().await;
        let alice = world.registered("alice").await;
        let caller = world.dial().await;
        let (session, granted) = caller.resume(&alice.granted.token).await.unwrap();
        assert_eq!(granted.session, alice.granted.session);
        assert_ne!(granted.token, alice.granted.token);
        assert_eq!(whoami(&session).await.as_deref(), Ok("alice@alpha.test"));
        assert_eq!(whoami(&alice.session).await, Err(ErrorCode::Revoked.number()));
        let refused = world.dial().await.resume(&alice.granted.token).await.map(drop);
        assert_eq!(refused, Err(ErrorCode::Revoked.number()));
    })
    .await;
}

#[tokio::test]
async fn the_capabilities_of_a_revoked_session_fail() {
    local(async {
        let world = World::start().await;
        let alice = world.registered("alice").await;
        let id = SessionId::from_slice(&alice.granted.session).unwrap();
        world.cases.sessions.revoke(id).await.unwrap();
        assert_eq!(whoami(&alice.session).await, Err(ErrorCode::Revoked.number()));
    })
    .await;
}

#[tokio::test]
async fn a_stopping_homeserver_closes_with_a_reason_and_leaves_nothing_behind() {
    local(async {
        let world = World::start().await;
        let alice = world.registered("alice").await;
        assert_eq!(world.workers.stop(SOON).await.abandoned, 0);
        let reason = alice.caller.connection.closed().await;
        assert!(reason.contains("stopping"), "{reason}");
    })
    .await;
}

#[tokio::test]
async fn a_draining_listener_answers_what_is_in_flight_and_tells_newcomers_why_not() {
    local(async {
        let world = World::start().await;
        let caller = world.dial().await;
        let info = async || caller.homeserver.info_request().send().promise.await.unwrap();
        assert!(!info().await.get().unwrap().get_info().unwrap().get_draining());
        world.announced.cancel();
        assert!(
            info().await.get().unwrap().get_info().unwrap().get_draining(),
            "it is said before it is done"
        );

        // An answer to a login takes its time; the call after it arrived first.
        let call = caller.homeserver.log_in_request().send().promise;
        info().await;
        assert_eq!(world.listening.drain(SOON).await, 0);
        let reply = call.await.unwrap();
        assert_eq!(reply.get().unwrap().get_failure().unwrap().get_code(), ErrorCode::Malformed.number());

        let newcomer = world.connect().await;
        let reason = newcomer.closed().await;
        assert!(reason.contains("stopping: reconnect in a moment"), "{reason}");
        assert_eq!(world.workers.stop(SOON).await.abandoned, 0);
    })
    .await;
}
