//! What stops a client that asks for too much.

use std::time::Duration;

use capnp::{ErrorKind, message::Builder, serialize, traits::HasTypeId as _};
use capnp_rpc::rpc_capnp::message as rpc_message;
use futures::future::join_all;
use qpq_core::{ErrorCode, limits};
use qpq_schemas::client_capnp::homeserver;
use tokio::time::timeout;

use crate::{local, world::World};

/// A write that makes no progress for so long is held back.
const QUIET: Duration = Duration::from_secs(1);

#[tokio::test]
async fn calls_beyond_the_cap_are_overloaded_and_the_others_are_answered() {
    local(async {
        let world = World::start().await;
        let caller = world.dial().await;
        // Every answer to a login takes its time, so all of these are in flight together.
        let calls = (0..20).map(|_| caller.homeserver.log_in_request().send().promise);
        let (mut answered, mut overloaded) = (0, 0);
        for reply in join_all(calls).await {
            match reply {
                Ok(reply) => {
                    assert_eq!(
                        reply.get().unwrap().get_failure().unwrap().get_code(),
                        ErrorCode::Malformed.number()
                    );
                    answered += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
                    overloaded += 1;
                }
            }
        }
        assert_eq!((answered, overloaded), (8, 12));
        caller.homeserver.info_request().send().promise.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_connection_holds_so_many_sessions_and_no_more() {
    local(async {
        let world = World::start().await;
        let alice = world.registered("alice").await;
        let (mut token, mut held, mut refused) = (alice.granted.token.clone(), Vec::new(), None);
        for _ in 0..limits::EXPORTED_CAPABILITIES {
            match alice.caller.resume(&token).await {
                Ok((session, granted)) => {
                    held.push(session);
                    token = granted.token;
                }
                Err(code) => {
                    refused = Some(code);
                    break;
                }
            }
        }
        assert_eq!(refused, Some(ErrorCode::Overloaded.number()));
        // What the client releases makes room again, and the token was not used up.
        held.clear();
        while alice.caller.resume(&token).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_calls_and_never_reads_is_held_back_alone() {
    local(async {
        let world = World::start().await;
        let caller = world.dial().await;
        // A stream of our own: its replies are read by nobody.
        let rude = world.connect().await;
        let (_unread, mut calls) = rude.open_stream().await.unwrap();
        calls.write_all(&bootstrap()).await.unwrap();
        let (mut question, mut written) = (1, 0);
        loop {
            let chunk: Vec<u8> = (question..question + 200).flat_map(info_call).collect();
            question += 200;
            written += chunk.len();
            match timeout(QUIET, calls.write_all(&chunk)).await {
                Ok(sent) => sent.unwrap(),
                Err(_) => break,
            }
            assert!(written < 32 * 1024 * 1024, "the homeserver reads on and on");
        }
        caller.homeserver.info_request().send().promise.await.unwrap();
    })
    .await;
}

fn bootstrap() -> Vec<u8> {
    let mut message = Builder::new_default();
    message.init_root::<rpc_message::Builder<'_>>().init_bootstrap().set_question_id(0);
    serialize::write_message_to_words(&message)
}

/// `info`, called on what the bootstrap will give.
fn info_call(question: u32) -> Vec<u8> {
    let mut message = Builder::new_default();
    let mut call = message.init_root::<rpc_message::Builder<'_>>().init_call();
    call.set_question_id(question);
    call.set_interface_id(homeserver::Client::TYPE_ID);
    call.set_method_id(0);
    call.reborrow().init_target().init_promised_answer().set_question_id(0);
    call.reborrow().init_params();
    call.init_send_results_to().set_caller(());
    serialize::write_message_to_words(&message)
}
