//! Sequencing: which place, version and time an entry gets, and the checkpoint over it.
//!
//! Why no two histories can come of it, as long as the database never goes back (what restores do about that comes with them):
//! 1. Whoever appends holds the one write transaction of the store, and reads size, right edge and checkpoint in it.
//! 2. The edge is believed only if its root is that of the checkpoint, which carries our own signature.
//! 3. Entries, tiles and the checkpoint over them are written in that transaction. The store refuses entries that don't
//!    continue the log.
//! 4. The note leaves the process only by being read from the store, after the commit. If the commit is lost, so is the
//!    note; if it was kept although the call failed, the note is the log's, and the next append reads it.
//!
//! The tests inject each of these faults.

use qpq_core::{Digest, Timestamp};
use qpq_storage::{LogContents, LogHead, LogRow, LogTile, StorageError, Stored, TransparencyRead, WriteTx};
use qpq_transparency_tree::{
    SignedCheckpoint, TreeHead,
    commitment::{Opening, commit},
    entry::{Entry, Kind},
    growth::RightEdge,
    label::LabelId,
    proofs::ProofPlan,
    tile::{tile_from_bytes, tile_to_bytes},
};

use crate::LogKeys;

/// Something to be logged.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// What it does.
    pub kind: Kind,
    /// Whose it is.
    pub label_id: LabelId,
    /// The label's bytes, which the commitment covers.
    pub label: Vec<u8>,
    /// Fresh randomness for the commitment.
    pub opening: Opening,
    /// What it commits to.
    pub value: Vec<u8>,
}

/// What an append did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The entries, in the order given.
    pub entries: Vec<Entry>,
    /// The log's head over them.
    pub head: TreeHead,
    /// The checkpoint over them.
    pub note: String,
}

/// The log as the store has it.
struct Present {
    edge: RightEdge,
    /// The time of the last entry.
    time: Timestamp,
}

/// The log as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its head.
    pub head: TreeHead,
    /// The time of its last entry.
    pub last_entry_at: Timestamp,
}

/// Looks at the log: how it stands, or nothing before the first entry. `Corrupt` if it is not what its checkpoint says, or if
/// that is not signed by our key.
pub async fn open(tx: &mut (dyn TransparencyRead + '_), keys: &LogKeys) -> Stored<Option<Opened>> {
    let Present { edge, time } = present(tx, keys).await?;
    let head = TreeHead { size: edge.size(), root: edge.root() };
    Ok((head.size > 0).then_some(Opened { head, last_entry_at: time }))
}

/// Appends entries, each as the next version of its label, and signs the checkpoint over them. They take effect with the
/// transaction, and nothing of them may be told before its commit.
pub async fn append(
    tx: &mut dyn WriteTx,
    keys: &LogKeys,
    new: &[NewEntry],
    now: Timestamp,
) -> Stored<Appended> {
    let mut batch = Batch::begin(tx, keys, now).await?;
    for new in new {
        let entry = batch.next(tx, new).await?;
        batch.push(entry, new)?;
    }
    batch.write(tx, keys).await
}

/// Entries on their way into the log: whoever has rules of their own about an entry looks at it before it is pushed.
pub(crate) struct Batch {
    edge: RightEdge,
    time: Timestamp,
    entries: Vec<Entry>,
    rows: Vec<(LogRow, LogContents)>,
}

impl Batch {
    /// Looks at the log as it stands.
    pub(crate) async fn begin(tx: &mut dyn WriteTx, keys: &LogKeys, now: Timestamp) -> Stored<Self> {
        let Present { edge, time } = present(tx, keys).await?;
        // A clock that was set back must not make the log's times run back.
        Ok(Self { edge, time: now.max(time), entries: Vec::new(), rows: Vec::new() })
    }

    /// The entry that this would be.
    pub(crate) async fn next(&self, tx: &mut dyn WriteTx, new: &NewEntry) -> Stored<Entry> {
        let before = match self.entries.iter().rev().find(|entry| entry.label_id == new.label_id) {
            // Entries without a label form no chain.
            _ if new.label_id == LabelId::NONE => None,
            Some(entry) => Some(*entry),
            None => latest(tx, new.label_id).await?,
        };
        let version = before.map_or(0, |entry| entry.version.saturating_add(1));
        let prev = before.map_or(Digest::ZERO, |entry| entry.leaf_hash());
        let commitment = commit(&new.opening, &new.label, version, &new.value);
        Ok(Entry { kind: new.kind, label_id: new.label_id, version, time: self.time, prev, commitment })
    }

    /// Takes it in.
    pub(crate) fn push(&mut self, entry: Entry, new: &NewEntry) -> Stored<()> {
        // What can't be read again must not get in: the log would end there.
        entry.check().map_err(|_| StorageError::Conflict { what: "append to the log" })?;
        let taken = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        let row = LogRow {
            index: self.edge.size().saturating_add(taken),
            label_id: *new.label_id.as_bytes(),
            version: entry.version,
            entry: entry.to_bytes(),
        };
        let contents = LogContents {
            label: new.label.clone(),
            opening: *new.opening.as_bytes(),
            value: new.value.clone(),
        };
        self.rows.push((row, contents));
        self.entries.push(entry);
        Ok(())
    }

    /// Writes all of it with the checkpoint over it.
    pub(crate) async fn write(mut self, tx: &mut dyn WriteTx, keys: &LogKeys) -> Stored<Appended> {
        let leaves: Vec<Digest> = self.entries.iter().map(Entry::leaf_hash).collect();
        let grown = self.edge.append(&leaves).map_err(|full| corrupt("kt_entries", full.to_string()))?;
        let tiles: Vec<LogTile> = grown
            .into_iter()
            .map(|(tile, hashes)| LogTile {
                level: tile.level(),
                index: tile.index(),
                hashes: tile_to_bytes(&hashes),
            })
            .collect();
        let head = TreeHead { size: self.edge.size(), root: self.edge.root() };
        let note = SignedCheckpoint::sign(keys.log(), head).to_string();
        tx.kt_append(&self.rows, &tiles, &LogHead { size: head.size, note: note.clone() }).await?;
        Ok(Appended { entries: self.entries, head, note })
    }
}

/// The newest entry of a label.
pub(crate) async fn latest(tx: &mut (dyn TransparencyRead + '_), label_id: LabelId) -> Stored<Option<Entry>> {
    let row = tx.kt_latest(label_id.as_bytes()).await?;
    row.map(|row| read_entry(&row)).transpose()
}

/// The entry of a row. `Corrupt` if it is none, or the row's columns say something else.
pub fn read_entry(row: &LogRow) -> Stored<Entry> {
    let fault = |what: String| corrupt("kt_entries", format!("entry {}: {what}", row.index));
    let entry = Entry::from_bytes(&row.entry).map_err(|error| fault(error.to_string()))?;
    if row.label_id == *entry.label_id.as_bytes() && row.version == entry.version {
        Ok(entry)
    } else {
        Err(fault("its row names another label or version".to_owned()))
    }
}

/// Whether an entry commits to this.
pub(crate) fn commits_to(entry: &Entry, contents: &LogContents) -> bool {
    let LogContents { label, opening, value } = contents;
    commit(&Opening::from_bytes(*opening), label, entry.version, value) == entry.commitment
}

async fn present(tx: &mut (dyn TransparencyRead + '_), keys: &LogKeys) -> Stored<Present> {
    let Some(LogHead { size, note }) = tx.kt_head().await? else {
        if !tx.kt_entries(0, 1).await?.is_empty() {
            return Err(corrupt("kt_head", "there are entries, and no checkpoint over them".to_owned()));
        }
        return Ok(Present { edge: RightEdge::empty(), time: Timestamp::from_millis(0) });
    };
    let signed = SignedCheckpoint::parse(note.as_bytes())
        .map_err(|error| corrupt("kt_head", format!("the checkpoint can't be read: {error}")))?;
    signed.signed_by(keys.log().verifier()).map_err(|_| {
        corrupt("kt_head", format!("the checkpoint is not signed by our key {}", keys.log().verifier()))
    })?;
    let edge = right_edge(tx, size).await?;
    if signed.head() != (TreeHead { size, root: edge.root() }) {
        return Err(corrupt(
            "kt_tiles",
            format!("the tiles are not those of the checkpoint over {size} entries"),
        ));
    }
    let last = tx.kt_entries(size.saturating_sub(1), 2).await?;
    match last.as_slice() {
        [last] => Ok(Present { edge, time: read_entry(last)?.time }),
        _ => Err(corrupt("kt_entries", format!("the last entry should be {}", size.saturating_sub(1)))),
    }
}

/// The partial tiles of a tree of this size.
async fn right_edge(tx: &mut (dyn TransparencyRead + '_), size: u64) -> Stored<RightEdge> {
    let plan = ProofPlan::root(size).ok_or_else(|| corrupt("kt_head", format!("{size} is no size")))?;
    let mut levels: Vec<Vec<Digest>> = Vec::new();
    let mut hashes = size;
    while hashes > 0 {
        levels.push(Vec::new());
        hashes >>= 8;
    }
    for tile in plan.tiles() {
        let Some(level) = levels.get_mut(usize::from(tile.level())).filter(|_| !tile.is_full()) else {
            continue;
        };
        let stored = tx.kt_tile(tile.level(), tile.index()).await?.unwrap_or_default();
        *level = tile_from_bytes(tile, &stored)
            .map_err(|error| corrupt("kt_tiles", format!("`{tile}`: {error}")))?;
    }
    RightEdge::from_parts(size, levels)
        .ok_or_else(|| corrupt("kt_tiles", format!("the tiles are not those of {size} entries")))
}

pub(crate) const fn corrupt(table: &'static str, what: String) -> StorageError {
    StorageError::Corrupt { table, what }
}

#[cfg(test)]
mod tests;
