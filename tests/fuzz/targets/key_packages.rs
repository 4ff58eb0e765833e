//! KeyPackages that clients upload, and the framing of the messages that they submit.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use qpq_fuzz::{
    mls::{Device, group},
    seeds,
};
use qpq_hub::{Engine, application_framing};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new().expect("an engine"));

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    let package = ENGINE.inspect_key_package(bytes);
    let message = application_framing(bytes);
    assert!(package.is_err() || message.is_err(), "it can't be both");
});

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let mut alice = Device::of("alice@alpha.test", 1);
    let package = alice.key_package();
    ENGINE.inspect_key_package(&package).expect("a KeyPackage");
    alice.creates(&group(1));
    let message = alice.says("hello");
    application_framing(&message).expect("a message");
    vec![("package", package), ("message", message)]
}
