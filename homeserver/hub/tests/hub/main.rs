//! The hub against real OpenMLS members: what it accepts they can follow, what it refuses would have harmed them.

#![cfg(test)]

mod garbage;
#[expect(dead_code, reason = "the service's tests use more of it")]
mod member;

use std::collections::BTreeMap;

use member::{CLASSICAL, Change, Member, POST_QUANTUM, bytes_of, capabilities, certified};
use openmls::prelude::{Capabilities, OpenMlsProvider as _};
use qpq_core::{Clock as _, GroupId, SystemClock};
use qpq_delivery::{
    key_packages::{LifetimeError, Reuse},
    policy::{Certified, Refusal, judge},
    view::{CommitOffer, CommitterLeaf, GroupInfoMatch, GroupView as _, WelcomeMatch},
};
use qpq_hub::{
    Chunk, CreateError, Engine, FramingError, HubGroup, KeyPackageError, Merged, application_framing,
};

pub(crate) fn id() -> GroupId {
    GroupId::new([7; 16], 1, "alpha.test".parse().unwrap())
}

/// The stored chunks of one group, as a store would keep them.
#[derive(Default, Clone)]
struct Store(BTreeMap<(Vec<u8>, u32), Vec<u8>>);

impl Store {
    fn apply(&mut self, changes: &[Chunk]) {
        for Chunk { key, number, bytes } in changes {
            match bytes {
                Some(bytes) => drop(self.0.insert((key.clone(), *number), bytes.clone())),
                None => drop(self.0.remove(&(key.clone(), *number))),
            }
        }
    }

    fn load(&self, engine: &Engine) -> HubGroup {
        let chunk = |((key, number), bytes): (&(Vec<u8>, u32), &Vec<u8>)| Chunk {
            key: key.clone(),
            number: *number,
            bytes: Some(bytes.clone()),
        };
        engine.load_group(&id(), self.0.iter().map(chunk).collect()).unwrap()
    }
}

/// A hub that loads, judges and stores, as the service does.
struct Hub {
    engine: Engine,
    store: Store,
    certified: Certified,
}

impl Hub {
    fn new(creator: &mut Member, certified: Certified) -> Self {
        let engine = Engine::new().unwrap();
        let (info, tree) = creator.create(&id());
        let created = engine.create_group(&id(), &info, &tree).unwrap();
        assert_eq!(created.creator.device, creator.device);
        let mut store = Store::default();
        store.apply(&created.state);
        Self { engine, store, certified }
    }

    fn view(&self) -> HubGroup {
        self.store.load(&self.engine)
    }

    #[expect(clippy::unwrap_in_result, reason = "a refusal is the result; a fault of the hub fails the test")]
    fn check(&self, offer: &CommitOffer) -> Result<Merged, Refusal> {
        let group = self.view();
        let (facts, staged) = group.check_commit(offer)?;
        judge(offer, &facts, group.members(), group.extension(), &self.certified, SystemClock.now())?;
        Ok(group.merge(staged).expect("a checked commit can be merged"))
    }

    /// Returns the new epoch's tree.
    fn grant(&mut self, offer: &CommitOffer) -> Vec<u8> {
        let merged = self.check(offer).unwrap();
        self.store.apply(&merged.state);
        assert_eq!(self.view().epoch(), merged.group.epoch());
        merged.ratchet_tree
    }
}

/// Alice's group with bob in it.
fn pair(suite: openmls::prelude::Ciphersuite) -> (Hub, Member, Member) {
    let mut alice = Member::new("alice@alpha.test", 1, suite);
    let mut bob = Member::new("bob@beta.test", 2, suite);
    let known = certified(&[&alice, &bob]);
    let mut hub = Hub::new(&mut alice, known);
    let offer = alice.offer(Change { add: vec![bob.key_package(84)], ..Change::default() });
    let tree = hub.grant(&offer);
    alice.won();
    bob.join(&offer.welcome, &tree);
    (hub, alice, bob)
}

fn a_group_lives(suite: openmls::prelude::Ciphersuite) {
    let (mut hub, mut alice, mut bob) = pair(suite);
    // Bob commits from the state that the hub's tree gave him, and alice follows.
    let offer = bob.offer(Change::default());
    hub.grant(&offer);
    bob.won();
    alice.apply(&offer.commit);
    let members: Vec<_> = hub.view().members().iter().map(|m| m.device.clone()).collect();
    assert_eq!(members, [alice.device.clone(), bob.device.clone()]);
    let message = alice.says("hello");
    let framing = application_framing(&message).unwrap();
    assert_eq!((framing.group, framing.epoch), (id(), 2));
    assert_eq!(application_framing(&offer.commit), Err(FramingError::WrongKind));
    // A device that lost its state is replaced: its old leaf goes in the commit that adds it again.
    let mut again = Member::new("bob@beta.test", 2, suite);
    hub.certified = certified(&[&alice, &again]);
    let offer =
        alice.offer(Change { add: vec![again.key_package(84)], remove: vec![1], ..Change::default() });
    let tree = hub.grant(&offer);
    alice.won();
    again.join(&offer.welcome, &tree);
    assert_eq!(
        again.group().epoch_authenticator().as_slice(),
        alice.group().epoch_authenticator().as_slice()
    );
}

#[test]
fn a_post_quantum_group_lives() {
    a_group_lives(POST_QUANTUM);
}

#[test]
fn a_classical_group_lives() {
    a_group_lives(CLASSICAL);
}

#[test]
fn what_is_not_granted_leaves_no_trace() {
    let (mut hub, mut alice, mut bob) = pair(CLASSICAL);
    let first = alice.offer(Change::default());
    let second = bob.offer(Change::default());
    let before = hub.store.0.clone();
    drop(hub.check(&first).unwrap());
    assert_eq!(hub.store.0, before);
    hub.grant(&second);
    assert_eq!(hub.check(&first).unwrap_err(), Refusal::WrongEpoch { current: 2 });
    alice.lost();
    alice.apply(&second.commit);
    bob.won();
    // The loser rebases and wins the next epoch.
    let rebased = alice.offer(Change::default());
    hub.grant(&rebased);
}

#[test]
fn a_commit_rewrites_only_what_it_changed() {
    let (mut hub, mut alice, _bob) = pair(POST_QUANTUM);
    let guests: Vec<_> = (10..40).map(|n| Member::new("carol@beta.test", n, POST_QUANTUM)).collect();
    hub.certified = certified(&guests.iter().collect::<Vec<_>>());
    let add = guests.iter().map(|guest| guest.key_package(84)).collect();
    let offer = alice.offer(Change { add, ..Change::default() });
    hub.grant(&offer);
    alice.won();
    // The first commit in the full tree fills its parents, from the second on they are only replaced.
    let offer = alice.offer(Change::default());
    hub.grant(&offer);
    alice.won();
    let merged = hub.check(&alice.offer(Change::default())).unwrap();
    let changed: usize = merged.state.iter().filter_map(|chunk| chunk.bytes.as_ref()).map(Vec::len).sum();
    let whole: usize = hub.store.0.values().map(Vec::len).sum();
    assert!(changed * 2 < whole, "{changed} of {whole} bytes were rewritten");
}

#[test]
fn another_group_info_is_refused() {
    let (hub, mut alice, mut bob) = pair(CLASSICAL);
    let good = alice.offer(Change::default());
    let check = |group_info: Vec<u8>| {
        let offer = CommitOffer { group_info, ..good.clone() };
        hub.check(&offer).unwrap_err()
    };
    assert_eq!(check(vec![]), Refusal::GroupInfo(GroupInfoMatch::Malformed));
    assert_eq!(check(good.commit.clone()), Refusal::GroupInfo(GroupInfoMatch::Malformed));
    let old =
        bob.group.as_ref().unwrap().export_group_info(bob.provider.crypto(), &bob.signer, false).unwrap();
    let old = openmls::prelude::tls_codec::Serialize::tls_serialize_detached(&old).unwrap();
    assert_eq!(check(old), Refusal::GroupInfo(GroupInfoMatch::ContextDiffers));
    // The same commit merged by bob: same context and tag, but signed by bob.
    bob.apply(&good.commit);
    let his =
        bob.group.as_ref().unwrap().export_group_info(bob.provider.crypto(), &bob.signer, false).unwrap();
    let his = openmls::prelude::tls_codec::Serialize::tls_serialize_detached(&his).unwrap();
    assert_eq!(check(his), Refusal::GroupInfo(GroupInfoMatch::NotByCommitter));
    let mut broken = good.group_info.clone();
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(check(broken), Refusal::GroupInfo(GroupInfoMatch::NotByCommitter));
    assert!(hub.check(&good).is_ok());
}

#[test]
fn a_group_info_with_the_tree_inside_is_refused() {
    let (hub, mut alice, mut bob) = pair(CLASSICAL);
    let good = alice.offer(Change::default());
    bob.apply(&good.commit);
    alice.won();
    let fat = alice
        .group
        .as_ref()
        .unwrap()
        .export_group_info(alice.provider.crypto(), &alice.signer, true)
        .unwrap();
    let group_info = openmls::prelude::tls_codec::Serialize::tls_serialize_detached(&fat).unwrap();
    let refusal = hub.check(&CommitOffer { group_info, ..good }).unwrap_err();
    assert_eq!(refusal, Refusal::GroupInfo(GroupInfoMatch::Malformed));
}

#[test]
fn the_welcome_covers_exactly_the_added() {
    let (mut hub, mut alice, _bob) = pair(CLASSICAL);
    let (carol, dave) =
        (Member::new("carol@beta.test", 3, CLASSICAL), Member::new("dave@beta.test", 4, CLASSICAL));
    hub.certified = certified(&[&carol, &dave]);
    let for_dave = alice.offer(Change { add: vec![dave.key_package(84)], ..Change::default() });
    alice.lost();
    let good = alice.offer(Change { add: vec![carol.key_package(84)], ..Change::default() });
    for (welcome, expected) in [
        (vec![], WelcomeMatch::Malformed),
        (good.commit.clone(), WelcomeMatch::Malformed),
        (for_dave.welcome.clone(), WelcomeMatch::OthersWelcomed),
    ] {
        let refusal = hub.check(&CommitOffer { welcome, ..good.clone() }).unwrap_err();
        assert_eq!(refusal, Refusal::Welcome(expected));
    }
    assert!(hub.check(&good).is_ok());
    alice.lost();
    let update = alice.offer(Change::default());
    let refusal = hub.check(&CommitOffer { welcome: for_dave.welcome, ..update }).unwrap_err();
    assert_eq!(refusal, Refusal::Welcome(WelcomeMatch::OthersWelcomed));
}

#[test]
fn the_home_domain_cannot_commit_in_its_users_name() {
    let (hub, mut alice, bob) = pair(CLASSICAL);
    let good = alice.offer(Change::default());
    let mut forged = good.clone();
    // A changed confirmation tag isn't under the MLS signature; the device's own signature covers it.
    let middle = forged.commit.len() - 10;
    forged.commit[middle] ^= 1;
    assert!(matches!(hub.check(&forged), Err(Refusal::Signature | Refusal::Malformed { .. })));
    let refusal = hub.check(&CommitOffer { sender: bob.device, ..good.clone() }).unwrap_err();
    assert_eq!(refusal, Refusal::NotTheSender);
    let refusal = hub.check(&CommitOffer { signature: [1; 64], ..good }).unwrap_err();
    assert_eq!(refusal, Refusal::Signature);
}

#[test]
fn only_certified_devices_with_enough_lifetime_are_added() {
    let (mut hub, mut alice, _bob) = pair(CLASSICAL);
    let carol = Member::new("carol@beta.test", 3, CLASSICAL);
    let offer = alice.offer(Change { add: vec![carol.key_package(84)], ..Change::default() });
    let device = carol.device.clone();
    assert_eq!(hub.check(&offer).unwrap_err(), Refusal::NotCertified { device: device.clone() });
    hub.certified = certified(&[&carol]);
    assert!(hub.check(&offer).is_ok());
    alice.lost();
    for (days, source) in [(30, LifetimeError::Remaining), (100, LifetimeError::Range)] {
        let offer = alice.offer(Change { add: vec![carol.key_package(days)], ..Change::default() });
        assert_eq!(hub.check(&offer).unwrap_err(), Refusal::Lifetime { device: device.clone(), source });
        alice.lost();
    }
    let stranger = Member::new("carol@beta.test", 3, CLASSICAL);
    let offer = alice.offer(Change { add: vec![stranger.key_package(84)], ..Change::default() });
    assert_eq!(hub.check(&offer).unwrap_err(), Refusal::NotCertified { device });
}

#[test]
fn members_remove_only_their_own_and_change_no_context() {
    let (hub, mut alice, mut bob) = pair(CLASSICAL);
    let offer = bob.offer(Change { remove: vec![0], ..Change::default() });
    assert_eq!(hub.check(&offer).unwrap_err(), Refusal::Remove { device: alice.device.clone() });
    let offer = alice.offer(Change { unhub: true, ..Change::default() });
    assert_eq!(hub.check(&offer).unwrap_err(), Refusal::Proposal { kind: "GroupContextExtensions" });
    alice.lost();
    let offer = alice.offer_with_new_key();
    let (facts, _) = hub.view().check_commit(&offer).unwrap();
    assert_eq!(facts.committer_leaf, CommitterLeaf::Changed);
    assert_eq!(hub.check(&offer).unwrap_err(), Refusal::LeafChanged);
}

#[test]
fn a_new_group_is_one_member_with_the_hub_extension() {
    let engine = Engine::new().unwrap();
    let mut alice = Member::new("alice@alpha.test", 1, CLASSICAL);
    let (info, tree) = alice.create(&id());
    let other = GroupId::new([8; 16], 1, "alpha.test".parse().unwrap());
    assert_eq!(engine.create_group(&other, &info, &tree).unwrap_err(), CreateError::Context);
    assert_eq!(engine.create_group(&id(), &info, &[]).unwrap_err(), CreateError::Malformed("ratchet tree"));
    assert_eq!(engine.create_group(&id(), &[1], &tree).unwrap_err(), CreateError::Malformed("GroupInfo"));
    let created = engine.create_group(&id(), &info, &tree).unwrap();
    assert_eq!(created.creator.signature_key, alice.signature_key());
    let mut bob = Member::new("bob@alpha.test", 2, CLASSICAL);
    let (_, foreign) = bob.create(&id());
    assert!(matches!(engine.create_group(&id(), &info, &foreign), Err(CreateError::Invalid { .. })));
}

#[test]
fn key_packages_show_what_the_accounts_need() {
    let engine = Engine::new().unwrap();
    for suite in [POST_QUANTUM, CLASSICAL] {
        let bob = Member::new("bob@beta.test", 2, suite);
        let facts = engine.inspect_key_package(&bytes_of(&bob.key_package(84))).unwrap();
        assert_eq!((facts.device, facts.signature_key), (bob.device.clone(), bob.signature_key()));
        assert_eq!((facts.suite, facts.reuse), (u16::from(suite), Reuse::OneTime));
        assert_eq!(facts.lifetime.check(SystemClock.now()), Ok(()));
        let last = bytes_of(&bob.key_package_with(84, capabilities(suite), true));
        assert_eq!(engine.inspect_key_package(&last).unwrap().reuse, Reuse::LastResort);
    }
    let bob = Member::new("bob@beta.test", 2, CLASSICAL);
    let long = engine.inspect_key_package(&bytes_of(&bob.key_package(100))).unwrap();
    assert_eq!(long.lifetime.check(SystemClock.now()), Err(LifetimeError::Range));
    let plain = bob.key_package_with(84, Capabilities::default(), false);
    assert_eq!(engine.inspect_key_package(&bytes_of(&plain)), Err(KeyPackageError::Capabilities));
    let mut other = Member::new(
        "bob@beta.test",
        2,
        openmls::prelude::Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519,
    );
    let foreign = other.key_package(84);
    assert_eq!(engine.inspect_key_package(&bytes_of(&foreign)), Err(KeyPackageError::Suite));
    other.device.device = qpq_core::DeviceId::from_bytes([9; 16]);
    assert_eq!(engine.inspect_key_package(b"no"), Err(KeyPackageError::Malformed));
}
