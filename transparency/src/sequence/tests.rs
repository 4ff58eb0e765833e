use std::sync::Arc;

use proptest::prelude::*;
use qpq_core::{Millis, Secret};
use qpq_storage::{Storage, memory::MemoryStorage};
use qpq_transparency_tree::{
    is_consistent,
    tile::{TilePath, unbundle},
};

use super::*;
use crate::{
    LogSeeds,
    fickle::{Fickle, KEPT, KEPT_UNSAID, LOST},
    publication,
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn keys() -> LogKeys {
    keys_of([1; 32])
}

fn keys_of(log: [u8; 32]) -> LogKeys {
    let seeds = LogSeeds { log: Secret::new(log), vrf: Secret::new([2; 32]) };
    LogKeys::new(&"alpha.test".parse().unwrap(), &seeds)
}

fn entry(label: u8, value: u8) -> NewEntry {
    NewEntry {
        kind: Kind::Bind,
        label_id: LabelId::from_bytes([label; 32]),
        label: vec![label],
        opening: Opening::from_bytes([value; 16]),
        value: vec![value],
    }
}

struct World {
    storage: MemoryStorage,
    disk: Arc<Fickle>,
}

impl World {
    fn new() -> Self {
        let (storage, disk) = Fickle::storage();
        Self { storage, disk }
    }

    async fn append(&self, fate: u8, new: &[NewEntry], now: Timestamp) -> Stored<Appended> {
        self.disk.will(fate);
        let mut tx = self.storage.write().await?;
        let appended = append(tx.as_mut(), &keys(), new, now).await?;
        tx.commit().await?;
        Ok(appended)
    }

    /// What strangers can read.
    async fn published(&self) -> Option<TreeHead> {
        let mut tx = self.storage.read().await.unwrap();
        let note = publication::checkpoint(tx.as_mut()).await.unwrap()?;
        let signed = SignedCheckpoint::parse(note.as_bytes()).unwrap();
        signed.signed_by(keys().log().verifier()).unwrap();
        let opened = open(tx.as_mut(), &keys()).await.unwrap();
        assert_eq!(
            opened.map(|opened| opened.head),
            Some(signed.head()),
            "the log is what its checkpoint says"
        );
        Some(signed.head())
    }

    /// All entries, as strangers read them.
    async fn entries(&self) -> Vec<Entry> {
        let mut tx = self.storage.read().await.unwrap();
        let size = tx.kt_head().await.unwrap().map_or(0, |head| head.size);
        let mut all = Vec::new();
        for index in 0..size.div_ceil(256) {
            let bundle = qpq_transparency_tree::tile::BundleId::of(index, size).unwrap();
            let bytes = publication::tile(tx.as_mut(), &TilePath::Entries(bundle)).await.unwrap().unwrap();
            all.extend(unbundle(&bytes).unwrap().into_iter().map(|bytes| Entry::from_bytes(bytes).unwrap()));
        }
        all
    }

    async fn consistency(&self, old: u64, new: u64) -> Vec<Digest> {
        let mut tx = self.storage.read().await.unwrap();
        let plan = ProofPlan::consistency(old, new).unwrap();
        let mut tiles = std::collections::BTreeMap::new();
        for tile in plan.tiles() {
            let bytes = publication::tile(tx.as_mut(), &TilePath::Hashes(tile)).await.unwrap().unwrap();
            tiles.insert((tile.level(), tile.index()), tile_from_bytes(tile, &bytes).unwrap());
        }
        plan.answer(&tiles).unwrap()
    }
}

#[tokio::test]
async fn versions_and_times_follow_each_other() {
    let world = World::new();
    let first = world.append(KEPT, &[entry(1, 1), entry(2, 2), entry(1, 3)], NOW).await.unwrap();
    let [a, b, c] = first.entries.as_slice() else { panic!("three entries") };
    assert_eq!((a.version, b.version, c.version), (0, 0, 1));
    assert_eq!((a.prev, c.prev), (Digest::ZERO, a.leaf_hash()));
    // The clock was set back.
    let second = world.append(KEPT, &[entry(2, 4)], NOW.before(Millis(5))).await.unwrap();
    assert_eq!((second.entries[0].version, second.entries[0].time), (1, NOW));
    assert_eq!(world.published().await, Some(second.head));
    assert_eq!(world.entries().await.len(), 4);
}

#[tokio::test]
async fn a_commit_that_fails_leaves_one_history_whatever_became_of_it() {
    let world = World::new();
    world.append(KEPT, &[entry(1, 1)], NOW).await.unwrap();
    let before = world.published().await.unwrap();

    assert!(world.append(LOST, &[entry(1, 2)], NOW).await.is_err());
    assert_eq!(world.published().await, Some(before), "what was lost was never published");
    assert!(world.append(KEPT_UNSAID, &[entry(1, 3)], NOW).await.is_err());
    let kept = world.published().await.unwrap();
    assert_eq!(kept.size, 2, "what was kept is the log's, whatever the caller was told");

    let last = world.append(KEPT, &[entry(1, 4)], NOW).await.unwrap();
    assert_eq!(last.entries[0].version, 2);
    for (old, new) in [(before, kept), (kept, last.head), (before, last.head)] {
        let proof = world.consistency(old.size, new.size).await;
        assert!(is_consistent(old.size, &old.root, new.size, &new.root, &proof), "{old:?} to {new:?}");
    }
}

#[tokio::test]
async fn an_entry_that_could_not_be_read_again_is_refused() {
    let world = World::new();
    let nowhere = NewEntry { label_id: LabelId::NONE, ..entry(1, 1) };
    assert!(matches!(world.append(KEPT, &[nowhere], NOW).await, Err(StorageError::Conflict { .. })));
    assert_eq!(world.published().await, None);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_nothing() {
    let world = World::new();
    world.append(KEPT, &[entry(1, 1)], NOW).await.unwrap();
    let mut tx = world.storage.write().await.unwrap();
    append(tx.as_mut(), &keys(), &[entry(1, 2)], NOW).await.unwrap();
    drop(tx);
    assert_eq!(world.published().await.unwrap().size, 1);
}

#[tokio::test]
async fn a_log_that_is_not_what_it_signed_is_not_continued() {
    let other = keys_of([9; 32]);
    let corrupt_by = async |bend: &dyn Fn(&mut LogHead, &mut Vec<LogTile>)| {
        let storage = MemoryStorage::new();
        let mut tx = storage.write().await.unwrap();
        let source = World::new();
        source.append(KEPT, &[entry(1, 1), entry(2, 2)], NOW).await.unwrap();
        let mut from = source.storage.read().await.unwrap();
        let rows = from.kt_entries(0, 9).await.unwrap();
        let contents = LogContents { label: vec![], opening: [0; 16], value: vec![] };
        let rows: Vec<_> = rows.into_iter().map(|row| (row, contents.clone())).collect();
        let mut head = from.kt_head().await.unwrap().unwrap();
        let hashes = from.kt_tile(0, 0).await.unwrap().unwrap();
        let mut tiles = vec![LogTile { level: 0, index: 0, hashes }];
        bend(&mut head, &mut tiles);
        tx.kt_append(&rows, &tiles, &head).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = storage.write().await.unwrap();
        let opened = open(tx.as_mut(), &keys()).await;
        let appended = append(tx.as_mut(), &keys(), &[entry(3, 3)], NOW).await;
        (opened.map_err(|error| error.to_string()), appended.is_ok())
    };
    let (whole, continued) = corrupt_by(&|_, _| {}).await;
    assert!(whole.is_ok() && continued);
    for (what, bend) in [
        (
            "a changed tile",
            &(|_: &mut LogHead, tiles: &mut Vec<LogTile>| tiles[0].hashes[40] ^= 1)
                as &dyn Fn(&mut LogHead, &mut Vec<LogTile>),
        ),
        ("a tile cut short", &|_, tiles| tiles[0].hashes.truncate(33)),
        ("a missing tile", &|_, tiles| tiles.clear()),
        ("another key's note", &|head, _| {
            let signed = SignedCheckpoint::parse(head.note.as_bytes()).unwrap();
            head.note = SignedCheckpoint::sign(other.log(), signed.head()).to_string();
        }),
        ("no note", &|head, _| head.note = "garbage".to_owned()),
    ] {
        let (opened, continued) = corrupt_by(bend).await;
        assert!(opened.is_err() && !continued, "{what}: {opened:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Batches of any size, some of them lost: every published head is one history, and the tiles are those of its entries.
    #[test]
    fn every_published_head_continues_the_one_before(batches in proptest::collection::vec((0..3_u8, 1..90_usize), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let mut heads: Vec<TreeHead> = Vec::new();
            for (number, (fate, count)) in (0..).zip(batches) {
                let new: Vec<NewEntry> = (1..8).cycle().take(count).map(|label| entry(label, number)).collect();
                let appended = world.append(fate, &new, NOW).await;
                assert_eq!(appended.is_ok(), fate == KEPT);
                heads.extend(world.published().await);
            }
            for pair in heads.windows(2) {
                let proof = world.consistency(pair[0].size, pair[1].size).await;
                assert!(is_consistent(pair[0].size, &pair[0].root, pair[1].size, &pair[1].root, &proof));
            }
            let leaves: Vec<Digest> = world.entries().await.iter().map(Entry::leaf_hash).collect();
            if let Some(last) = heads.last() {
                assert_eq!(qpq_transparency_tree::root(&leaves), last.root);
            }
        });
    }
}
