//! A log whose witnesses answer early, late, wrongly or not at all, judged by what a contact verifies.

use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use qpq_core::{AccountId, DeviceId, IdentityKey, Secret, SignatureKey};
use qpq_storage::{Storage, memory::MemoryStorage};
use qpq_transparency_tree::{
    WitnessSigner,
    commitment::Opening,
    config::KeyUse,
    label::Label,
    lookup::{Asker, Binding, PinnedLog, Question, Verified, View, verify},
    policy::Level,
    value::{self, AccountValue, LoggedDevice, Status, signed_bytes},
};

use super::*;
use crate::{
    LogSeeds, WitnessKey, accounts,
    fickle::{Fickle, KEPT, KEPT_UNSAID, LOST},
    lookup::Answered,
    mirror, witness,
};

mod lookups;
mod resets;
mod rounds;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const OPENING: Opening = Opening::from_bytes([7; 16]);

/// The log of `alpha.test`.
struct World {
    storage: MemoryStorage,
    disk: Arc<Fickle>,
    keys: LogKeys,
    now: Timestamp,
    pinned: PinnedLog,
}

fn label(user: u8) -> Label {
    Label::of(&format!("user{user}@alpha.test").parse().unwrap())
}

fn witness_key(n: u8) -> WitnessKey {
    WitnessKey::new(&format!("w{n}.test").parse().unwrap(), &Secret::new([n; 32]))
}

fn vkey(n: u8) -> VerifierKey {
    witness_key(n).signer().verifier().clone()
}

impl World {
    async fn new() -> Self {
        let (storage, disk) = Fickle::storage();
        let seeds = LogSeeds { log: Secret::new([1; 32]), vrf: Secret::new([2; 32]) };
        let keys = LogKeys::new(&"alpha.test".parse().unwrap(), &seeds);
        let pinned = PinnedLog::first_seen(keys.log().verifier().clone());
        let world = Self { storage, disk, keys, now: NOW, pinned };
        let mut tx = world.storage.write().await.unwrap();
        let federation = (KeyUse::Federation, SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes());
        let domain_keys = [world.keys.public().as_slice(), &[federation]].concat();
        configuration::log(tx.as_mut(), &world.keys, &domain_keys, OPENING, NOW).await.unwrap();
        tx.commit().await.unwrap();
        world
    }

    async fn names(&self, witnesses: &[u8]) -> bool {
        let mut tx = self.storage.write().await.unwrap();
        let witnesses = witnesses.iter().map(|n| vkey(*n)).collect();
        let named = configuration::name_witnesses(tx.as_mut(), &self.keys, witnesses, OPENING, self.now);
        let named = named.await.unwrap().unwrap();
        tx.commit().await.unwrap();
        named.is_some()
    }

    /// A user's next version by the key of this number.
    async fn signed(&self, user: u8, key: u8, reason: Reason) -> SignedValue {
        let mut tx = self.storage.read().await.unwrap();
        let place = accounts::place(tx.as_mut(), self.keys.place(&label(user)).unwrap().0).await.unwrap();
        let key = SigningKey::from_bytes(&[key; 32]);
        let device = LoggedDevice {
            device: DeviceId::from_bytes([1; 16]),
            signature_key: SignatureKey::from_bytes([4; 32]),
            added_in: place.version,
        };
        let identity = IdentityKey::from_bytes(key.verifying_key().to_bytes());
        let account = AccountId::from_bytes([5; 16]);
        let value = AccountValue::new(account, identity, Status::Active, reason, vec![device]).unwrap();
        let standing = value::Standing {
            origin: self.keys.origin(),
            label_id: place.label_id,
            version: place.version,
            prev: place.prev,
        };
        let by_self = Some(key.sign(&signed_bytes(&standing, &value)).to_bytes());
        SignedValue { value, by_previous: None, by_self }
    }

    async fn registers(&self, user: u8) {
        let signed = self.signed(user, user, Reason::Registration).await;
        let mut tx = self.storage.write().await.unwrap();
        accounts::bind(tx.as_mut(), &self.keys, &label(user), &signed, OPENING, self.now)
            .await
            .unwrap()
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn announces(&self, user: u8) -> u64 {
        let mut tx = self.storage.write().await.unwrap();
        let announced =
            accounts::announce_reset(tx.as_mut(), &self.keys, &label(user), OPENING, self.now).await;
        tx.commit().await.unwrap();
        announced.unwrap().unwrap().head.size - 1
    }

    /// Whether the log takes a reset of a user's key now.
    async fn resets(&self, user: u8) -> bool {
        let mut tx = self.storage.write().await.unwrap();
        let signed = self.signed(user, user + 100, Reason::Reset).await;
        let (label, keys) = (label(user), &self.keys);
        let bound = accounts::bind(tx.as_mut(), keys, &label, &signed, OPENING, self.now).await.unwrap();
        tx.commit().await.unwrap();
        bound.is_ok()
    }

    async fn seen(&self, index: u64) -> Option<SignedCheckpoint> {
        let note = self.storage.read().await.unwrap().kt_seen(index).await.unwrap();
        note.map(|note| SignedCheckpoint::parse(note.as_bytes()).unwrap())
    }

    /// What witnesses are asked now.
    async fn round(&self) -> SignedCheckpoint {
        request(self.storage.read().await.unwrap().as_mut(), 0).await.unwrap().unwrap().checkpoint
    }

    async fn takes(
        &self,
        fate: u8,
        witness: &VerifierKey,
        checkpoint: &SignedCheckpoint,
        answer: &[NoteSignature],
    ) -> Stored<Result<Taken, NotTaken>> {
        self.disk.will(fate);
        let mut tx = self.storage.write().await?;
        let taken = take(tx.as_mut(), &self.keys, witness, checkpoint, answer, self.now).await?;
        let committed = tx.commit().await;
        self.disk.will(KEPT);
        committed.map(|()| taken)
    }

    /// Takes a witness's signature of now.
    async fn signs(&self, n: u8, checkpoint: &SignedCheckpoint) -> Taken {
        let signature = checkpoint.cosign(witness_key(n).signer(), self.now);
        self.takes(KEPT, &vkey(n), checkpoint, &[signature]).await.unwrap().unwrap()
    }

    async fn cosigned(&self) -> Option<SignedCheckpoint> {
        let head = self.storage.read().await.unwrap().kt_cosigned().await.unwrap();
        head.map(|head| SignedCheckpoint::parse(head.note.as_bytes()).unwrap())
    }

    async fn cosigned_size(&self) -> u64 {
        self.cosigned().await.map_or(0, |cosigned| cosigned.head().size)
    }

    /// What somebody verifies of a user who has seen the log so far; `None` if it is pending.
    async fn asks_as(&self, pinned: &PinnedLog, user: u8, asker: Asker) -> Option<Verified> {
        let mut tx = self.storage.read().await.unwrap();
        let view = View::of(Some(pinned), None);
        let answer = lookup::answer(tx.as_mut(), &self.keys, &label(user), view, asker, self.now).await;
        match answer.unwrap().unwrap() {
            Answered::Pending => None,
            Answered::Lookup(answer) => {
                let question = Question { label: &label(user), asker, known: None };
                Some(verify(pinned, &question, &answer, self.now).unwrap())
            }
        }
    }

    /// The same for a contact elsewhere who sees the log for the first time, and how much of it.
    async fn stranger_sees(&self, user: u8) -> Option<(bool, u64, Level)> {
        let pinned = PinnedLog::first_seen(self.keys.log().verifier().clone());
        let seen = self.asks_as(&pinned, user, Asker::Foreign).await?;
        let bound = matches!(seen.binding, Binding::Keys(_));
        Some((bound, seen.log.head.unwrap().size, seen.trust.level))
    }
}
