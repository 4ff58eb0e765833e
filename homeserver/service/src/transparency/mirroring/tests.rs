//! Mirrors of a peer's log, whatever the peer gives.

use std::sync::Mutex;

use ed25519_dalek::SigningKey;
use qpq_core::Timestamp;
use qpq_storage::Mirrored;

use super::*;
use crate::{
    NoPeers, PeerCalls, PeerHealth,
    fixture::{Home, peer},
    transparency::witness::{
        Witness,
        tests::{Log, beta, witnessing},
    },
};

/// A peer that gives the entries of a log, at most so many at once.
#[derive(Debug)]
struct Giver {
    entries: Mutex<Vec<[u8; ENTRY_BYTES]>>,
    at_once: Mutex<usize>,
}

#[async_trait]
impl PeerCalls for Giver {
    async fn log_entries(
        &self,
        _: &Domain,
        _: &KeyName,
        first: u64,
        _: Timestamp,
    ) -> Result<Vec<[u8; ENTRY_BYTES]>, PeerCallError> {
        let entries = self.entries.lock().unwrap();
        let first = usize::try_from(first).unwrap();
        Ok(entries[first..].iter().take(*self.at_once.lock().unwrap()).copied().collect())
    }

    async fn health(&self, peer: &Domain) -> PeerHealth {
        NoPeers.health(peer).await
    }

    fn outbox_filled(&self, _: &[Domain]) {}

    async fn retry(&self, _: &Domain) {}

    fn peers_changed(&self) {}
}

async fn world(log: &Log) -> (Home, Witness, Arc<Giver>, Mirroring) {
    let (home, witness) = witnessing();
    let giver =
        Arc::new(Giver { entries: Mutex::new(log.entries().to_vec()), at_once: Mutex::new(LOG_ENTRIES) });
    home.ground.connect_peers(Arc::<Giver>::clone(&giver));
    let record = peer(&beta(), &SigningKey::from_bytes(&[7; 32]));
    home.writes(move |tx| {
        let record = record.clone();
        Box::pin(async move { tx.peer_store(&record).await })
    })
    .await;
    let mirroring = Mirroring::new(Arc::clone(&home.ground));
    (home, witness, giver, mirroring)
}

async fn cosigns(witness: &Witness, log: &Log, old: usize, new: usize) {
    let body = log.asks(old, new).to_string();
    witness.add_checkpoint(&beta(), &log.key(), body.as_bytes()).await.unwrap();
}

async fn mirrored(home: &Home) -> Mirrored {
    home.ground.read().await.unwrap().kt_mirrored("beta.test/kt/v1").await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_was_cosigned_is_copied_and_given_on() {
    let log = Log::of(200);
    let (home, witness, _, mut mirroring) = world(&log).await;
    mirroring.look().await.unwrap();
    assert_eq!(mirrored(&home).await.size, 0, "nothing was cosigned");
    cosigns(&witness, &log, 0, 150).await;
    mirroring.look().await.unwrap();
    assert_eq!(mirrored(&home).await.size, 150, "and nothing beyond that");
    cosigns(&witness, &log, 150, 200).await;
    mirroring.look().await.unwrap();
    let origin = KeyName::of_log(&beta());
    let given = witness.entries(&origin, 0, LOG_ENTRIES).await.unwrap();
    assert_eq!(given, log.entries());
}

#[tokio::test(start_paused = true)]
async fn other_entries_are_not_kept_and_little_at_a_time_is_refused() {
    let log = Log::of(200);
    let (home, witness, giver, mut mirroring) = world(&log).await;
    cosigns(&witness, &log, 0, 200).await;
    giver.entries.lock().unwrap()[77][5] ^= 1;
    mirroring.look().await.unwrap();
    assert_eq!(mirrored(&home).await, Mirrored::default());
    // It is left alone for a while, however right it is now.
    giver.entries.lock().unwrap()[77][5] ^= 1;
    mirroring.look().await.unwrap();
    assert_eq!(mirrored(&home).await, Mirrored::default());
    tokio::time::advance(LATER).await;
    *giver.at_once.lock().unwrap() = 1;
    mirroring.look().await.unwrap();
    assert_eq!(mirrored(&home).await, Mirrored::default());
    tokio::time::advance(LATER).await;
    *giver.at_once.lock().unwrap() = LOG_ENTRIES;
    mirroring.look().await.unwrap();
    assert_eq!(mirrored(&home).await.size, 200);
}
