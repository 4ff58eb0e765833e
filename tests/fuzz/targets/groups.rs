//! New groups: the GroupInfo and the ratchet tree that a client brings.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use qpq_fuzz::{
    mls::{Device, group},
    parts, seeds,
};
use qpq_hub::Engine;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new().expect("an engine"));

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    let [info, tree] = parts::cut(bytes);
    if let Ok(created) = ENGINE.create_group(&group(1), info, tree) {
        ENGINE.load_group(&group(1), created.state).expect("what was created can be loaded");
    }
});

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let (info, tree) = Device::of("alice@alpha.test", 1).creates(&group(1));
    ENGINE.create_group(&group(1), &info, &tree).expect("a group");
    vec![("group", parts::joined(&[&info, &tree]))]
}
