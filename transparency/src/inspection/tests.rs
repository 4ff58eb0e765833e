use qpq_core::{Secret, Timestamp};
use qpq_storage::{LogContents, LogHead, LogTile, Storage, memory::MemoryStorage};
use qpq_transparency_tree::{commitment::Opening, entry::Kind, label::LabelId};

use super::*;
use crate::{LogSeeds, NewEntry, append};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn keys() -> LogKeys {
    let seeds = LogSeeds { log: Secret::new([1; 32]), vrf: Secret::new([2; 32]) };
    LogKeys::new(&"alpha.test".parse().unwrap(), &seeds)
}

/// All that a store keeps of a log.
struct Kept {
    rows: Vec<(LogRow, LogContents)>,
    tiles: Vec<LogTile>,
    head: LogHead,
}

/// A log of 300 entries: a full tile, a partial one, and one above.
async fn kept() -> Kept {
    let storage = MemoryStorage::new();
    let mut tx = storage.write().await.unwrap();
    let config = NewEntry {
        kind: Kind::Config,
        label_id: LabelId::CONFIG,
        label: vec![],
        opening: Opening::from_bytes([0; 16]),
        value: vec![],
    };
    let entry = |n: u8| NewEntry {
        kind: Kind::Bind,
        label_id: LabelId::from_bytes([n; 32]),
        label: vec![n],
        value: vec![n; 5],
        ..config.clone()
    };
    let all: Vec<NewEntry> =
        std::iter::once(config.clone()).chain((1..100).cycle().take(299).map(entry)).collect();
    append(tx.as_mut(), &keys(), &all, NOW).await.unwrap();
    let mut rows = Vec::new();
    for row in tx.kt_entries(0, 1_000).await.unwrap() {
        let contents = tx.kt_contents(row.index).await.unwrap().unwrap();
        rows.push((row, contents));
    }
    let mut tiles = Vec::new();
    for (level, index) in [(0, 0), (0, 1), (1, 0)] {
        let hashes = tx.kt_tile(level, index).await.unwrap().unwrap();
        tiles.push(LogTile { level, index, hashes });
    }
    Kept { rows, tiles, head: tx.kt_head().await.unwrap().unwrap() }
}

/// What an inspection of it says.
async fn inspected(bend: impl FnOnce(&mut Kept)) -> String {
    let mut kept = kept().await;
    bend(&mut kept);
    let storage = MemoryStorage::new();
    let mut tx = storage.write().await.unwrap();
    tx.kt_append(&kept.rows, &kept.tiles, &kept.head).await.unwrap();
    let mut inspection = match Inspection::begin(tx.as_mut(), &keys()).await {
        Ok(inspection) => inspection.unwrap(),
        Err(error) => return error.to_string(),
    };
    loop {
        match inspection.piece(tx.as_mut()).await.unwrap() {
            Progress::More => {}
            Progress::Whole => {
                return format!("{} entries, {} labels", inspection.entries(), inspection.labels());
            }
            Progress::Broken(why) => return why,
        }
    }
}

#[tokio::test]
async fn a_whole_log_is_whole() {
    assert_eq!(inspected(|_| {}).await, "300 entries, 100 labels");
}

#[tokio::test]
async fn whatever_was_changed_is_found() {
    let full = inspected(|kept| kept.tiles[0].hashes[40] ^= 1).await;
    assert!(full.contains("tile/0/000") && !full.contains(".p/"), "{full}");
    let above = inspected(|kept| kept.tiles[2].hashes[3] ^= 1).await;
    assert!(above.contains("tiles are not those"), "{above}");
    let value = inspected(|kept| kept.rows[7].1.value[0] ^= 1).await;
    assert!(value.contains("what entry 7 commits to"), "{value}");
    let opening = inspected(|kept| kept.rows[280].1.opening[0] ^= 1).await;
    assert!(opening.contains("what entry 280 commits to"), "{opening}");
    let entry = inspected(|kept| kept.rows[9].0.entry[100] ^= 1).await;
    assert!(entry.contains("what entry 9 commits to"), "{entry}");
    let label = inspected(|kept| {
        for (row, _) in kept.rows.iter_mut().filter(|(row, _)| row.label_id == [8; 32]) {
            row.label_id = [200; 32];
        }
    });
    let label = label.await;
    assert!(label.contains("names another label"), "{label}");
}
