//! Conversations of several engines, with the hub's log played by the test.

use qpq_core::{Millis, Secret, limits};

use super::{
    testing::{Party, certificate, device, group_id, key_package, message_id, now, text},
    *,
};

const ALICE: &str = "alice@alpha.test";
const BOB: &str = "bob@beta.test";
const CAROL: &str = "carol@beta.test";

fn pair(suite: Suite) -> (Party, Party) {
    let mut alice = Party::creates(device(ALICE, 1), suite);
    let (bob, _) = alice.adds(device(BOB, 2), message_id(1));
    (alice, bob)
}

#[test]
fn two_devices_talk_both_ways_after_quantum_computers() {
    let (mut alice, mut bob) = pair(Suite::PostQuantum);
    assert_eq!(bob.group.suite(), Suite::PostQuantum);
    for round in 0..3 {
        let message = alice.says(&format!("to bob {round}"));
        assert_eq!(
            text(&bob.hears(&message)).unwrap(),
            (format!("to bob {round}"), alice.device.address().clone())
        );
        let message = bob.says("to alice");
        assert_eq!(text(&alice.hears(&message)).unwrap().1, *bob.device.address());
    }
    let members = alice.group.members().unwrap();
    assert_eq!(members, bob.group.members().unwrap());
    assert_eq!(members.len(), 2);
    assert_eq!(members[1].signature_key, bob.device.signature_key());
}

#[test]
fn a_crash_loses_nothing_that_was_saved() {
    let (mut alice, mut bob) = pair(Suite::Classical);
    let message = alice.says("first");
    alice.crashes();
    assert!(text(&bob.hears(&message)).is_some());
    // Bob's process decrypts and dies before it saves: the message comes again and is readable again.
    let message = alice.says("second");
    assert!(matches!(bob.group.decrypt(&message), Ok(Received::Content { .. })));
    bob.crashes();
    assert!(text(&bob.hears(&message)).is_some());
    // A staged commit survives as well, and its echo is recognised.
    let staged = alice.group.stage_update(&alice.device, message_id(2)).unwrap();
    alice.save();
    alice.crashes();
    assert!(alice.group.has_pending());
    let sender = alice.device.address().clone();
    assert!(alice.must_apply(&staged, &sender).own);
    bob.must_apply(&staged, &sender);
    bob.crashes();
    alice.crashes();
    let message = bob.says("third");
    assert!(text(&alice.hears(&message)).is_some());
}

#[test]
fn one_commit_wins_an_epoch_and_the_losers_rebase() {
    let (mut alice, mut bob) = pair(Suite::Classical);
    let (mut carol, add_carol) = alice.adds(device(CAROL, 3), message_id(2));
    let sender = alice.device.address().clone();
    bob.must_apply(&add_carol, &sender);

    let (package, verified) = key_package(&device("dave@alpha.test", 4), Suite::Classical);
    let from_bob =
        bob.group.stage_add(&bob.device, message_id(3), std::slice::from_ref(&verified), &[]).unwrap();
    let from_carol = carol.group.stage_update(&carol.device, message_id(4)).unwrap();
    let from_alice = alice.group.stage_update(&alice.device, message_id(5)).unwrap();
    assert!(matches!(alice.group.stage_update(&alice.device, message_id(6)), Err(MlsError::PendingCommit)));

    let (alice_address, bob_address, carol_address) =
        (alice.device.address().clone(), bob.device.address().clone(), carol.device.address().clone());
    assert!(carol.must_apply(&from_carol, &carol_address).own);
    for loser in [&mut alice, &mut bob] {
        let facts = loser.must_apply(&from_carol, &carol_address);
        assert!(facts.lost_pending && !facts.own);
        assert!(!loser.group.has_pending());
    }
    // What lost can't be applied later.
    assert_eq!(alice.applies(&from_alice, &alice_address), CommitOutcome::AlreadyProcessed);
    assert_eq!(carol.applies(&from_bob, &bob_address), CommitOutcome::AlreadyProcessed);

    let again = bob.group.stage_add(&bob.device, message_id(7), &[verified], &[]).unwrap();
    for member in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(member.must_apply(&again, &bob_address).added.len(), 1);
    }
    let mut dave = Party::joins(device("dave@alpha.test", 4), &again, &bob.tree(), &package.secret);
    let message = dave.says("hello all");
    for member in [&mut alice, &mut bob, &mut carol] {
        assert!(text(&member.hears(&message)).is_some());
    }
}

#[test]
fn a_refused_commit_is_discarded_and_another_can_be_staged() {
    let (mut alice, _) = pair(Suite::Classical);
    alice.group.stage_update(&alice.device, message_id(2)).unwrap();
    alice.group.discard_pending().unwrap();
    assert!(!alice.group.has_pending());
    alice.group.stage_update(&alice.device, message_id(3)).unwrap();
}

#[test]
fn a_late_joiner_reads_what_came_after_its_welcome() {
    let (mut alice, mut bob) = pair(Suite::Classical);
    let (alice_address, bob_address) = (alice.device.address().clone(), bob.device.address().clone());
    let carol = device(CAROL, 3);
    let (package, verified) = key_package(&carol, Suite::Classical);
    let add = alice.group.stage_add(&alice.device, message_id(2), &[verified], &[]).unwrap();
    alice.must_apply(&add, &alice_address);
    bob.must_apply(&add, &alice_address);
    let tree = alice.tree();
    let between = bob.says("while carol was away");
    let update = bob.group.stage_update(&bob.device, message_id(3)).unwrap();
    bob.must_apply(&update, &bob_address);
    alice.must_apply(&update, &bob_address);
    let after = alice.says("still away");

    let mut carol = Party::joins(carol, &add, &tree, &package.secret);
    assert!(text(&carol.hears(&between)).is_some());
    assert_eq!(carol.hears(&after), Received::NotYet { current: 2, needed: 3 });
    carol.must_apply(&update, &bob_address);
    assert!(text(&carol.hears(&after)).is_some());
    assert_eq!(carol.applies(&update, &bob_address), CommitOutcome::AlreadyProcessed);
}

#[test]
fn a_join_with_the_wrong_tree_or_no_key_fails_and_can_be_repeated() {
    let (mut alice, _) = pair(Suite::Classical);
    let before = alice.tree();
    let carol = device(CAROL, 3);
    let (package, verified) = key_package(&carol, Suite::Classical);
    let add = alice.group.stage_add(&alice.device, message_id(2), &[verified], &[]).unwrap();
    let address = alice.device.address().clone();
    alice.must_apply(&add, &address);
    let stock = [package.secret];
    assert_eq!(welcome_references(&add.welcome).unwrap(), [stock[0].reference.clone()]);
    assert!(matches!(Group::join(&add.welcome, &alice.tree(), &[]), Err(JoinError::NoKeyPackage)));
    assert!(matches!(Group::join(&add.welcome, &before, &stock), Err(JoinError::Invalid(_))));
    assert!(Group::join(&add.welcome, b"no tree", &stock).is_err());
    let joined = Group::join(&add.welcome, &alice.tree(), &stock).unwrap();
    assert_eq!(joined.sender.device, address);
}

#[test]
fn a_last_resort_package_is_not_used_up() {
    let (mut alice, _) = pair(Suite::Classical);
    let carol = device(CAROL, 3);
    let package = new_key_package(&carol, Suite::Classical, StockKind::LastResort, now()).unwrap();
    let claimed = Claimed { certificate: certificate(&carol), key_package: package.key_package };
    let verified = verify_key_package(&claimed, Suite::Classical, now()).unwrap();
    let (joined, address) = {
        let add = alice.group.stage_add(&alice.device, message_id(2), &[verified], &[]).unwrap();
        let address = alice.device.address().clone();
        alice.must_apply(&add, &address);
        (Group::join(&add.welcome, &alice.tree(), &[package.secret]).unwrap(), address)
    };
    assert_eq!(joined.used, None);
    assert_eq!(joined.sender.device, address);
    let mut carol = Party::new(carol, joined.group);
    carol.crashes();
    let message = alice.says("hello");
    assert!(text(&carol.hears(&message)).is_some());
}

#[test]
fn a_group_that_lies_about_its_hub_is_not_joined() {
    let alice = device(ALICE, 1);
    let other = qpq_core::GroupId::new([9; 16], 2, "gamma.test".parse().unwrap());
    let provider = provider::Provider::new(std::collections::HashMap::new()).unwrap();
    let config = suite::create_config(&other, Suite::Classical, now()).unwrap();
    let mls = openmls::group::MlsGroup::new_with_group_id(
        &provider,
        &alice,
        &config,
        group::mls_id(&group_id()),
        alice.credential(),
    )
    .unwrap();
    let mut liar = Group::joined(group_id(), mls, provider);
    let (package, verified) = key_package(&device(BOB, 2), Suite::Classical);
    let add = liar.stage_add(&alice, message_id(1), &[verified], &[]).unwrap();
    let pending = liar.mls.merge_pending_commit(&liar.provider);
    pending.unwrap();
    let tree = liar.export(&alice).unwrap().ratchet_tree;
    assert!(matches!(Group::join(&add.welcome, &tree, &[package.secret]), Err(JoinError::Hub)));
}

#[test]
fn a_commit_that_its_sender_did_not_sign_is_refused_and_changes_nothing() {
    let (mut alice, mut bob) = pair(Suite::Classical);
    let sender = alice.device.address().clone();
    let staged = alice.group.stage_update(&alice.device, message_id(2)).unwrap();
    let mut forged = staged.clone();
    forged.signature[0] ^= 1;
    let another_id = StagedCommit { id: message_id(3), ..staged.clone() };
    for bad in [&forged, &another_id] {
        assert_eq!(bob.applies(bad, &sender), CommitOutcome::Refused(CommitRefusal::Signature));
    }
    let bob_address = bob.device.address().clone();
    assert_eq!(bob.applies(&staged, &bob_address), CommitOutcome::Refused(CommitRefusal::Signature));
    let stranger = device(CAROL, 3).address().clone();
    assert_eq!(bob.applies(&staged, &stranger), CommitOutcome::Refused(CommitRefusal::Sender));
    let mut damaged = staged.clone();
    let last = damaged.commit.len() - 1;
    damaged.commit[last] ^= 1;
    damaged.signature = alice.device.sign(&qpq_core::mls::commit_signed_bytes(&damaged.id, &damaged.commit));
    assert!(matches!(bob.applies(&damaged, &sender), CommitOutcome::Refused(CommitRefusal::Invalid(_))));
    bob.must_apply(&staged, &sender);
}

#[test]
fn an_old_leaf_goes_and_its_device_comes_again_in_one_commit() {
    let (mut alice, mut bob) = pair(Suite::Classical);
    let (mut carol, add) = alice.adds(device(CAROL, 3), message_id(2));
    let sender = alice.device.address().clone();
    bob.must_apply(&add, &sender);
    let old = carol.group.own_leaf();
    // Carol's device lost its state; the same device comes back with a new KeyPackage.
    let (package, verified) = key_package(&carol.device, Suite::Classical);
    let again = alice.group.stage_add(&alice.device, message_id(3), &[verified], &[old]).unwrap();
    let facts = alice.must_apply(&again, &sender);
    assert_eq!((facts.added.len(), facts.removed.len()), (1, 1));
    assert_eq!(facts.added[0].device, *carol.device.address());
    assert_eq!(facts.removed[0].leaf, old);
    bob.must_apply(&again, &sender);
    assert!(carol.must_apply(&again, &sender).self_removed);
    assert!(!carol.group.is_active());
    assert!(matches!(carol.group.encrypt(&carol.device, &Content::text("x", now())), Err(MlsError::Removed)));
    let mut carol = Party::joins(device(CAROL, 3), &again, &alice.tree(), &package.secret);
    let message = carol.says("back again");
    assert!(text(&bob.hears(&message)).is_some());
}

#[test]
fn nobody_removes_another_account_without_adding_it() {
    let (mut alice, mut bob) = pair(Suite::Classical);
    let (mut carol, add) = alice.adds(device(CAROL, 3), message_id(2));
    let sender = alice.device.address().clone();
    bob.must_apply(&add, &sender);
    let leaf = carol.group.own_leaf();
    let staged = bob.group.stage_remove(&bob.device, message_id(3), &[leaf]).unwrap();
    let bob_address = bob.device.address().clone();
    for member in [&mut alice, &mut carol] {
        assert_eq!(member.applies(&staged, &bob_address), CommitOutcome::Refused(CommitRefusal::Remove));
    }
    // The same commit by another device of the account is fine.
    let (mut second, add) = carol.adds(device(CAROL, 4), message_id(4));
    let carol_address = carol.device.address().clone();
    alice.must_apply(&add, &carol_address);
    let staged = second.group.stage_remove(&second.device, message_id(5), &[leaf]).unwrap();
    let second_address = second.device.address().clone();
    assert_eq!(second.must_apply(&staged, &second_address).removed.len(), 1);
    assert_eq!(alice.must_apply(&staged, &second_address).removed.len(), 1);
}

#[test]
fn messages_are_sorted_by_what_can_be_done_about_them() {
    let (mut alice, mut bob) = pair(Suite::Classical);
    let old = alice.says("old");
    let mine = alice.hears(&old);
    assert_eq!(mine, Received::Own);
    let sender = alice.device.address().clone();
    for n in 0..5 {
        let update = alice.group.stage_update(&alice.device, message_id(10 + n)).unwrap();
        alice.must_apply(&update, &sender);
        bob.must_apply(&update, &sender);
    }
    // Five epochs behind is readable, once.
    assert!(text(&bob.hears(&old)).is_some());
    assert_eq!(bob.hears(&old), Received::AlreadyProcessed);
    let older = old;
    let update = alice.group.stage_update(&alice.device, message_id(20)).unwrap();
    alice.must_apply(&update, &sender);
    let overtaken = bob.says("overtaken by the commit");
    assert!(text(&alice.hears(&overtaken)).is_some());
    bob.must_apply(&update, &sender);
    assert_eq!(bob.hears(&older), Received::TooOld { epoch: 1 });
    let mut damaged = alice.says("damaged");
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert!(matches!(bob.hears(&damaged), Received::Refused(_)));
    assert!(matches!(bob.hears(b"garbage"), Received::Refused(_)));
    assert!(matches!(bob.hears(&update.commit), Received::Refused(_)));
}

#[test]
fn an_unknown_kind_is_kept_and_a_foreign_layout_reported() {
    let (mut alice, mut bob) = pair(Suite::Classical);
    let content = Content { kind: ContentKind::Unknown { kind: 77, body: vec![1, 2] }, sent_at: now() };
    let message = alice.group.encrypt(&alice.device, &content).unwrap();
    let Received::Content { content: seen, .. } = bob.hears(&message) else { panic!("unreadable") };
    assert_eq!(seen, content);
    let raw = alice.mls_message(b"\x09something newer");
    assert!(matches!(bob.hears(&raw), Received::Unreadable { why: ContentError::Version(9), .. }));
}

#[test]
fn a_key_package_is_taken_only_for_what_the_certificate_says() {
    let (carol, other) = (device(CAROL, 3), device(CAROL, 4));
    let suite = Suite::Classical;
    let package = new_key_package(&carol, suite, StockKind::OneTime, now()).unwrap();
    let good = Claimed { certificate: certificate(&carol), key_package: package.key_package };
    assert_eq!(verify_key_package(&good, suite, now()).unwrap().device(), carol.address());
    let refused = |claimed: &Claimed, suite, at| verify_key_package(claimed, suite, at).unwrap_err();
    assert_eq!(refused(&good, Suite::PostQuantum, now()), KeyPackageRefused::Suite);
    let wrong_device = Claimed { certificate: certificate(&other), ..good.clone() };
    assert_eq!(refused(&wrong_device, suite, now()), KeyPackageRefused::Device);
    let mut wrong_key = good.clone();
    wrong_key.certificate.signature_key = other.signature_key();
    assert_eq!(refused(&wrong_key, suite, now()), KeyPackageRefused::Key);
    let late = now().after(limits::KEY_PACKAGE_LIFETIME).before(limits::KEY_PACKAGE_REMAINING);
    assert_eq!(refused(&good, suite, late), KeyPackageRefused::Lifetime);
    assert!(verify_key_package(&good, suite, late.before(Millis::from_days(1))).is_ok());
    let mut damaged = good;
    let last = damaged.key_package.len() - 1;
    damaged.key_package[last] ^= 1;
    assert!(matches!(refused(&damaged, suite, now()), KeyPackageRefused::Invalid(_)));
}

#[test]
fn a_damaged_state_is_said_to_be_damaged() {
    assert!(matches!(Group::load(&group_id(), Vec::new()), Err(MlsError::Damaged { .. })));
    let (carol, _) = key_package(&device(CAROL, 3), Suite::Classical);
    let broken = KeyPackageSecret { private: Secret::new(b"{".to_vec()), ..carol.secret };
    assert!(matches!(broken.values(), Err(MlsError::Damaged { .. })));
}

/// The figure that the design holds: what one message writes in a group of 100.
#[test]
fn a_message_in_a_group_of_a_hundred_writes_little() {
    let mut alice = Party::creates(device(ALICE, 1), Suite::Classical);
    let address = alice.device.address().clone();
    let (mut bob, _) = alice.adds(device(BOB, 2), message_id(1));
    for batch in 0..4_u8 {
        let count = if batch == 3 { 23 } else { 25 };
        let adds: Vec<_> = (0..count)
            .map(|n| {
                key_package(
                    &device(&format!("user{}@gamma.test", u32::from(batch) * 25 + n), 5),
                    Suite::Classical,
                )
                .1
            })
            .collect();
        let staged = alice.group.stage_add(&alice.device, message_id(10 + batch), &adds, &[]).unwrap();
        alice.must_apply(&staged, &address);
        bob.must_apply(&staged, &address);
    }
    for n in 0..5 {
        let update = alice.group.stage_update(&alice.device, message_id(20 + n)).unwrap();
        alice.must_apply(&update, &address);
        bob.must_apply(&update, &address);
    }
    assert_eq!(bob.group.members().unwrap().len(), 100);
    let update = alice.group.stage_update(&alice.device, message_id(40)).unwrap();
    let staged = alice.save().bytes();
    alice.must_apply(&update, &address);
    let commit =
        LogCommit { id: &update.id, commit: &update.commit, sender: &address, signature: &update.signature };
    bob.group.apply_commit(&commit).unwrap();
    println!("a commit: {staged} bytes staged, {} applied", bob.save().bytes());
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for n in 0..12 {
        let content = Content::text(format!("message {n}"), now());
        let message = alice.group.encrypt(&alice.device, &content).unwrap();
        sent.push(alice.save().bytes());
        assert!(matches!(bob.group.decrypt(&message), Ok(Received::Content { .. })));
        received.push(bob.save().bytes());
    }
    println!("bytes of MLS state written in a group of 100: sent {sent:?}, received {received:?}");
    let total = |bytes: &[usize]| bytes.iter().sum::<usize>() / bytes.len();
    assert!(total(&sent) <= 2 * 1_024, "sent: {sent:?}");
    assert!(total(&received) <= 3 * 1_024, "received: {received:?}");
}
