//! Accounts in a log, from their first version to their end, judged by what a contact verifies.

use ed25519_dalek::{Signer as _, SigningKey};
use qpq_core::{DeviceId, Millis, Secret, SignatureKey};
use qpq_storage::{Storage, memory::MemoryStorage};
use qpq_transparency_tree::{
    config::KeyUse,
    lookup::{
        Asker, Binding, KeyChange, KnownLabel, LookupError, PinnedLog, Question, Verified, View, verify,
    },
    value::{LoggedDevice, Standing, signed_bytes},
};

use super::*;
use crate::{LogSeeds, lookup};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DAY: Millis = Millis::from_days(1);

struct World {
    storage: MemoryStorage,
    keys: LogKeys,
    now: Timestamp,
    pinned: PinnedLog,
    known: Option<KnownLabel>,
}

fn label() -> Label {
    Label::of(&"alice@alpha.test".parse().unwrap())
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn device(n: u8, added_in: u32) -> LoggedDevice {
    let signature_key = SignatureKey::from_bytes(key(n).verifying_key().to_bytes());
    LoggedDevice { device: DeviceId::from_bytes([n; 16]), signature_key, added_in }
}

impl World {
    async fn new() -> Self {
        let seeds = LogSeeds { log: Secret::new([1; 32]), vrf: Secret::new([2; 32]) };
        let keys = LogKeys::new(&"alpha.test".parse().unwrap(), &seeds);
        let pinned = PinnedLog::first_seen(keys.log().verifier().clone());
        let world = Self { storage: MemoryStorage::new(), keys, now: NOW, pinned, known: None };
        let mut tx = world.storage.write().await.unwrap();
        let federation = (KeyUse::Federation, key(9).verifying_key().to_bytes());
        let domain_keys = [world.keys.public().as_slice(), &[federation]].concat();
        let opening = Opening::from_bytes([0; 16]);
        configuration::log(tx.as_mut(), &world.keys, &domain_keys, opening, NOW).await.unwrap();
        tx.commit().await.unwrap();
        world
    }

    /// A version as its owner signs it; `previous` is the key before, where it signs, too.
    async fn signed(
        &self,
        reason: Reason,
        identity: &SigningKey,
        previous: Option<&SigningKey>,
        devices: Vec<LoggedDevice>,
    ) -> SignedValue {
        let mut tx = self.storage.read().await.unwrap();
        let place = place(tx.as_mut(), self.keys.place(&label()).unwrap().0).await.unwrap();
        let account = AccountId::from_bytes([5; 16]);
        let public = IdentityKey::from_bytes(identity.verifying_key().to_bytes());
        let status = reason.status().unwrap_or(Status::Active);
        let value = AccountValue::new(account, public, status, reason, devices).unwrap();
        let standing = Standing {
            origin: self.keys.origin(),
            label_id: place.label_id,
            version: place.version,
            prev: place.prev,
        };
        let sign = |key: &SigningKey| key.sign(&signed_bytes(&standing, &value)).to_bytes();
        SignedValue { by_previous: previous.map(sign), by_self: Some(sign(identity)), value: value.clone() }
    }

    async fn bind(&self, signed: &SignedValue) -> Result<Appended, NotLogged> {
        let mut tx = self.storage.write().await.unwrap();
        let opening = Opening::from_bytes([7; 16]);
        let may = may_bind(tx.as_mut(), &self.keys, &label(), signed, self.now).await.unwrap();
        let bound = bind(tx.as_mut(), &self.keys, &label(), signed, opening, self.now).await.unwrap();
        assert_eq!(may.is_ok(), bound.is_ok(), "both judge the same");
        tx.commit().await.unwrap();
        bound
    }

    async fn announce(&self) -> Result<Appended, NotLogged> {
        let mut tx = self.storage.write().await.unwrap();
        let opening = Opening::from_bytes([8; 16]);
        let announced = announce_reset(tx.as_mut(), &self.keys, &label(), opening, self.now).await.unwrap();
        tx.commit().await.unwrap();
        announced
    }

    async fn close(&self) -> Option<Appended> {
        let mut tx = self.storage.write().await.unwrap();
        let opening = Opening::from_bytes([9; 16]);
        let closed = close(tx.as_mut(), &self.keys, &label(), opening, self.now).await.unwrap();
        tx.commit().await.unwrap();
        closed
    }

    /// What a contact verifies now, who keeps what was verified.
    async fn asks(&mut self) -> Result<Verified, LookupError> {
        let verified = self.asks_as(&self.pinned, self.known.as_ref()).await?;
        self.pinned = verified.log.clone();
        self.known = verified.label;
        Ok(verified)
    }

    async fn asks_as(&self, pinned: &PinnedLog, known: Option<&KnownLabel>) -> Result<Verified, LookupError> {
        let mut tx = self.storage.read().await.unwrap();
        let view = View::of(Some(pinned), known);
        let asker = Asker::Foreign;
        let answer = lookup::answer(tx.as_mut(), &self.keys, &label(), view, asker, self.now).await.unwrap();
        let Some(lookup::Answered::Lookup(answer)) = answer else { panic!("{answer:?}") };
        let question = Question { label: &label(), asker: Asker::Foreign, known };
        verify(pinned, &question, &answer, self.now)
    }

    /// The same for somebody who has seen nothing so far.
    async fn stranger(&self) -> Result<Verified, LookupError> {
        self.asks_as(&PinnedLog::first_seen(self.keys.log().verifier().clone()), None).await
    }
}

fn bound(verified: &Verified) -> (u32, KeyChange, Vec<DeviceId>) {
    let Binding::Keys(value) = &verified.binding else { panic!("{:?}", verified.binding) };
    let devices = value.devices().iter().map(|device| device.device).collect();
    (verified.label.unwrap().version, verified.change, devices)
}

#[tokio::test]
async fn a_contact_follows_an_account_through_its_versions() {
    let mut world = World::new().await;
    assert_eq!(world.asks().await.unwrap().binding, Binding::Absent);
    let (old, new) = (key(3), key(4));
    let first = world.signed(Reason::Registration, &old, None, vec![device(1, 0)]).await;
    world.bind(&first).await.unwrap();
    let one = DeviceId::from_bytes([1; 16]);
    let two = DeviceId::from_bytes([2; 16]);
    assert_eq!(bound(&world.asks().await.unwrap()), (0, KeyChange::First, vec![one]));
    assert_eq!(bound(&world.asks().await.unwrap()), (0, KeyChange::Same, vec![one]));
    let more = world.signed(Reason::Devices, &old, Some(&old), vec![device(1, 0), device(2, 1)]).await;
    world.bind(&more).await.unwrap();
    assert_eq!(bound(&world.asks().await.unwrap()), (1, KeyChange::Same, vec![one, two]));
    let rotated = world.signed(Reason::Rotation, &new, Some(&old), vec![device(2, 1)]).await;
    world.bind(&rotated).await.unwrap();
    let fewer = world.signed(Reason::Devices, &new, Some(&new), vec![device(2, 1)]).await;
    world.bind(&fewer).await.unwrap();
    assert_eq!(bound(&world.asks().await.unwrap()), (3, KeyChange::Rotated, vec![two]));
    assert_eq!(bound(&world.stranger().await.unwrap()), (3, KeyChange::First, vec![two]));
    let revoked = world.signed(Reason::Revocation, &new, Some(&new), vec![]).await;
    world.bind(&revoked).await.unwrap();
    let Binding::Keys(value) = world.asks().await.unwrap().binding else { panic!() };
    assert_eq!(value.status(), Status::Revoked);
}

#[tokio::test]
async fn what_a_contact_would_refuse_is_not_logged() {
    let world = World::new().await;
    let (owner, thief) = (key(3), key(6));
    let first = world.signed(Reason::Registration, &owner, None, vec![device(1, 0)]).await;
    world.bind(&first).await.unwrap();
    let refused = |bound: Result<Appended, NotLogged>| match bound.unwrap_err() {
        NotLogged::Succession(error) => error,
        NotLogged::NoPlace => panic!("no place"),
    };
    assert_eq!(
        refused(world.bind(&first).await),
        SuccessionError::Reason { previous: Some(Reason::Registration), next: Reason::Registration }
    );
    let ghost = world.signed(Reason::Devices, &thief, Some(&thief), vec![device(1, 0), device(8, 1)]).await;
    assert_eq!(refused(world.bind(&ghost).await), SuccessionError::Identity);
    let stolen = world.signed(Reason::Rotation, &thief, Some(&thief), vec![device(8, 1)]).await;
    assert_eq!(refused(world.bind(&stolen).await), SuccessionError::SignedByPrevious);
    let reset = world.signed(Reason::Reset, &thief, None, vec![device(8, 1)]).await;
    assert!(matches!(refused(world.bind(&reset).await), SuccessionError::Reason { .. }));
    let stale = world.signed(Reason::Devices, &owner, Some(&owner), vec![device(1, 0), device(2, 1)]).await;
    world.bind(&stale).await.unwrap();
    assert_eq!(
        refused(world.bind(&stale).await),
        SuccessionError::SignedByPrevious,
        "it was signed for another place"
    );
    let mut tx = world.storage.read().await.unwrap();
    assert_eq!(tx.kt_head().await.unwrap().unwrap().size, 3);
}

#[tokio::test]
async fn a_reset_waits_a_day_and_can_be_refused_by_the_key_that_is_there() {
    let mut world = World::new().await;
    let (old, new) = (key(3), key(4));
    let first = world.signed(Reason::Registration, &old, None, vec![device(1, 0)]).await;
    world.bind(&first).await.unwrap();
    world.asks().await.unwrap();
    world.announce().await.unwrap();
    assert!(world.announce().await.is_err(), "once is enough");
    let Verified { change, .. } = world.asks().await.unwrap();
    assert_eq!(change, KeyChange::Same, "an announcement changes nothing");
    let cancelled = world.signed(Reason::ResetCancelled, &old, Some(&old), vec![device(1, 0)]).await;
    world.bind(&cancelled).await.unwrap();
    world.announce().await.unwrap();
    world.now = world.now.after(DAY).before(Millis(1));
    let early = world.signed(Reason::Reset, &new, None, vec![device(2, 4)]).await;
    assert_eq!(world.bind(&early).await, Err(SuccessionError::TooEarly.into()));
    world.now = world.now.after(Millis(1));
    world.bind(&early).await.unwrap();
    let two = DeviceId::from_bytes([2; 16]);
    assert_eq!(bound(&world.asks().await.unwrap()), (4, KeyChange::Reset, vec![two]));
    assert_eq!(bound(&world.stranger().await.unwrap()), (4, KeyChange::First, vec![two]));
}

#[tokio::test]
async fn a_closed_account_is_erased_and_others_are_proven_as_before() {
    let mut world = World::new().await;
    let (old, new) = (key(3), key(4));
    assert_eq!(world.close().await, None, "nobody was there");
    let first = world.signed(Reason::Registration, &old, None, vec![device(1, 0)]).await;
    world.bind(&first).await.unwrap();
    world.asks().await.unwrap();
    assert!(world.close().await.is_some());
    assert_eq!(world.close().await, None, "once is enough");
    assert_eq!(world.asks().await.unwrap().binding, Binding::Closed);
    let mut tx = world.storage.read().await.unwrap();
    for index in 1..3 {
        assert_eq!(tx.kt_contents(index).await.unwrap(), None);
    }
    assert!(tx.kt_contents(0).await.unwrap().is_some(), "the CONFIG stays");
    drop(tx);
    // The name is somebody else's a day after that was announced, and contacts see that it is.
    let early = world.signed(Reason::Registration, &new, None, vec![device(2, 2)]).await;
    assert!(world.bind(&early).await.is_err());
    world.announce().await.unwrap();
    assert_eq!(world.asks().await.unwrap().binding, Binding::Closed);
    world.now = world.now.after(DAY);
    let reset = world.signed(Reason::Reset, &new, None, vec![device(2, 3)]).await;
    world.bind(&reset).await.unwrap();
    let two = DeviceId::from_bytes([2; 16]);
    assert_eq!(bound(&world.asks().await.unwrap()), (3, KeyChange::Reset, vec![two]));
    assert_eq!(bound(&world.stranger().await.unwrap()), (3, KeyChange::First, vec![two]));
}

#[tokio::test]
async fn contents_that_were_changed_are_not_told() {
    let world = World::new().await;
    let first = world.signed(Reason::Registration, &key(3), None, vec![device(1, 0)]).await;
    world.bind(&first).await.unwrap();
    let mut tx = world.storage.write().await.unwrap();
    let label_id = world.keys.place(&label()).unwrap().0;
    assert!(newest(tx.as_mut(), label_id).await.unwrap().is_some());
    assert_eq!(tx.kt_erase(label_id.as_bytes()).await.unwrap(), 1);
    let erased = newest(tx.as_mut(), label_id).await.unwrap().unwrap();
    assert_eq!(erased.contents, None);
    assert!(erased.is_closed(), "of whom nothing is known any more, nothing counts");
}
