//! Bytes that a hostile client or peer could send: every function answers with a typed error, none panics.

use std::sync::LazyLock;

use proptest::prelude::*;
use qpq_delivery::view::{CommitOffer, GroupView as _};
use qpq_hub::{Engine, HubGroup, application_framing};

use crate::{
    Hub, id,
    member::{CLASSICAL, Change, Member, bytes_of, certified},
};

struct Samples {
    engine: Engine,
    hub: Hub,
    offer: CommitOffer,
    info: Vec<u8>,
    tree: Vec<u8>,
    package: Vec<u8>,
    message: Vec<u8>,
}

static SAMPLES: LazyLock<Samples> = LazyLock::new(|| {
    let mut alice = Member::new("alice@alpha.test", 1, CLASSICAL);
    let bob = Member::new("bob@beta.test", 2, CLASSICAL);
    let known = certified(&[&alice, &bob]);
    let hub = Hub::new(&mut alice, known);
    let (info, tree) = Member::new("dora@alpha.test", 5, CLASSICAL).create(&id());
    let message = alice.says("hello");
    let offer = alice.offer(Change { add: vec![bob.key_package(84)], ..Change::default() });
    let package = bytes_of(&bob.key_package(84));
    Samples { engine: Engine::new().unwrap(), hub, offer, info, tree, package, message }
});

/// Some bytes changed, cut off, repeated or put in.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..4)
}

fn damaged(bytes: &[u8], damage: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (place, value, kind) in damage {
        let at = place.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match kind {
            0 if !bytes.is_empty() => bytes[at] = *value,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, *value),
            _ if !bytes.is_empty() => bytes[at] ^= 1 << (value % 8),
            _ => {}
        }
    }
    bytes
}

fn group() -> HubGroup {
    SAMPLES.hub.view()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_commits_are_refused(damage in damage(), part in 0_u8..3) {
        let mut offer = SAMPLES.offer.clone();
        let field = match part {
            0 => &mut offer.commit,
            1 => &mut offer.group_info,
            _ => &mut offer.welcome,
        };
        *field = damaged(field, &damage);
        if offer != SAMPLES.offer {
            // A changed tag or ciphertext is beyond what OpenMLS can see at the hub; the policy refuses it.
            let checked = group().check_commit(&offer);
            if part == 0 {
                prop_assert!(SAMPLES.hub.check(&offer).is_err());
            }
            drop(checked);
        }
    }

    #[test]
    fn damaged_new_groups_are_refused(damage in damage(), tree: bool) {
        let (info, other) = (&SAMPLES.info, &SAMPLES.tree);
        let (info, other) =
            if tree { (info.clone(), damaged(other, &damage)) } else { (damaged(info, &damage), other.clone()) };
        if info != SAMPLES.info || other != SAMPLES.tree {
            prop_assert!(SAMPLES.engine.create_group(&id(), &info, &other).is_err());
        }
    }

    #[test]
    fn damaged_key_packages_are_refused(damage in damage()) {
        let bytes = damaged(&SAMPLES.package, &damage);
        prop_assert!(bytes == SAMPLES.package || SAMPLES.engine.inspect_key_package(&bytes).is_err());
    }

    #[test]
    fn damaged_messages_never_panic(damage in damage(), noise: Vec<u8>) {
        drop(application_framing(&damaged(&SAMPLES.message, &damage)));
        drop(application_framing(&noise));
        drop(SAMPLES.engine.inspect_key_package(&noise));
    }
}

#[test]
fn a_damaged_store_is_noticed() {
    let mut store = SAMPLES.hub.store.clone();
    let place = store.0.keys().next().unwrap().clone();
    store.0.get_mut(&place).unwrap().truncate(1);
    let chunks =
        store.0.into_iter().map(|((key, number), bytes)| qpq_hub::Chunk { key, number, bytes: Some(bytes) });
    assert!(SAMPLES.engine.load_group(&id(), chunks.collect()).is_err());
}
