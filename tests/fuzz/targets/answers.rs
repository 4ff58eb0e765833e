//! What a peer says that isn't a call: introductions, and answers to calls of ours. The first byte says which.
#![no_main]

use capnp::{
    message::{Builder, HeapAllocator, Reader, ReaderOptions},
    serialize::{self, OwnedSegments},
};
use libfuzzer_sys::fuzz_target;
use qpq_fuzz::{mls::device, seeds};
use qpq_schemas::federation_capnp::{link, peering};
use qpq_service::{CommitAnswer, wire};

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    understood(bytes);
});

fn understood(bytes: &[u8]) -> bool {
    let Some((which, bytes)) = bytes.split_first() else { return false };
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(1 << 20)).nesting_limit(32);
    let Ok(message) = serialize::read_message(bytes, options) else { return false };
    read(*which, &message).unwrap_or(false)
}

fn read(which: u8, message: &Reader<OwnedSegments>) -> capnp::Result<bool> {
    Ok(match which % 6 {
        0 => qpq_federation::fuzzing::hello(
            message.get_root::<peering::hello_params::Reader<'_>>()?.get_hello()?,
        ),
        1 => {
            let results = message.get_root::<link::relay_enqueue_results::Reader<'_>>()?;
            qpq_federation::fuzzing::stream_answers(results.get_answers()?)
        }
        2 => {
            let results = message.get_root::<link::proxy_fetch_key_packages_results::Reader<'_>>()?;
            let Ok(users) = wire::read_claimed(results.get_users()?) else { return Ok(false) };
            let mut again = Builder::new_default();
            let mut list = again.init_root::<link::proxy_fetch_key_packages_results::Builder<'_>>();
            wire::write_claimed(&users, list.reborrow().init_users(wire::length(users.len())));
            assert_eq!(wire::read_claimed(list.into_reader().get_users()?), Ok(users));
            true
        }
        3 => {
            let results = message.get_root::<link::resolve_user_results::Reader<'_>>()?;
            let Ok(users) = results.get_users()?.iter().map(wire::read_user).collect::<Result<Vec<_>, _>>()
            else {
                return Ok(false);
            };
            let mut again = Builder::new_default();
            let mut list = again.init_root::<link::resolve_user_results::Builder<'_>>();
            wire::write_users(&users, list.reborrow().init_users(wire::length(users.len())));
            let read: Result<Vec<_>, _> =
                list.into_reader().get_users()?.iter().map(wire::read_user).collect();
            assert_eq!(read, Ok(users));
            true
        }
        4 => {
            let results = message.get_root::<link::group_commit_results::Reader<'_>>()?;
            match wire::read_commit_answer(results.get_answer()?) {
                Ok(CommitAnswer::Refused(refusal)) => refused(&refusal)?,
                read => read.is_ok(),
            }
        }
        _ => {
            let results = message.get_root::<link::group_tree_results::Reader<'_>>()?;
            let refusal = wire::read_failure(results.get_failure()?);
            let refused = refusal.map(|refusal| refused(&refusal)).unwrap_or(Ok(false))?;
            wire::read_tree(results.get_tree()?).is_ok() || refused
        }
    })
}

fn refused(refusal: &qpq_service::Refusal) -> capnp::Result<bool> {
    let mut again = Builder::new_default();
    wire::write_failure(refusal, again.init_root());
    assert_eq!(wire::read_failure(again.get_root_as_reader()?).as_ref(), Ok(refusal));
    Ok(true)
}

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let seeds = vec![
        (
            "hello",
            message(0, |message| {
                let mut hello = message.init_root::<peering::hello_params::Builder<'_>>().init_hello();
                hello.set_min_version(1);
                hello.set_max_version(1);
                hello.set_domain("beta.test");
                hello.reborrow().init_features(1).set(0, "later");
                let mut trusted = hello.init_trusted();
                trusted.set_incarnation(&[1; 16]);
                trusted.set_yours(&[2; 16]);
                trusted.set_heads_digest(&[3; 32]);
                trusted.set_clock(1_800_000_000_000);
            }),
        ),
        (
            "relay",
            message(1, |message| {
                let mut answers =
                    message.init_root::<link::relay_enqueue_results::Builder<'_>>().init_answers(4);
                let mut applied = answers.reborrow().get(0);
                applied.set_stream(&[1; 16]);
                let mut applied = applied.init_applied();
                applied.set_through(9);
                applied.set_chain(&[4; 32]);
                let mut ack = applied.init_acks(1).get(0);
                ack.set_seq(8);
                ack.init_failure().set_code(301);
                for (index, fill) in (1..).zip([0, 1, 2]) {
                    let mut answer = answers.reborrow().get(index);
                    answer.set_stream(&[2; 16]);
                    match fill {
                        0 => answer.set_expect_seq(4),
                        1 => answer.set_chain_differs(&[6; 80]),
                        _ => answer.init_not_now().set_retry_after_ms(500),
                    }
                }
            }),
        ),
        (
            "claimed",
            message(2, |message| {
                let results = message.init_root::<link::proxy_fetch_key_packages_results::Builder<'_>>();
                let mut user = results.init_users(1).get(0);
                keys(user.reborrow().init_keys());
                let mut package = user.init_packages(1).get(0);
                package.set_device(&[2; 16]);
                package.set_key_package(&[8; 30]);
            }),
        ),
        (
            "users",
            message(3, |message| {
                let mut users = message.init_root::<link::resolve_user_results::Builder<'_>>().init_users(2);
                keys(users.reborrow().get(0));
                let mut failed = users.get(1);
                failed.set_address("nobody@beta.test");
                failed.init_failure().set_code(102);
            }),
        ),
        (
            "accepted",
            message(4, |message| {
                let results = message.init_root::<link::group_commit_results::Builder<'_>>();
                results.init_answer().init_accepted().set_seq(4);
            }),
        ),
        (
            "refused",
            message(4, |message| {
                let results = message.init_root::<link::group_commit_results::Builder<'_>>();
                let mut failure = results.init_answer().init_failure();
                failure.set_code(303);
                failure.set_text("another commit was first");
            }),
        ),
        (
            "tree",
            message(5, |message| {
                let mut tree = message.init_root::<link::group_tree_results::Builder<'_>>().init_tree();
                tree.set_epoch(2);
                tree.set_ratchet_tree(&[7; 50]);
            }),
        ),
    ];
    for (name, bytes) in &seeds {
        assert!(understood(bytes), "`{name}` is an answer");
    }
    seeds
}

fn keys(mut user: qpq_schemas::common_capnp::user_keys::Builder<'_>) {
    user.set_address("bob@beta.test");
    user.set_identity_key(&[1; 32]);
    let mut certificate = user.init_devices(1).get(0);
    certificate.set_device(device("bob@beta.test", 2).as_str());
    certificate.set_signature_key(&[2; 32]);
    certificate.set_signature(&[3; 64]);
}

fn message(which: u8, fill: impl FnOnce(&mut Builder<HeapAllocator>)) -> Vec<u8> {
    let mut message = Builder::new_default();
    fill(&mut message);
    let mut bytes = vec![which];
    bytes.extend(serialize::write_message_to_words(&message));
    bytes
}
