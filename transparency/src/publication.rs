//! What strangers read of the log: the checkpoint, tiles and entries, as C2SP tlog-tiles lays them out.

use qpq_storage::{Stored, TransparencyRead};
use qpq_transparency_tree::tile::{TilePath, bundle};

use crate::sequence::corrupt;

/// The newest checkpoint as a signed note; `None` before the first entry.
pub async fn checkpoint(tx: &mut (dyn TransparencyRead + '_)) -> Stored<Option<String>> {
    Ok(tx.kt_head().await?.map(|head| head.note))
}

/// A tile of hashes or of entries; `None` if the log has no tile as wide as that.
pub async fn tile(tx: &mut (dyn TransparencyRead + '_), path: &TilePath) -> Stored<Option<Vec<u8>>> {
    match path {
        TilePath::Hashes(tile) => {
            let stored = tx.kt_tile(tile.level(), tile.index()).await?;
            let wanted = usize::from(tile.width()).saturating_mul(32);
            // A narrower tile of a smaller tree is the beginning of the one that it grew to.
            Ok(stored.and_then(|hashes| hashes.get(..wanted).map(<[u8]>::to_vec)))
        }
        TilePath::Entries(wanted) => {
            let Some(from) = wanted.index().checked_mul(256) else { return Ok(None) };
            let rows = tx.kt_entries(from, usize::from(wanted.width())).await?;
            if rows.len() < usize::from(wanted.width()) {
                return Ok(None);
            }
            let entries: Vec<&[u8]> = rows.iter().map(|row| row.entry.as_slice()).collect();
            let bundled = bundle(&entries);
            bundled
                .map(Some)
                .ok_or_else(|| corrupt("kt_entries", "an entry is too long for a bundle".to_owned()))
        }
    }
}
