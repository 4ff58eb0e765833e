//! Tiles: the pieces in which a log publishes its tree and its entries, their paths and their bytes (C2SP tlog-tiles).
//!
//! A tile has up to 256 hashes of one level. Level 0 are the leaves, and one hash of a higher level stands for one full
//! tile below. The nodes between are hashed again by whoever needs them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use qpq_core::Digest;

use crate::text::number;

/// How many hashes a full tile has, and how many entries a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// The same, to count with.
pub(crate) const WIDTH: u64 = TILE_WIDTH as u64;
/// No tree has as many leaves: 2⁶³.
pub const SIZE_LIMIT: u64 = 1 << 63;

/// One of the tiles of a tree: its level, its place within the level, and how many hashes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u8,
    index: u64,
    width: u16,
}

/// One of the bundles in which entries are published: those of the same leaves as the tile of level 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId(TileId);

/// What a log publishes below its prefix, besides the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TilePath {
    /// A tile of hashes: `tile/<level>/<index>[.p/<width>]`.
    Hashes(TileId),
    /// A bundle of entries: `tile/entries/<index>[.p/<width>]`.
    Entries(BundleId),
}

/// Why a text is no tile's path. Each tile has one path only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TilePathError {
    /// It is something else.
    #[error("a tile's path begins with `tile/`, and has a level and an index")]
    Form,
    /// What comes second is wrong.
    #[error("a tile's level is `entries` or a plain number of 0 to 7")]
    Level,
    /// The elements of the index are wrong.
    #[error("a tile's index has elements of three digits, all but the last after an `x`")]
    Index,
    /// The index has more elements than it needs.
    #[error("a tile's index doesn't begin with `x000`")]
    LeadingZeros,
    /// What comes after `.p/` is wrong.
    #[error("a partial tile's width is a plain number of 1 to 255")]
    Width,
    /// No tree has this tile.
    #[error("the tile would begin or end beyond 2⁶³ leaves")]
    TooFar,
}

/// A tile's bytes are too many or too few.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tile `{tile}` has {bytes} bytes, not 32 for each of its hashes")]
pub struct WrongTileBytes {
    /// Which tile it should be.
    pub tile: TileId,
    /// How many bytes there are.
    pub bytes: usize,
}

/// Why bytes are no bundle of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// There is no entry in it.
    #[error("the bundle is empty")]
    Empty,
    /// It ends within an entry.
    #[error("the bundle ends within an entry")]
    Cut,
    /// It has more entries than a full one.
    #[error("the bundle has more than {TILE_WIDTH} entries")]
    TooMany,
}

/// Where tiles come from: a cache, or what a driver has loaded.
pub trait TileReader {
    /// The hashes of a tile. There may be more than its width says, when the log has grown since; `None` when it isn't here.
    fn tile(&self, id: &TileId) -> Option<&[Digest]>;
}

/// By level and index.
impl TileReader for BTreeMap<(u8, u64), Vec<Digest>> {
    fn tile(&self, id: &TileId) -> Option<&[Digest]> {
        self.get(&(id.level, id.index)).map(Vec::as_slice)
    }
}

impl TileId {
    /// The tile `index` of a level, with so many hashes: 1 to [`TILE_WIDTH`]. `None` if no tree below [`SIZE_LIMIT`] has it.
    pub fn new(level: u8, index: u64, width: u16) -> Option<Self> {
        let hashes = index.checked_mul(WIDTH)?.checked_add(u64::from(width))?;
        let leaves = hashes.checked_mul(leaves_below(level)?)?;
        let possible = leaves < SIZE_LIMIT && (1..=TILE_WIDTH).contains(&width);
        possible.then_some(Self { level, index, width })
    }

    /// The tile as a tree of that size has it; `None` if it has no such tile, or can't be.
    pub fn of(level: u8, index: u64, tree_size: u64) -> Option<Self> {
        if tree_size >= SIZE_LIMIT {
            return None;
        }
        let hashes = tree_size.checked_div(leaves_below(level)?)?;
        let before = index.checked_mul(WIDTH)?;
        let width = hashes.checked_sub(before)?.min(WIDTH);
        Self::new(level, index, u16::try_from(width).ok()?)
    }

    /// Which level: 0 are the leaves, 7 is the highest.
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// Which one of its level, from 0.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes: 1 to [`TILE_WIDTH`].
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it never changes again.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }
}

/// How many leaves one hash of a level stands for: 256^level; `None` above level 7.
fn leaves_below(level: u8) -> Option<u64> {
    WIDTH.checked_pow(u32::from(level))
}

impl BundleId {
    /// The bundle `index` with so many entries: 1 to [`TILE_WIDTH`]. `None` if no log below [`SIZE_LIMIT`] has it.
    pub fn new(index: u64, width: u16) -> Option<Self> {
        TileId::new(0, index, width).map(Self)
    }

    /// The bundle as a log of that size has it; `None` if it has no such bundle, or can't be.
    pub fn of(index: u64, tree_size: u64) -> Option<Self> {
        TileId::of(0, index, tree_size).map(Self)
    }

    /// Which one, from 0.
    pub const fn index(&self) -> u64 {
        self.0.index
    }

    /// How many entries: 1 to [`TILE_WIDTH`].
    pub const fn width(&self) -> u16 {
        self.0.width
    }

    /// Whether it never changes again.
    pub const fn is_full(&self) -> bool {
        self.0.is_full()
    }

    /// The tile that has the hashes of these entries.
    pub const fn leaves(&self) -> TileId {
        self.0
    }
}

impl fmt::Display for TileId {
    /// Its path below the log's prefix: `tile/0/x001/x234/067.p/112`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        write_place(f, self)
    }
}

impl fmt::Display for BundleId {
    /// Its path below the log's prefix: `tile/entries/000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tile/entries/")?;
        write_place(f, &self.0)
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashes(tile) => fmt::Display::fmt(tile, f),
            Self::Entries(bundle) => fmt::Display::fmt(bundle, f),
        }
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, tile: &TileId) -> fmt::Result {
    write_upper(f, tile.index / 1000)?;
    write!(f, "{:03}", tile.index % 1000)?;
    if tile.is_full() { Ok(()) } else { write!(f, ".p/{}", tile.width) }
}

/// The elements before the last, each of three digits.
fn write_upper(f: &mut fmt::Formatter<'_>, upper: u64) -> fmt::Result {
    if upper == 0 {
        return Ok(());
    }
    write_upper(f, upper / 1000)?;
    write!(f, "x{:03}/", upper % 1000)
}

impl FromStr for TilePath {
    type Err = TilePathError;

    /// Reads a path relative to the log's prefix, without a slash before it.
    fn from_str(path: &str) -> Result<Self, TilePathError> {
        let rest = path.strip_prefix("tile/").ok_or(TilePathError::Form)?;
        let (level, place) = rest.split_once('/').ok_or(TilePathError::Form)?;
        let (index, width) = match place.split_once(".p/") {
            Some((index, width)) => (index, read_partial_width(width)?),
            None => (place, TILE_WIDTH),
        };
        let index = read_index(index)?;
        let path = if level == "entries" {
            BundleId::new(index, width).map(Self::Entries)
        } else {
            TileId::new(read_level(level)?, index, width).map(Self::Hashes)
        };
        path.ok_or(TilePathError::TooFar)
    }
}

fn read_level(text: &str) -> Result<u8, TilePathError> {
    let level = number(text).and_then(|level| u8::try_from(level).ok());
    level.filter(|level| leaves_below(*level).is_some()).ok_or(TilePathError::Level)
}

fn read_partial_width(text: &str) -> Result<u16, TilePathError> {
    let width = number(text).and_then(|width| u16::try_from(width).ok());
    width.filter(|width| (1..TILE_WIDTH).contains(width)).ok_or(TilePathError::Width)
}

fn read_index(text: &str) -> Result<u64, TilePathError> {
    let (mut index, mut rest) = (0, text);
    while let Some(element) = rest.strip_prefix('x') {
        let (digits, after) = element.split_once('/').ok_or(TilePathError::Index)?;
        index = with_digits(index, digits)?;
        // Only the first element can leave it at zero.
        if index == 0 {
            return Err(TilePathError::LeadingZeros);
        }
        rest = after;
    }
    with_digits(index, rest)
}

fn with_digits(index: u64, digits: &str) -> Result<u64, TilePathError> {
    if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TilePathError::Index);
    }
    let last: u64 = digits.parse().map_err(|_| TilePathError::Index)?;
    index.checked_mul(1000).and_then(|upper| upper.checked_add(last)).ok_or(TilePathError::TooFar)
}

/// A tile as it is served: its hashes, 32 bytes each.
pub fn tile_to_bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Reads what [`tile_to_bytes`] wrote: exactly as many hashes as this tile has. They prove nothing by themselves.
pub fn tile_from_bytes(tile: TileId, bytes: &[u8]) -> Result<Vec<Digest>, WrongTileBytes> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if hashes.len() != usize::from(tile.width) || !rest.is_empty() {
        return Err(WrongTileBytes { tile, bytes: bytes.len() });
    }
    Ok(hashes.iter().copied().map(Digest::from_bytes).collect())
}

/// A bundle as it is served: each entry behind its length in two bytes, big-endian.
///
/// `None` unless there are 1 to [`TILE_WIDTH`] entries of at most 65,535 bytes.
pub fn bundle(entries: &[&[u8]]) -> Option<Vec<u8>> {
    if !(1..=usize::from(TILE_WIDTH)).contains(&entries.len()) {
        return None;
    }
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(u16::try_from(entry.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Some(bytes)
}

/// Reads what [`bundle`] wrote. Whether these are the log's entries, and all of them, the tile of their hashes says.
pub fn unbundle(bytes: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let (mut entries, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        if entries.len() == usize::from(TILE_WIDTH) {
            return Err(BundleError::TooMany);
        }
        let (entry, after) = first_entry(rest).ok_or(BundleError::Cut)?;
        entries.push(entry);
        rest = after;
    }
    if entries.is_empty() { Err(BundleError::Empty) } else { Ok(entries) }
}

fn first_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
pub(crate) mod tests;
