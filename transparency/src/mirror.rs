//! Copies of the entries of logs that are witnessed here: what a log that lost its database is restored from.
//!
//! Every piece is verified before it is stored: it comes with the proof that the tree it ends begins the tree that was cosigned
//! last (RFC 6962, section 2.1.2; none is needed for the piece that ends that tree). So nothing waits for a verdict, there is no
//! second place to keep it in, and a piece from anybody is as good as one from the log itself. Whoever fetches gets the entries
//! from `entries` or from the tiles, and the proof from `consistency` or from the tiles.

use std::ops::Range;

use qpq_core::Digest;
use qpq_storage::{LOG_ENTRY_BYTES, Mirrored, Stored, WitnessedRead, WriteTx};
use qpq_transparency_tree::{TreeHead, growth::RightEdge, is_consistent, leaf_hash};

use crate::{sequence::corrupt, witness};

/// The most entries of one piece, four full bundles.
pub const PIECE: u64 = 1_024;

/// How many hashes a full tile has.
const WIDTH: u64 = 256;

/// What a mirror lacks next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which entries; the last piece ends the tree that was cosigned, all others end with a full bundle.
    pub entries: Range<u64>,
    /// The tree that was cosigned last: a proof from the piece's end to its size is needed.
    pub within: TreeHead,
}

/// What a mirror took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grown {
    /// How many entries it has.
    pub size: u64,
    /// How many are cosigned.
    pub cosigned: u64,
}

/// Why a piece was not taken; nothing of it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MirrorRefusal {
    /// Nothing of this log was cosigned here.
    #[error("nothing of this log was cosigned here")]
    UnknownLog,
    /// It doesn't begin where the mirror ends: somebody else brought the next piece meanwhile.
    #[error("the mirror has {size} entries: the next piece begins there")]
    Elsewhere {
        /// How many it has.
        size: u64,
    },
    /// It is empty, over the limit, or ends beyond what was cosigned.
    #[error("a piece has 1 to {PIECE} entries and ends within the {cosigned} that are cosigned")]
    Size {
        /// How many are cosigned.
        cosigned: u64,
    },
    /// Another tree was cosigned since the proof was asked for: ask again.
    #[error("the proof leads to another tree than the one cosigned last, of {cosigned} entries")]
    Moved {
        /// The size of the newest one.
        cosigned: u64,
    },
    /// The entries are not those that were cosigned.
    #[error("the entries are not those of the tree that was cosigned")]
    Inconsistent,
}

/// The next piece that the mirror of a log lacks; `None` if it has all that was cosigned.
pub async fn wanted(tx: &mut (dyn WitnessedRead + '_), origin: &str) -> Stored<Option<Wanted>> {
    let Some(cosigned) = witness::witnessed(tx, origin).await? else { return Ok(None) };
    let within = cosigned.head();
    let from = tx.kt_mirrored(origin).await?.size;
    // Ends with a full bundle, however far the piece before got.
    let aligned = from.saturating_sub(from % WIDTH).saturating_add(PIECE);
    let to = aligned.min(within.size);
    Ok((from < to).then_some(Wanted { entries: from..to, within }))
}

/// Takes a piece of entries from a place on, with the proof from its end to the tree of `within` entries.
pub async fn take(
    tx: &mut dyn WriteTx,
    origin: &str,
    from: u64,
    entries: &[[u8; LOG_ENTRY_BYTES]],
    within: u64,
    proof: &[Digest],
) -> Stored<Result<Grown, MirrorRefusal>> {
    let Some(cosigned) = witness::witnessed(tx, origin).await? else {
        return Ok(Err(MirrorRefusal::UnknownLog));
    };
    let cosigned = cosigned.head();
    let mirrored = tx.kt_mirrored(origin).await?;
    if mirrored.size != from {
        return Ok(Err(MirrorRefusal::Elsewhere { size: mirrored.size }));
    }
    let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    let size = from.saturating_add(count);
    if !(1..=PIECE).contains(&count) || size > cosigned.size {
        return Ok(Err(MirrorRefusal::Size { cosigned: cosigned.size }));
    }
    if within != cosigned.size {
        return Ok(Err(MirrorRefusal::Moved { cosigned: cosigned.size }));
    }
    let mut edge = read_edge(origin, &mirrored)?;
    let leaves: Vec<Digest> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    edge.append(&leaves).map_err(|full| corrupt("kt_witnessed", format!("`{origin}`: {full}")))?;
    if !is_consistent(size, &edge.root(), cosigned.size, &cosigned.root, proof) {
        return Ok(Err(MirrorRefusal::Inconsistent));
    }
    tx.kt_mirror(origin, from, entries, &edge_bytes(&edge)).await?;
    Ok(Ok(Grown { size, cosigned: cosigned.size }))
}

/// At most `limit` mirrored entries from a place on, and never more than a piece.
pub async fn entries(
    tx: &mut (dyn WitnessedRead + '_),
    origin: &str,
    from: u64,
    limit: usize,
) -> Stored<Vec<[u8; LOG_ENTRY_BYTES]>> {
    let most = usize::try_from(PIECE).unwrap_or(usize::MAX);
    tx.kt_mirrored_entries(origin, from, limit.min(most)).await
}

/// The hashes of all levels one after the other; how many each has, the size says.
fn edge_bytes(edge: &RightEdge) -> Vec<u8> {
    edge.levels().iter().flatten().flat_map(|hash| *hash.as_bytes()).collect()
}

fn read_edge(origin: &str, mirrored: &Mirrored) -> Stored<RightEdge> {
    let fault = || corrupt("kt_witnessed", format!("`{origin}`: the mirror's edge is not that of its size"));
    let (chunks, rest) = mirrored.edge.as_chunks::<32>();
    let mut hashes = chunks.iter().map(|bytes| Digest::from_bytes(*bytes));
    let (mut levels, mut above) = (Vec::new(), mirrored.size);
    while above > 0 {
        let width = usize::try_from(above % WIDTH).unwrap_or(0);
        levels.push(hashes.by_ref().take(width).collect());
        above /= WIDTH;
    }
    if hashes.next().is_some() || !rest.is_empty() {
        return Err(fault());
    }
    RightEdge::from_parts(mirrored.size, levels).ok_or_else(fault)
}

#[cfg(test)]
mod tests;
