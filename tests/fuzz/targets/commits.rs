//! Commits as a device offers them to the hub: the commit, its GroupInfo, its Welcome.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use qpq_core::MessageId;
use qpq_delivery::view::{CommitOffer, GroupView as _};
use qpq_fuzz::{
    mls::{Device, group},
    parts, seeds,
};
use qpq_hub::{Engine, HubGroup};

/// A group of alice's, as its hub sees it, and commits that she could make.
struct World {
    group: HubGroup,
    sender: qpq_core::DeviceAddress,
    offers: Vec<CommitOffer>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let engine = Engine::new().expect("an engine");
    let mut alice = Device::of("alice@alpha.test", 1);
    let bob = Device::of("bob@beta.test", 2);
    let (info, tree) = alice.creates(&group(1));
    let created = engine.create_group(&group(1), &info, &tree).expect("a group");
    let offers = vec![alice.adds(&bob), alice.updates()];
    World { group: created.group, sender: alice.address().clone(), offers }
});

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    let [commit, group_info, welcome] = parts::cut(bytes);
    let offer = CommitOffer {
        id: MessageId::from_bytes([1; 16]),
        sender: WORLD.sender.clone(),
        epoch: 0,
        commit: commit.to_vec(),
        group_info: group_info.to_vec(),
        welcome: welcome.to_vec(),
        signature: [0; 64],
    };
    if let Ok((facts, _)) = WORLD.group.check_commit(&offer) {
        assert_eq!(facts.committer.device, WORLD.sender, "only a member commits");
    }
});

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let offer = |offer: &CommitOffer| parts::joined(&[&offer.commit, &offer.group_info, &offer.welcome]);
    for known in &WORLD.offers {
        assert!(WORLD.group.check_commit(known).is_ok(), "a commit");
    }
    ["add", "update"].into_iter().zip(WORLD.offers.iter().map(offer)).collect()
}
