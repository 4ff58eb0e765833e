//! Whole lookups: true answers and what is to be believed after them, and answers that are not to be believed.
//!
//! One is written whole; each other is written as what differs from one before it.

use ed25519_dalek::SigningKey;
use qpq_core::Millis;
use qpq_transparency_tree::{
    SignedCheckpoint,
    lookup::{Asker, FRESH},
    succession::RESET_DELAY,
    value::Reason,
};
use serde_json::{Value, json};

use super::{
    changes, lies,
    sample::{Person, device},
    scene::{Scene, device_more, newer_config, reset_after},
};

pub(crate) fn lookups() -> Value {
    let truths = [first_looks(), later_looks(), resets(), ends()].concat();
    let mut written: Vec<Value> = truths.first().cloned().into_iter().collect();
    for (at, truth) in truths.iter().enumerate().skip(1) {
        written.push(changes::from(truths.split_at(at).0, truth));
    }
    written.extend(lies::all().iter().map(|lie| changes::from(&truths, lie)));
    json!({ "lookups": written })
}

fn first_looks() -> Vec<Value> {
    let (three, one, none) = (Scene::new(3), Scene::new(1), Scene::new(0));
    let late = none.log.now.after(Millis(FRESH.0 + 1));
    let mut absent = Scene::new(1);
    absent.alice = Person::new("nobody", 9);
    vec![
        three.told("a first look, three witnesses", three.log.now),
        one.told("a first look, one witness", one.log.now),
        none.told("a log without witnesses, more than an hour ago", late),
        absent.told("who isn't there", absent.log.now),
    ]
}

/// An account that has changed its key and its devices since it was looked at.
fn rotated() -> Scene {
    let mut scene = Scene::seen(1);
    let before = scene.alice.identity.clone();
    scene.alice.identity = SigningKey::from_bytes(&[17; 32]);
    scene.alice.logs(&mut scene.log, Reason::Rotation, Some(&before));
    scene.alice.devices.push(device(8, 2));
    scene.alice.logs(&mut scene.log, Reason::Devices, Some(&scene.alice.identity));
    scene
}

fn later_looks() -> Vec<Value> {
    let same = Scene::seen(1);
    let mut own = Scene::seen(1);
    own.client.asker = Asker::Own;
    let mut silent = own.answer();
    silent.evidence.checkpoint = SignedCheckpoint::sign(&own.log.signer, own.log.head(own.log.size()));
    let devices = device_more();
    let configured = newer_config();
    let rotated = rotated();
    vec![
        same.told("a second look at the same", same.log.now),
        own.believed("a silent witness doesn't stop the log's own users", &silent, own.log.now),
        devices.told("a device more", devices.log.now),
        configured.told("a newer CONFIG, with another witness", configured.log.now),
        rotated.told("a rotation, then a device more", rotated.log.now),
    ]
}

fn resets() -> Vec<Value> {
    let mut pending = Scene::seen(1);
    pending.alice.logs(&mut pending.log, Reason::ResetPending, None);
    let mut scene = reset_after(RESET_DELAY);
    let reset = scene.told("the reset, a day later", scene.log.now);
    let before = scene.alice.identity.clone();
    scene.alice.identity = SigningKey::from_bytes(&[18; 32]);
    scene.alice.logs(&mut scene.log, Reason::Rotation, Some(&before));
    vec![
        pending.told("a reset is announced: nothing changes yet", pending.log.now),
        reset,
        scene.told("a reset between two looks is shown as one", scene.log.now),
    ]
}

fn ends() -> Vec<Value> {
    let mut scene = Scene::seen(1);
    scene.alice.logs(&mut scene.log, Reason::Revocation, Some(&scene.alice.identity));
    let revoked = scene.told("a revoked account has no devices", scene.log.now);
    scene.alice.logs(&mut scene.log, Reason::Closure, None);
    scene.log.entries.iter_mut().skip(1).for_each(|(_, contents)| *contents = None);
    vec![revoked, scene.told("a closed account, whose values are erased", scene.log.now)]
}
