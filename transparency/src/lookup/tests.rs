//! Answers over many sizes of a log: what is proven of one label while others come.

use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;
use qpq_core::{AccountId, DeviceId, IdentityKey, Secret, SignatureKey};
use qpq_storage::{Storage, memory::MemoryStorage};
use qpq_transparency_tree::{
    config::KeyUse,
    is_consistent,
    lookup::{Binding, PinnedLog, Question, verify},
    value::{AccountValue, LoggedDevice, Standing, Status, signed_bytes},
};

use super::*;
use crate::{LogSeeds, accounts, configuration};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn keys() -> LogKeys {
    let seeds = LogSeeds { log: Secret::new([1; 32]), vrf: Secret::new([2; 32]) };
    LogKeys::new(&"alpha.test".parse().unwrap(), &seeds)
}

fn label(user: u32) -> Label {
    Label::of(&format!("user{user}@alpha.test").parse().unwrap())
}

async fn registers(storage: &MemoryStorage, user: u32) {
    let keys = keys();
    let mut tx = storage.write().await.unwrap();
    let place = accounts::place(tx.as_mut(), keys.place(&label(user)).unwrap().0).await.unwrap();
    let mut seed = [3; 32];
    seed[..4].copy_from_slice(&user.to_be_bytes());
    let key = SigningKey::from_bytes(&seed);
    let device = LoggedDevice {
        device: DeviceId::from_bytes([1; 16]),
        signature_key: SignatureKey::from_bytes([4; 32]),
        added_in: 0,
    };
    let identity = IdentityKey::from_bytes(key.verifying_key().to_bytes());
    let account = AccountId::from_bytes([5; 16]);
    let value =
        AccountValue::new(account, identity, Status::Active, Reason::Registration, vec![device]).unwrap();
    let standing = Standing { origin: keys.origin(), label_id: place.label_id, version: 0, prev: place.prev };
    let by_self = Some(key.sign(&signed_bytes(&standing, &value)).to_bytes());
    let signed = SignedValue { value, by_previous: None, by_self };
    let opening = Opening::from_bytes([7; 16]);
    accounts::bind(tx.as_mut(), &keys, &label(user), &signed, opening, NOW).await.unwrap().unwrap();
    tx.commit().await.unwrap();
}

async fn begun() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let mut tx = storage.write().await.unwrap();
    let federation = (KeyUse::Federation, SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes());
    let domain_keys = [keys().public().as_slice(), &[federation]].concat();
    configuration::log(tx.as_mut(), &keys(), &domain_keys, Opening::from_bytes([0; 16]), NOW).await.unwrap();
    tx.commit().await.unwrap();
    storage
}

async fn answered(tx: &mut dyn ReadTx, keys: &LogKeys, label: &Label, view: View) -> LookupAnswer {
    match answer(tx, keys, label, view, Asker::Foreign, NOW).await.unwrap() {
        Some(Answered::Lookup(answer)) => *answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_label_of_a_growing_log_is_proven_to_whoever_saw_any_smaller_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (storage, keys) = (begun().await, keys());
        let mut views = vec![PinnedLog::first_seen(keys.log().verifier().clone())];
        for user in 0..300 {
            registers(&storage, user).await;
            if ![0, 1, 2, 62, 254, 255, 299].contains(&user) {
                continue;
            }
            let mut tx = storage.read().await.unwrap();
            let mut newest = None;
            for pinned in &views {
                for asked in [0, user / 2, user] {
                    let (label, view) = (label(asked), View::of(Some(pinned), None));
                    let answer = answered(tx.as_mut(), &keys, &label, view).await;
                    let question = Question { label: &label, asker: Asker::Foreign, known: None };
                    let verified = verify(pinned, &question, &answer, NOW).unwrap();
                    assert!(matches!(verified.binding, Binding::Keys(_)), "{asked} of {user}");
                    assert_eq!(answer.evidence.config.is_some(), pinned.config.is_none());
                    newest = Some(verified.log);
                }
            }
            let absent = answered(tx.as_mut(), &keys, &label(9_999), View::default()).await;
            assert_eq!(absent.latest, None);
            views.extend(newest);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_two_trees_of_a_log_are_consistent(sizes in prop::collection::vec(1_u32..40, 2..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let storage = begun().await;
            let (mut heads, mut user) = (Vec::new(), 0);
            for more in sizes {
                for _ in 0..more {
                    registers(&storage, user).await;
                    user += 1;
                }
                let note = storage.read().await.unwrap().kt_head().await.unwrap().unwrap().note;
                heads.push(SignedCheckpoint::parse(note.as_bytes()).unwrap().head());
            }
            let mut tx = storage.read().await.unwrap();
            for (at, new) in heads.iter().enumerate() {
                for old in &heads[..=at] {
                    let proof = consistency(tx.as_mut(), old.size, new.size).await.unwrap().unwrap();
                    assert!(is_consistent(old.size, &old.root, new.size, &new.root, &proof));
                }
                let beyond = consistency(tx.as_mut(), new.size, heads.last().unwrap().size + 1).await.unwrap();
                assert_eq!(beyond, None);
            }
        });
    }
}
