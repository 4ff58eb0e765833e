//! A tree that grows: which tiles change when leaves are added, and the root, from the partial tiles alone.

use std::mem;

use qpq_core::Digest;

use crate::{
    hashing::root,
    tile::{SIZE_LIMIT, TILE_WIDTH, TileId, WIDTH},
};

/// The size of a tree and the partial tile of each level: all that is needed to add leaves and to know the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RightEdge {
    size: u64,
    levels: Vec<Vec<Digest>>,
}

/// The tree would be larger than trees may be; nothing was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tree can't have 2⁶³ leaves or more")]
pub struct TreeFull;

impl RightEdge {
    /// Of the tree without leaves.
    pub const fn empty() -> Self {
        Self { size: 0, levels: Vec::new() }
    }

    /// Of a tree of that size, from the hashes of its partial tiles, level 0 first. A level that has only full tiles is
    /// there with no hashes; levels without tiles are not.
    ///
    /// `None` unless there are as many levels, and hashes in each, as the size says, and from [`SIZE_LIMIT`] on. Whether
    /// they are the right hashes only [`RightEdge::root`] can tell.
    pub fn from_parts(size: u64, levels: Vec<Vec<Digest>>) -> Option<Self> {
        let mut hashes = size;
        for level in &levels {
            let width = hashes % WIDTH;
            if hashes == 0 || u64::try_from(level.len()) != Ok(width) {
                return None;
            }
            hashes /= WIDTH;
        }
        (hashes == 0 && size < SIZE_LIMIT).then_some(Self { size, levels })
    }

    /// How many leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the partial tiles, as [`RightEdge::from_parts`] takes them.
    pub fn levels(&self) -> &[Vec<Digest>] {
        &self.levels
    }

    /// The Merkle tree hash over all leaves (RFC 6962, section 2.1).
    pub fn root(&self) -> Digest {
        let mut below: Option<Digest> = None;
        for level in &self.levels {
            // What a level doesn't cover is smaller than one of its hashes, so the RFC cuts it off like one more.
            let hashes: Vec<Digest> = level.iter().copied().chain(below).collect();
            below = (!hashes.is_empty()).then(|| root(&hashes));
        }
        below.unwrap_or_else(|| root(&[]))
    }

    /// Adds leaves by their hashes. Gives each tile that is new or wider than before, with all its hashes, the lowest
    /// level first.
    pub fn append(&mut self, leaves: &[Digest]) -> Result<Vec<(TileId, Vec<Digest>)>, TreeFull> {
        let added = u64::try_from(leaves.len()).map_err(|_| TreeFull)?;
        let size = self.size.checked_add(added).filter(|size| *size < SIZE_LIMIT).ok_or(TreeFull)?;
        let mut changed = Vec::new();
        let (mut hashes_before, mut new) = (self.size, leaves.to_vec());
        for level in 0_u8.. {
            if new.is_empty() {
                break;
            }
            let first = hashes_before / WIDTH;
            let tiles = self.extend(level, first, &new);
            new = tiles.iter().filter(|(tile, _)| tile.is_full()).map(|(_, hashes)| root(hashes)).collect();
            changed.extend(tiles);
            hashes_before = first;
        }
        self.size = size;
        Ok(changed)
    }

    /// Adds hashes to one level, whose partial tile has the index `first`.
    fn extend(&mut self, level: u8, first: u64, new: &[Digest]) -> Vec<(TileId, Vec<Digest>)> {
        let at = usize::from(level);
        if self.levels.len() <= at {
            self.levels.push(Vec::new());
        }
        let Some(partial) = self.levels.get_mut(at) else { return Vec::new() };
        let mut hashes = mem::take(partial);
        hashes.extend_from_slice(new);
        let (full, rest) = hashes.as_chunks::<{ TILE_WIDTH as usize }>();
        *partial = rest.to_vec();
        let tiles = full.iter().map(<[Digest; _]>::as_slice).chain((!rest.is_empty()).then_some(rest));
        (first..).zip(tiles).filter_map(|(index, hashes)| tile(level, index, hashes)).collect()
    }
}

fn tile(level: u8, index: u64, hashes: &[Digest]) -> Option<(TileId, Vec<Digest>)> {
    let width = u16::try_from(hashes.len()).ok()?;
    Some((TileId::new(level, index, width)?, hashes.to_vec()))
}

#[cfg(test)]
mod tests;
