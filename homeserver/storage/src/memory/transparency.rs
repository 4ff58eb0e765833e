//! The key-transparency log, in memory.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;

use super::MemoryTx;
use crate::{
    LOG_NO_LABEL, LogContents, LogHead, LogRow, LogTile, Stored, TransparencyRead, TransparencyWrite,
};

/// The log.
#[derive(Clone, Default)]
pub(super) struct Log {
    entries: Vec<LogRow>,
    contents: BTreeMap<u64, LogContents>,
    latest: BTreeMap<[u8; 32], u64>,
    seen: BTreeMap<u64, String>,
    tiles: BTreeMap<(u8, u64), Vec<u8>>,
    head: Option<LogHead>,
}

impl Log {
    fn entry(&self, index: u64) -> Option<&LogRow> {
        self.entries.get(usize::try_from(index).ok()?)
    }

    fn latest(&self, label_id: &[u8; 32]) -> Option<&LogRow> {
        self.latest.get(label_id).and_then(|index| self.entry(*index))
    }

    /// All entries of a label in the order of their versions; what has no label has no versions.
    fn versions(&self, label_id: &[u8; 32]) -> impl Iterator<Item = &LogRow> {
        self.entries.iter().filter(move |row| row.label_id == *label_id && row.label_id != LOG_NO_LABEL)
    }

    /// How many entries there are.
    pub(super) fn size(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap_or(u64::MAX)
    }

    /// Whether an entry may be the next one.
    fn continues(&self, row: &LogRow) -> bool {
        let version = self.latest(&row.label_id).map(|before| before.version);
        let next = match version {
            Some(version) if row.label_id != LOG_NO_LABEL => version.saturating_add(1),
            Some(_) | None => 0,
        };
        self.size() == row.index && row.version == next
    }
}

#[async_trait]
impl TransparencyRead for MemoryTx {
    async fn kt_head(&mut self) -> Stored<Option<LogHead>> {
        Ok(self.state.log.head.clone())
    }

    async fn kt_tile(&mut self, level: u8, index: u64) -> Stored<Option<Vec<u8>>> {
        Ok(self.state.log.tiles.get(&(level, index)).cloned())
    }

    async fn kt_entries(&mut self, from: u64, limit: usize) -> Stored<Vec<LogRow>> {
        let skipped = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(self.state.log.entries.iter().skip(skipped).take(limit).cloned().collect())
    }

    async fn kt_latest(&mut self, label_id: &[u8; 32]) -> Stored<Option<LogRow>> {
        Ok(self.state.log.latest(label_id).cloned())
    }

    async fn kt_latest_within(&mut self, label_id: &[u8; 32], size: u64) -> Stored<Option<LogRow>> {
        // Mostly the newest is within; else all are looked through.
        let log = &self.state.log;
        let newest = log.latest(label_id).filter(|row| row.index < size && row.label_id != LOG_NO_LABEL);
        Ok(newest.or_else(|| log.versions(label_id).filter(|row| row.index < size).last()).cloned())
    }

    async fn kt_versions(&mut self, label_id: &[u8; 32], from: u32, limit: usize) -> Stored<Vec<LogRow>> {
        let versions = self.state.log.versions(label_id).filter(|row| row.version >= from);
        Ok(versions.take(limit).cloned().collect())
    }

    async fn kt_contents(&mut self, index: u64) -> Stored<Option<LogContents>> {
        Ok(self.state.log.contents.get(&index).cloned())
    }

    async fn kt_seen(&mut self, index: u64) -> Stored<Option<String>> {
        Ok(self.state.log.seen.get(&index).cloned())
    }
}

#[async_trait]
impl TransparencyWrite for MemoryTx {
    async fn kt_append(
        &mut self,
        entries: &[(LogRow, LogContents)],
        tiles: &[LogTile],
        head: &LogHead,
    ) -> Stored<()> {
        let what = "kt_append";
        let mut log = Arc::clone(&self.state.log);
        let grown = Arc::make_mut(&mut log);
        for (row, contents) in entries {
            if !grown.continues(row) {
                return Err(self.conflict(what));
            }
            grown.latest.insert(row.label_id, row.index);
            grown.contents.insert(row.index, contents.clone());
            grown.entries.push(row.clone());
        }
        if u64::try_from(grown.entries.len()) != Ok(head.size) {
            return Err(self.conflict(what));
        }
        for LogTile { level, index, hashes } in tiles {
            grown.tiles.insert((*level, *index), hashes.clone());
        }
        grown.head = Some(head.clone());
        self.state.log = log;
        Ok(())
    }

    async fn kt_keep_seen(&mut self, index: u64, note: &str) -> Stored<()> {
        if self.state.log.entry(index).is_none() {
            return Err(self.conflict("kt_keep_seen"));
        }
        let seen = &mut Arc::make_mut(&mut self.state.log).seen;
        if !seen.contains_key(&index) || self.planted.seen_replaced() {
            seen.insert(index, note.to_owned());
        }
        Ok(())
    }

    async fn kt_erase(&mut self, label_id: &[u8; 32]) -> Stored<u64> {
        let least = if self.planted.former_versions_stay() { self.state.log.latest(label_id) } else { None };
        let least = least.map_or(0, |row| row.version);
        let versions = self.state.log.versions(label_id).filter(|row| row.version >= least);
        let indexes: Vec<u64> = versions.map(|row| row.index).collect();
        let contents = &mut Arc::make_mut(&mut self.state.log).contents;
        let erased = indexes.iter().filter(|index| contents.remove(index).is_some()).count();
        Ok(u64::try_from(erased).unwrap_or(u64::MAX))
    }
}
