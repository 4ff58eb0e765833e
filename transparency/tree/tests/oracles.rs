//! Our tree against what others say: published proofs, `ct-merkle` (RFC 6962) and `tlog_tiles` (C2SP, after Go's tlog).

#![expect(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

use std::collections::BTreeMap;

use ct_merkle::{ConsistencyProof, InclusionProof, mem_backed_tree::MemoryBackedTree};
use proptest::prelude::*;
use qpq_core::Digest;
use qpq_transparency_tree::{
    growth::RightEdge,
    is_consistent, is_included, leaf_hash,
    proofs::ProofPlan,
    root,
    tile::{BundleId, SIZE_LIMIT, TileId, TilePath, TilePathError, tile_to_bytes},
};
use sha2_11::Sha256;
use tlog_tiles::{Hash, HashReader, Tile};

/// A log of ours: what it published so far.
struct Log {
    edge: RightEdge,
    tiles: BTreeMap<(u8, u64), Vec<Digest>>,
}

impl Log {
    fn new() -> Self {
        Self { edge: RightEdge::empty(), tiles: BTreeMap::new() }
    }

    /// Adds leaves, and gives the tiles that changed: path and bytes.
    fn grow(&mut self, leaves: &[Digest]) -> Vec<(String, Vec<u8>)> {
        let changed = self.edge.append(leaves).unwrap();
        let named = |(tile, hashes): &(TileId, Vec<Digest>)| (tile.to_string(), tile_to_bytes(hashes));
        let published = changed.iter().map(named).collect();
        self.tiles.extend(changed.into_iter().map(|(tile, hashes)| ((tile.level(), tile.index()), hashes)));
        published
    }

    fn answer(&self, plan: Option<ProofPlan>) -> Vec<Digest> {
        plan.unwrap().answer(&self.tiles).unwrap()
    }
}

fn entry(number: usize) -> Vec<u8> {
    number.to_be_bytes().repeat(number % 5)
}

fn hash(hex: &str) -> Digest {
    Digest::from_slice(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap()
}

/// The hashes that the published proofs consist of.
mod published {
    pub(super) const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const LEAF_0: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    const LEAF_1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
    const LEAF_4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
    const LEAVES_0_1: &str = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125";
    const LEAVES_2_3: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
    const LEAVES_4_5: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
    const LEAVES_6_7: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
    const LEAVES_0_3: &str = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7";
    const LEAVES_4_7: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";

    /// Index, size, path.
    pub(super) const INCLUSION: [(usize, usize, &[&str]); 7] = [
        (0, 1, &[]),
        (0, 2, &[LEAF_1]),
        (1, 2, &[LEAF_0]),
        (2, 3, &[LEAVES_0_1]),
        (1, 5, &[LEAF_0, LEAVES_2_3, LEAF_4]),
        (0, 8, &[LEAF_1, LEAVES_2_3, LEAVES_4_7]),
        (5, 8, &[LEAF_4, LEAVES_6_7, LEAVES_0_3]),
    ];

    /// Old size, new size, proof.
    pub(super) const CONSISTENCY: [(usize, usize, &[&str]); 4] = [
        (1, 1, &[]),
        (1, 8, &[LEAF_1, LEAVES_2_3, LEAVES_4_7]),
        (2, 5, &[LEAVES_2_3, LEAF_4]),
        (6, 8, &[LEAVES_4_5, LEAVES_6_7, LEAVES_0_3]),
    ];
}

/// The vectors that implementations of certificate transparency share: transparency-dev/merkle,
/// `testonly/reference_test.go`, before that the test of `MerkleTree` in google/certificate-transparency.
#[test]
fn published_proofs_are_made_and_hold() {
    let leaves = published::LEAVES.map(leaf_hash);
    let mut log = Log::new();
    log.grow(&leaves);
    for (index, size, path) in published::INCLUSION {
        let path: Vec<Digest> = path.iter().map(|hex| hash(hex)).collect();
        assert_eq!(log.answer(ProofPlan::inclusion(index as u64, size as u64)), path, "{index} of {size}");
        assert!(is_included(&leaves[index], index as u64, size as u64, &path, &root(&leaves[..size])));
    }
    for (old, new, proof) in published::CONSISTENCY {
        let proof: Vec<Digest> = proof.iter().map(|hex| hash(hex)).collect();
        assert_eq!(log.answer(ProofPlan::consistency(old as u64, new as u64)), proof, "{old} to {new}");
        let (old_root, new_root) = (root(&leaves[..old]), root(&leaves[..new]));
        assert!(is_consistent(old as u64, &old_root, new as u64, &new_root, &proof), "{old} to {new}");
    }
}

/// A tree of `ct-merkle` and a log of ours with the same entries.
struct Both {
    theirs: MemoryBackedTree<Sha256, Vec<u8>>,
    their_roots: Vec<ct_merkle::RootHash<Sha256>>,
    ours: Log,
}

impl Both {
    fn new() -> Self {
        let theirs = MemoryBackedTree::new();
        Self { their_roots: vec![theirs.root()], theirs, ours: Log::new() }
    }

    fn grow_to(&mut self, size: usize) {
        let before = self.their_roots.len() - 1;
        for number in before..size {
            self.theirs.push(entry(number));
            self.their_roots.push(self.theirs.root());
        }
        let leaves: Vec<Digest> = (before..size).map(|number| leaf_hash(&entry(number))).collect();
        self.ours.grow(&leaves);
        assert_eq!(self.ours.edge.root(), self.their_root(size), "{size} leaves");
    }

    fn their_root(&self, size: usize) -> Digest {
        Digest::from_slice(self.their_roots[size].as_bytes()).unwrap()
    }

    fn compare_inclusion(&self, index: usize) {
        let size = self.their_roots.len() - 1;
        let ours = self.ours.answer(ProofPlan::inclusion(index as u64, size as u64));
        let bytes = tile_to_bytes(&ours);
        assert_eq!(bytes, self.theirs.prove_inclusion(index).as_bytes(), "{index} of {size}");
        let (leaf, root) = (leaf_hash(&entry(index)), self.their_root(size));
        assert!(is_included(&leaf, index as u64, size as u64, &ours, &root), "{index} of {size}");
        let proof = InclusionProof::try_from_bytes(bytes).unwrap();
        self.their_roots[size].verify_inclusion(&entry(index), index as u64, &proof).unwrap();
    }

    fn compare_consistency(&self, old: usize) {
        let new = self.their_roots.len() - 1;
        let ours = self.ours.answer(ProofPlan::consistency(old as u64, new as u64));
        let bytes = tile_to_bytes(&ours);
        assert_eq!(bytes, self.theirs.prove_consistency(new - old).as_bytes(), "{old} to {new}");
        let (old_root, new_root) = (self.their_root(old), self.their_root(new));
        assert!(is_consistent(old as u64, &old_root, new as u64, &new_root, &ours), "{old} to {new}");
        let proof = ConsistencyProof::try_from_bytes(bytes).unwrap();
        self.their_roots[new].verify_consistency(&self.their_roots[old], &proof).unwrap();
    }
}

#[test]
fn roots_are_those_of_ct_merkle_up_to_4096_leaves() {
    let mut both = Both::new();
    (1..=4096).for_each(|size| both.grow_to(size));
}

#[test]
fn every_proof_in_trees_up_to_100_leaves_is_that_of_ct_merkle() {
    let mut both = Both::new();
    for size in 1..=100 {
        both.grow_to(size);
        (0..size).for_each(|index| both.compare_inclusion(index));
        (1..=size).for_each(|old| both.compare_consistency(old));
    }
}

#[test]
fn proofs_in_larger_trees_are_those_of_ct_merkle() {
    let mut both = Both::new();
    for size in [255, 256, 257, 511, 512, 513, 1_000, 2_047, 2_048, 2_049, 3_333, 4_095, 4_096] {
        both.grow_to(size);
        let edges = |n: &usize| n % 256 < 2 || n % 256 > 253 || n % 61 == 7 || size - n < 4;
        (0..size).filter(edges).for_each(|index| both.compare_inclusion(index));
        (1..=size).filter(edges).for_each(|old| both.compare_consistency(old));
    }
}

/// The hashes that `tlog_tiles` wants to be stored, in its order.
struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

impl Stored {
    fn grow(&mut self, before: usize, leaves: &[Digest]) {
        for (number, leaf) in (before as u64..).zip(leaves) {
            let hashes = tlog_tiles::stored_hashes_for_record_hash(number, Hash(*leaf.as_bytes()), self);
            self.0.extend(hashes.unwrap());
        }
    }

    fn published(&self, before: usize, size: usize) -> Vec<(String, Vec<u8>)> {
        let tiles = Tile::new_tiles(8, before as u64, size as u64);
        tiles.iter().map(|tile| (c2sp(&tile.path()), tile.read_data(self).unwrap())).collect()
    }
}

/// Its paths are those of Go's checksum database: the height of tiles comes first, and entries are `data`.
fn c2sp(path: &str) -> String {
    format!("tile/{}", path.strip_prefix("tile/8/").unwrap()).replace("/data/", "/entries/")
}

fn theirs(hashes: &[Digest]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash(*hash.as_bytes())).collect()
}

#[test]
fn published_tiles_and_proofs_are_those_of_tlog_tiles() {
    let leaves: Vec<Digest> = (0..70_000).map(|number| leaf_hash(&entry(number))).collect();
    let (mut ours, mut stored, mut before) = (Log::new(), Stored(Vec::new()), 0);
    for size in [1, 2, 255, 256, 257, 511, 5_000, 65_535, 65_536, 65_537, 66_000, 70_000] {
        let changed = ours.grow(&leaves[before..size]);
        stored.grow(before, &leaves[before..size]);
        assert!(changed == stored.published(before, size), "{before} to {size}");
        let size64 = size as u64;
        let whole = Hash(*ours.edge.root().as_bytes());
        assert_eq!(whole, tlog_tiles::tree_hash(size64, &stored).unwrap());
        for index in [0, size64 / 3, before as u64, size64 - 1] {
            let path = theirs(&ours.answer(ProofPlan::inclusion(index, size64)));
            assert_eq!(path, tlog_tiles::prove_record(size64, index, &stored).unwrap(), "{index} of {size}");
        }
        for old in [1, size64 / 3 + 1, before.max(1) as u64, size64] {
            let proof = theirs(&ours.answer(ProofPlan::consistency(old, size64)));
            assert_eq!(proof, tlog_tiles::prove_tree(size64, old, &stored).unwrap(), "{old} to {size}");
            let old_root = tlog_tiles::tree_hash(old, &stored).unwrap();
            tlog_tiles::check_tree(&proof, size64, whole, old, old_root).unwrap();
        }
        before = size;
    }
    // All that is there at the end, and not only what changed on the way.
    let mut at_once = Log::new();
    assert!(at_once.grow(&leaves) == stored.published(0, leaves.len()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_proof_up_to_4096_leaves_is_that_of_ct_merkle(size in 1..=4096_usize, places: [prop::sample::Index; 8]) {
        let mut both = Both::new();
        both.grow_to(size);
        for place in places {
            both.compare_inclusion(place.index(size));
            both.compare_consistency(place.index(size) + 1);
        }
    }
}

proptest! {
    #[test]
    fn paths_are_those_of_tlog_tiles(level in 0..8_u8, leaf in 0..SIZE_LIMIT, shift in 0..63_u32, width in 1..=256_u16) {
        let index = (leaf >> shift) >> (8 * level) >> 8;
        let Some(tile) = TileId::new(level, index, width) else { return Ok(()) };
        let mut other = Tile::new(8, level, index, u32::from(width), false);
        prop_assert_eq!(tile.to_string(), c2sp(&other.path()));
        let bundle = BundleId::new(index, width).unwrap();
        other = Tile::new(8, 0, index, u32::from(width), true);
        prop_assert_eq!(bundle.to_string(), c2sp(&other.path()));
    }

    #[test]
    fn the_same_paths_are_read_as_by_tlog_tiles(rest in "([0-8]|00|entries)(/x?[0-9]{3}){1,4}(\\.p/0?[1-9][0-9]{0,2})?") {
        let read = format!("tile/{rest}").parse::<TilePath>();
        // Theirs has levels up to 63, and panics at a width of 0, which is left out here.
        let possible = !rest.starts_with('8') && read != Err(TilePathError::TooFar);
        let other = Tile::from_path(&format!("tile/8/{}", rest.replace("entries/", "data/")));
        prop_assert_eq!(read.is_ok(), other.is_ok() && possible);
    }
}
