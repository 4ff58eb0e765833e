//! Reading the whole log, piece by piece: is everything that is kept of it what was signed?
//!
//! Entries are never changed, so each piece may be read in a view of its own: nobody is kept waiting for a log that has grown
//! long, and the store can let go of old views.

use qpq_core::Digest;
use qpq_storage::{LogRow, Stored, TransparencyRead};
use qpq_transparency_tree::{
    TreeHead,
    audit::Audit,
    tile::{TILE_WIDTH, TileId, tile_to_bytes},
};

use crate::{
    LogKeys, open,
    sequence::{commits_to, read_entry},
};

/// A reading under way.
#[derive(Debug)]
pub struct Inspection {
    head: TreeHead,
    audit: Audit,
}

/// How a piece was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Fine, and there are more.
    More,
    /// Fine, and it was the last one.
    Whole,
    /// Something is not what was signed.
    Broken(String),
}

impl Inspection {
    /// Begins with the log as it is now; `None` before the first entry. `Corrupt` if it can't even be opened.
    pub async fn begin(tx: &mut (dyn TransparencyRead + '_), keys: &LogKeys) -> Stored<Option<Self>> {
        Ok(open(tx, keys).await?.map(|opened| Self { head: opened.head, audit: Audit::new() }))
    }

    /// How many entries were read and found fine.
    pub const fn entries(&self) -> u64 {
        self.audit.size()
    }

    /// How many labels they are about, the domain itself included.
    pub fn labels(&self) -> usize {
        self.audit.labels()
    }

    /// Reads the next 256 entries, what they commit to, and the tiles over them.
    pub async fn piece(&mut self, tx: &mut (dyn TransparencyRead + '_)) -> Stored<Progress> {
        let missing = self.head.size.saturating_sub(self.entries()).min(u64::from(TILE_WIDTH));
        let rows = tx.kt_entries(self.entries(), usize::try_from(missing).unwrap_or(0)).await?;
        for row in &rows {
            if let Some(wrong) = fault(tx, row).await? {
                return Ok(Progress::Broken(wrong));
            }
        }
        let entries: Vec<&[u8]> = rows.iter().map(|row| row.entry.as_slice()).collect();
        let tiles = match self.audit.take(&entries) {
            Ok(tiles) => tiles,
            Err(error) => return Ok(Progress::Broken(error.to_string())),
        };
        for (tile, hashes) in tiles {
            if !is_kept(tx, tile, &hashes).await? {
                return Ok(Progress::Broken(format!("`{tile}` is not the tile over its entries")));
            }
        }
        if !rows.is_empty() && self.entries() < self.head.size {
            return Ok(Progress::More);
        }
        let whole = self.audit.finish(self.head);
        Ok(whole.map_or_else(|error| Progress::Broken(error.to_string()), |()| Progress::Whole))
    }
}

/// What is wrong with a row and what its entry commits to.
async fn fault(tx: &mut (dyn TransparencyRead + '_), row: &LogRow) -> Stored<Option<String>> {
    let entry = match read_entry(row) {
        Ok(entry) => entry,
        Err(error) => return Ok(Some(error.to_string())),
    };
    let contents = tx.kt_contents(row.index).await?;
    let sound = contents.is_none_or(|contents| commits_to(&entry, &contents));
    Ok((!sound).then(|| format!("what entry {} commits to was changed", row.index)))
}

/// Whether the tile that is kept begins with these hashes; the log may have grown meanwhile.
async fn is_kept(tx: &mut (dyn TransparencyRead + '_), tile: TileId, hashes: &[Digest]) -> Stored<bool> {
    let kept = tx.kt_tile(tile.level(), tile.index()).await?;
    Ok(kept.is_some_and(|kept| kept.starts_with(&tile_to_bytes(hashes))))
}

#[cfg(test)]
mod tests;
