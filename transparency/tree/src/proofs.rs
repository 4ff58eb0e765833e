//! Proofs made from tiles, in two steps: a plan says which tiles it needs, and answers once they are there.
//!
//! Between the two a driver loads tiles however it likes. Each hash of a proof stands for a range of leaves. Such a range
//! is cut from the left into complete subtrees, each as large as fits, and a complete subtree lies within one tile.

use std::{collections::BTreeSet, ops::Range, slice};

use qpq_core::Digest;

use crate::{
    hashing::{node_hash, root},
    tile::{SIZE_LIMIT, TileId, TileReader, WIDTH},
};

/// What is to be read from tiles for the root of a tree or for a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofPlan {
    hashes: Vec<Vec<Subtree>>,
}

/// A tile that is needed is not there, or has too few hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tile `{0}` is missing")]
pub struct MissingTile(pub TileId);

/// A complete subtree: the root over a part of a tile, of which the length is a power of two.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Subtree {
    tile: TileId,
    part: Range<usize>,
}

impl ProofPlan {
    /// The root of the tree: its answer is one hash. `None` from [`SIZE_LIMIT`] on.
    pub fn root(size: u64) -> Option<Self> {
        Self::over(slice::from_ref(&(0..size)), size)
    }

    /// The path of a leaf as [`is_included`](crate::is_included) takes it (RFC 6962, section 2.1.1). `None` if the tree
    /// has no such leaf, and from [`SIZE_LIMIT`] on.
    pub fn inclusion(index: u64, size: u64) -> Option<Self> {
        if index >= size || size >= SIZE_LIMIT {
            return None;
        }
        let (mut around, mut path) = (0..size, Vec::new());
        while let Some(split) = split(&around) {
            let (left, right) = (around.start..split, split..around.end);
            let (towards, beside) = if index < split { (left, right) } else { (right, left) };
            path.push(beside);
            around = towards;
        }
        path.reverse();
        Self::over(&path, size)
    }

    /// What shows that a tree continues its older self, as [`is_consistent`](crate::is_consistent) takes it (RFC 6962,
    /// section 2.1.2). `None` if the old tree is the larger one, and from [`SIZE_LIMIT`] on.
    pub fn consistency(old: u64, new: u64) -> Option<Self> {
        if old > new || new >= SIZE_LIMIT {
            return None;
        }
        let (mut around, mut path) = (0..new, Vec::new());
        while old != 0 && old != around.end {
            let split = split(&around)?;
            let (left, right) = (around.start..split, split..around.end);
            let (towards, beside) = if old <= split { (left, right) } else { (right, left) };
            path.push(beside);
            around = towards;
        }
        // Where this is the whole old tree, whoever asks knows its root.
        if around.start != 0 {
            path.push(around);
        }
        path.reverse();
        Self::over(&path, new)
    }

    /// Which tiles are needed: each once, the lowest level first, as wide as the tree's size makes them.
    pub fn tiles(&self) -> Vec<TileId> {
        let tiles: BTreeSet<TileId> = self.hashes.iter().flatten().map(|subtree| subtree.tile).collect();
        tiles.into_iter().collect()
    }

    /// The root or the proof. It is right if the tiles are, which is not looked at here.
    pub fn answer(&self, tiles: &impl TileReader) -> Result<Vec<Digest>, MissingTile> {
        self.hashes.iter().map(|subtrees| joined(subtrees, tiles)).collect()
    }

    fn over(ranges: &[Range<u64>], size: u64) -> Option<Self> {
        let hashes: Option<_> = ranges.iter().map(|range| subtrees(range, size)).collect();
        Some(Self { hashes: hashes? })
    }
}

/// Where the RFC cuts a range of leaves: at the largest power of two that leaves something to the right. `None` if
/// there is only one leaf.
fn split(range: &Range<u64>) -> Option<u64> {
    let count = range.end.checked_sub(range.start)?;
    let left = count.checked_next_power_of_two()? >> 1;
    if count < 2 { None } else { range.start.checked_add(left) }
}

/// Cuts a range that begins where a subtree of the tree begins. `None` from [`SIZE_LIMIT`] on.
fn subtrees(range: &Range<u64>, size: u64) -> Option<Vec<Subtree>> {
    let (mut from, mut subtrees) = (range.start, Vec::new());
    while let Some(height) = range.end.checked_sub(from)?.checked_ilog2() {
        subtrees.push(Subtree::at(from, height, size)?);
        from = from.checked_add(1_u64.checked_shl(height)?)?;
    }
    Some(subtrees)
}

/// The hash over subtrees that get smaller to the right; of none, the root of the empty tree.
fn joined(subtrees: &[Subtree], tiles: &impl TileReader) -> Result<Digest, MissingTile> {
    let mut right: Option<Digest> = None;
    for subtree in subtrees.iter().rev() {
        let left = subtree.hash(tiles)?;
        right = Some(right.map_or(left, |right| node_hash(&left, &right)));
    }
    Ok(right.unwrap_or_else(|| root(&[])))
}

impl Subtree {
    /// The one of 2^`height` leaves from leaf `from` on.
    fn at(from: u64, height: u32, size: u64) -> Option<Self> {
        let (level, height) = (height / 8, height % 8);
        let first = from.checked_shr(level.checked_mul(8)?)?;
        let (index, place) = (first / WIDTH, first % WIDTH);
        let tile = TileId::of(u8::try_from(level).ok()?, index, size)?;
        let start = usize::try_from(place).ok()?;
        let end = start.checked_add(1_usize.checked_shl(height)?)?;
        Some(Self { tile, part: start..end })
    }

    fn hash(&self, tiles: &impl TileReader) -> Result<Digest, MissingTile> {
        let hashes = tiles.tile(&self.tile).and_then(|hashes| hashes.get(self.part.clone()));
        hashes.map(root).ok_or(MissingTile(self.tile))
    }
}

#[cfg(test)]
mod tests;
