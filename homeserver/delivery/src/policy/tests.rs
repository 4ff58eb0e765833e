//! Each rule refuses what it is for, and lets the honest commit pass.

use qpq_core::{DeviceId, MessageId};

use super::*;
use crate::{
    key_packages::Lifetime,
    view::{AddedDevice, LeafIndex},
};

const NOW: Timestamp = Timestamp::from_millis(100 * 86_400_000);

pub(crate) fn device(user: &str, n: u8) -> DeviceAddress {
    DeviceAddress { user: user.parse().unwrap(), device: DeviceId::from_bytes([n; 16]) }
}

pub(crate) fn member(leaf: u32, device: &DeviceAddress) -> Member {
    Member { leaf: LeafIndex(leaf), device: device.clone(), signature_key: key_of(device) }
}

pub(crate) fn added(device: &DeviceAddress) -> AddedDevice {
    let lifetime = Lifetime { not_before: NOW, not_after: NOW.after(Millis::from_days(84)) };
    AddedDevice { device: device.clone(), signature_key: key_of(device), lifetime }
}

pub(crate) fn facts(committer: &DeviceAddress, added: Vec<AddedDevice>, removed: Vec<Member>) -> CommitFacts {
    CommitFacts {
        epoch: 3,
        committer: member(0, committer),
        committer_leaf: CommitterLeaf::Kept,
        added,
        removed,
        other_proposals: vec![],
        group_info: GroupInfoMatch::Matches,
        welcome: WelcomeMatch::Matches,
    }
}

// Any 32 bytes do: what is signed with real keys is tested in `hub`.
fn key_of(device: &DeviceAddress) -> SignatureKey {
    SignatureKey::from_bytes(*qpq_core::Digest::of(&[device.to_string().as_bytes()]).as_bytes())
}

fn known(devices: &[&DeviceAddress]) -> Certified {
    Certified(devices.iter().map(|device| ((*device).clone(), key_of(device))).collect())
}

fn judge_changes(facts: &CommitFacts, members: &[Member], certified: &Certified) -> Result<(), Refusal> {
    check_removes(facts)?;
    check_adds(facts, members, certified, NOW)
}

#[test]
fn an_honest_add_passes() {
    let (alice, bob) = (device("alice@alpha.test", 1), device("bob@beta.test", 2));
    let change = facts(&alice, vec![added(&bob)], vec![]);
    assert_eq!(judge_changes(&change, &[member(0, &alice)], &known(&[&bob])), Ok(()));
    assert!(known(&[&bob]).missing(&change).is_empty());
    assert_eq!(Certified::default().missing(&change), BTreeSet::from([bob.user]));
}

#[test]
fn a_device_that_nobody_certified_is_refused() {
    let (alice, bob) = (device("alice@alpha.test", 1), device("bob@beta.test", 2));
    let change = facts(&alice, vec![added(&bob)], vec![]);
    let refusal = judge_changes(&change, &[member(0, &alice)], &Certified::default()).unwrap_err();
    assert_eq!(refusal.code(), ErrorCode::DeviceNotSigned);
}

#[test]
fn a_device_is_in_a_group_once() {
    let (alice, bob) = (device("alice@alpha.test", 1), device("bob@beta.test", 2));
    let members = [member(0, &alice), member(1, &bob)];
    let twice = Refusal::Duplicate { device: bob.clone() };
    let change = facts(&alice, vec![added(&bob)], vec![]);
    assert_eq!(judge_changes(&change, &members, &known(&[&bob])), Err(twice.clone()));
    let change = facts(&alice, vec![added(&bob), added(&bob)], vec![]);
    assert_eq!(judge_changes(&change, &members[..1], &known(&[&bob])), Err(twice));
}

#[test]
fn a_cut_off_device_is_replaced_by_remove_and_add() {
    let (alice, bob) = (device("alice@alpha.test", 1), device("bob@beta.test", 2));
    let members = [member(0, &alice), member(1, &bob)];
    let change = facts(&alice, vec![added(&bob)], vec![member(1, &bob)]);
    assert_eq!(judge_changes(&change, &members, &known(&[&bob])), Ok(()));
}

#[test]
fn nobody_removes_somebody_else() {
    let (alice, bob) = (device("alice@alpha.test", 1), device("bob@beta.test", 2));
    let members = [member(0, &alice), member(1, &bob)];
    let change = facts(&alice, vec![], vec![member(1, &bob)]);
    assert_eq!(judge_changes(&change, &members, &known(&[])), Err(Refusal::Remove { device: bob }));
    let (first, second) = (device("alice@alpha.test", 1), device("alice@alpha.test", 2));
    let change = facts(&first, vec![], vec![member(1, &second)]);
    assert_eq!(judge_changes(&change, &members, &known(&[])), Ok(()));
}

#[test]
fn short_lived_key_packages_are_refused() {
    let (alice, bob) = (device("alice@alpha.test", 1), device("bob@beta.test", 2));
    let mut short = added(&bob);
    short.lifetime.not_after = NOW.after(Millis::from_days(34));
    let change = facts(&alice, vec![short], vec![]);
    let refusal = Refusal::Lifetime { device: bob.clone(), source: LifetimeError::Remaining };
    assert_eq!(judge_changes(&change, &[member(0, &alice)], &known(&[&bob])), Err(refusal));
}

#[test]
fn another_device_or_a_wrong_signature_is_refused() {
    let (alice, bob) = (device("alice@alpha.test", 1), device("bob@beta.test", 2));
    let offer = CommitOffer {
        id: MessageId::from_bytes([1; 16]),
        sender: bob,
        epoch: 3,
        commit: vec![1],
        group_info: vec![],
        welcome: vec![],
        signature: [0; 64],
    };
    let change = facts(&alice, vec![], vec![]);
    assert_eq!(check_sender(&offer, &change), Err(Refusal::NotTheSender));
    let offer = CommitOffer { sender: alice, ..offer };
    assert_eq!(check_sender(&offer, &change), Err(Refusal::Signature));
}
