//! Mirrors that grow behind what is cosigned, piece by piece.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use qpq_core::{Secret, Timestamp};
use qpq_storage::{Storage, memory::MemoryStorage};
use qpq_transparency_tree::{LogSigner, SignedCheckpoint, proofs::ProofPlan, witness::AddCheckpoint};

use super::*;
use crate::{
    WitnessKey,
    fickle::{Fickle, KEPT, KEPT_UNSAID, LOST},
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const ORIGIN: &str = "alpha.test/kt/v1";

/// A log in memory.
struct Log {
    entries: Vec<[u8; LOG_ENTRY_BYTES]>,
    tiles: BTreeMap<(u8, u64), Vec<Digest>>,
    edge: RightEdge,
}

impl Log {
    fn of(size: usize) -> Self {
        let mut log = Self { entries: vec![], tiles: BTreeMap::new(), edge: RightEdge::empty() };
        log.grow(size);
        log
    }

    fn grow(&mut self, more: usize) {
        let from = self.entries.len();
        let new: Vec<_> = (from..from + more)
            .map(|n| {
                let mut entry = [0; LOG_ENTRY_BYTES];
                entry[..8].copy_from_slice(&n.to_be_bytes());
                entry
            })
            .collect();
        let leaves: Vec<Digest> = new.iter().map(|entry| leaf_hash(entry)).collect();
        for (tile, hashes) in self.edge.append(&leaves).unwrap() {
            self.tiles.insert((tile.level(), tile.index()), hashes);
        }
        self.entries.extend(new);
    }

    fn consistency(&self, old: u64, new: u64) -> Vec<Digest> {
        ProofPlan::consistency(old, new).unwrap().answer(&self.tiles).unwrap()
    }

    fn piece(&self, range: &Range<u64>) -> Vec<[u8; LOG_ENTRY_BYTES]> {
        let at = |index: u64| usize::try_from(index).unwrap();
        self.entries[at(range.start)..at(range.end)].to_vec()
    }

    /// Has its head cosigned.
    async fn cosigned_in(&self, storage: &MemoryStorage) {
        let signer = LogSigner::new(ORIGIN.parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
        let key = WitnessKey::new(&"beta.test".parse().unwrap(), &Secret::new([7; 32]));
        let head = TreeHead { size: self.edge.size(), root: self.edge.root() };
        let mut tx = storage.write().await.unwrap();
        witness::pin(tx.as_mut(), signer.verifier()).await.unwrap().unwrap();
        let last = witness::witnessed(tx.as_mut(), ORIGIN).await.unwrap();
        let old_size = last.map_or(0, |last| last.head().size);
        let proof = self.consistency(old_size, head.size);
        let request = AddCheckpoint { old_size, proof, checkpoint: SignedCheckpoint::sign(&signer, head) };
        witness::cosign(tx.as_mut(), key.signer(), &request, NOW).await.unwrap().unwrap();
        tx.commit().await.unwrap();
    }
}

async fn next(storage: &MemoryStorage) -> Option<Wanted> {
    wanted(storage.read().await.unwrap().as_mut(), ORIGIN).await.unwrap()
}

async fn takes(
    storage: &MemoryStorage,
    from: u64,
    entries: &[[u8; LOG_ENTRY_BYTES]],
    within: u64,
    proof: &[Digest],
) -> Stored<Result<Grown, MirrorRefusal>> {
    let mut tx = storage.write().await?;
    let taken = take(tx.as_mut(), ORIGIN, from, entries, within, proof).await?;
    tx.commit().await?;
    Ok(taken)
}

/// Takes all that is wanted; says how many pieces that were.
async fn fills(storage: &MemoryStorage, log: &Log) -> usize {
    let mut pieces = 0;
    while let Some(Wanted { entries, within }) = next(storage).await {
        let proof = log.consistency(entries.end, within.size);
        let taken = takes(storage, entries.start, &log.piece(&entries), within.size, &proof).await.unwrap();
        assert_eq!(taken, Ok(Grown { size: entries.end, cosigned: within.size }));
        pieces += 1;
    }
    pieces
}

async fn mirrored(storage: &MemoryStorage) -> Vec<[u8; LOG_ENTRY_BYTES]> {
    let (mut all, mut tx) = (Vec::new(), storage.read().await.unwrap());
    loop {
        let page = entries(tx.as_mut(), ORIGIN, all.len() as u64, usize::MAX).await.unwrap();
        assert!(page.len() as u64 <= PIECE);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

#[tokio::test]
async fn a_mirror_follows_the_log_up_to_what_was_cosigned() {
    let storage = MemoryStorage::new();
    assert_eq!(next(&storage).await, None);
    let mut log = Log::of(2_500);
    log.cosigned_in(&storage).await;
    assert_eq!(next(&storage).await.unwrap().entries, 0..1_024);
    assert_eq!(fills(&storage, &log).await, 3);
    assert_eq!(mirrored(&storage).await, log.entries);
    log.grow(7);
    assert_eq!(next(&storage).await, None, "nobody cosigned that");
    log.cosigned_in(&storage).await;
    assert_eq!(next(&storage).await.unwrap().entries, 2_500..2_507);
    assert_eq!(fills(&storage, &log).await, 1);
    log.grow(2_000);
    log.cosigned_in(&storage).await;
    // From a partial bundle to the end of a full one.
    assert_eq!(next(&storage).await.unwrap().entries, 2_507..3_328);
    assert_eq!(fills(&storage, &log).await, 3);
    assert_eq!(mirrored(&storage).await, log.entries);
}

#[tokio::test]
async fn what_was_not_cosigned_is_never_stored() {
    let storage = MemoryStorage::new();
    let log = Log::of(700);
    let unknown = takes(&storage, 0, &log.entries[..1], 700, &[]).await.unwrap();
    assert_eq!(unknown, Err(MirrorRefusal::UnknownLog));
    log.cosigned_in(&storage).await;
    let proof = log.consistency(256, 700);
    takes(&storage, 0, &log.entries[..256], 700, &proof).await.unwrap().unwrap();
    let rest = &log.entries[256..];
    let mut changed = rest.to_vec();
    changed[3][0] ^= 1;
    let beyond = [rest, &rest[..1]].concat();
    let size = MirrorRefusal::Size { cosigned: 700 };
    for (what, from, entries, within, proof, refusal) in [
        ("changed", 256, changed.as_slice(), 700, vec![], MirrorRefusal::Inconsistent),
        ("another proof", 256, &rest[..9], 700, proof.clone(), MirrorRefusal::Inconsistent),
        ("no proof", 256, &rest[..9], 700, vec![], MirrorRefusal::Inconsistent),
        ("elsewhere", 0, rest, 700, vec![], MirrorRefusal::Elsewhere { size: 256 }),
        ("a hole", 257, &rest[1..], 700, vec![], MirrorRefusal::Elsewhere { size: 256 }),
        ("beyond", 256, &beyond, 700, vec![], size),
        ("nothing", 256, &[], 700, proof.clone(), size),
        ("another tree", 256, rest, 699, vec![], MirrorRefusal::Moved { cosigned: 700 }),
    ] {
        let taken = takes(&storage, from, entries, within, &proof).await.unwrap();
        assert_eq!(taken, Err(refusal), "{what}");
        assert_eq!(mirrored(&storage).await, log.entries[..256], "{what}");
    }
    takes(&storage, 256, rest, 700, &[]).await.unwrap().unwrap();
    let more = Log::of(2_000);
    more.cosigned_in(&storage).await;
    let long = takes(&storage, 700, &more.entries[700..1_725], 2_000, &more.consistency(1_725, 2_000)).await;
    assert_eq!(long.unwrap(), Err(MirrorRefusal::Size { cosigned: 2_000 }));
}

#[tokio::test]
async fn a_piece_whose_commit_fails_is_there_as_a_whole_or_not_at_all() {
    let (storage, disk) = Fickle::storage();
    let log = Log::of(600);
    log.cosigned_in(&storage).await;
    let proof = log.consistency(256, 600);
    disk.will(LOST);
    assert!(takes(&storage, 0, &log.entries[..256], 600, &proof).await.is_err());
    assert_eq!(next(&storage).await.unwrap().entries.start, 0);
    disk.will(KEPT_UNSAID);
    assert!(takes(&storage, 0, &log.entries[..256], 600, &proof).await.is_err());
    assert_eq!(next(&storage).await.unwrap().entries.start, 256);
    disk.will(KEPT);
    assert_eq!(fills(&storage, &log).await, 1);
    assert_eq!(mirrored(&storage).await, log.entries);
}

#[tokio::test]
async fn an_edge_that_was_damaged_is_told() {
    let storage = MemoryStorage::new();
    let log = Log::of(300);
    log.cosigned_in(&storage).await;
    for edge in [vec![1; 32 * 9], vec![1; 32 * 11], vec![1; 32 * 10 + 1]] {
        let mut tx = storage.write().await.unwrap();
        tx.kt_mirror(ORIGIN, 0, &log.entries[..10], &edge).await.unwrap();
        let taken = take(tx.as_mut(), ORIGIN, 10, &log.entries[10..], 300, &[]).await;
        assert!(matches!(taken, Err(qpq_storage::StorageError::Corrupt { .. })), "{taken:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_mirror_is_the_log_however_it_comes(steps in prop::collection::vec((0..700_usize, 1..400_u64, any::<bool>()), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (storage, mut log) = (MemoryStorage::new(), Log::of(1));
            log.cosigned_in(&storage).await;
            for (more, piece, cosigned) in steps {
                log.grow(more);
                if cosigned {
                    log.cosigned_in(&storage).await;
                }
                if let Some(Wanted { entries, within }) = next(&storage).await {
                    let end = entries.end.min(entries.start + piece);
                    let proof = log.consistency(end, within.size);
                    let piece = log.piece(&(entries.start..end));
                    takes(&storage, entries.start, &piece, within.size, &proof).await.unwrap().unwrap();
                }
                let so_far = mirrored(&storage).await;
                assert_eq!(so_far, log.entries[..so_far.len()]);
            }
            log.cosigned_in(&storage).await;
            fills(&storage, &log).await;
            assert_eq!(mirrored(&storage).await, log.entries);
        });
    }
}
