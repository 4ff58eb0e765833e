use proptest::prelude::*;

use super::*;
use crate::{leaf_hash, root};

/// Hashes of leaves that all differ.
pub(crate) fn leaves(count: usize) -> Vec<Digest> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

/// All tiles of a tree, each hash from all the leaves below it.
pub(crate) fn tiles_of(leaves: &[Digest]) -> BTreeMap<(u8, u64), Vec<Digest>> {
    let mut tiles = BTreeMap::new();
    let (mut level, mut below) = (0, 1);
    while leaves.len() >= below {
        let hashes: Vec<Digest> = leaves.chunks_exact(below).map(root).collect();
        tiles.extend((0..).zip(hashes.chunks(256)).map(|(index, tile)| ((level, index), tile.to_vec())));
        (level, below) = (level + 1, below * 256);
    }
    tiles
}

fn tile(level: u8, index: u64, width: u16) -> TileId {
    TileId::new(level, index, width).unwrap()
}

#[test]
fn paths_are_those_of_the_specification() {
    let paths = [
        ("tile/0/x001/x234/067", TilePath::Hashes(tile(0, 1_234_067, 256))),
        ("tile/0/x001/x234/067.p/112", TilePath::Hashes(tile(0, 1_234_067, 112))),
        ("tile/7/000.p/1", TilePath::Hashes(tile(7, 0, 1))),
        ("tile/2/999", TilePath::Hashes(tile(2, 999, 256))),
        ("tile/2/x001/000.p/255", TilePath::Hashes(tile(2, 1000, 255))),
        ("tile/entries/000", TilePath::Entries(BundleId::new(0, 256).unwrap())),
        ("tile/entries/001.p/9", TilePath::Entries(BundleId::new(1, 9).unwrap())),
        ("tile/entries/x012/x000/345.p/9", TilePath::Entries(BundleId::new(12_000_345, 9).unwrap())),
    ];
    for (path, expected) in paths {
        assert_eq!(path.parse(), Ok(expected));
        assert_eq!(expected.to_string(), path);
    }
}

#[test]
fn another_spelling_is_refused_by_its_reason() {
    use TilePathError::{Form, Index, LeadingZeros, Level, TooFar, Width};
    let refused = [
        (Form, "|tile|tile/|tile/0|/tile/0/000|tiles/0/000|Tile/0/000|checkpoint"),
        (Level, "tile//000|tile/00/000|tile/01/000|tile/8/000|tile/63/000|tile/256/000|tile/data/000"),
        (Level, "tile/-1/000|tile/+1/000|tile/ 1/000|tile/٣/000|tile/Entries/000"),
        (Index, "tile/0/|tile/0/0|tile/0/00|tile/0/0000|tile/0/1234|tile/0/+01|tile/0/٣٣|tile/0/0 1"),
        (Index, "tile/0/x000|tile/0/x001|tile/0/x001/2|tile/0/x001/x002|tile/0/x001//002|tile/0/x1/002"),
        (Index, "tile/0/001/002|tile/0/x0001/002|tile/0/X001/002|tile/0/xx001/002|tile/0/000/|tile/0//000"),
        (Index, "tile/0/000.p|tile/0/000.P/1|tile/0/000.p.p/1|tile/0/000\n|tile/0/../000|tile/8/0/000"),
        (LeadingZeros, "tile/0/x000/000|tile/0/x000/001|tile/entries/x000/x001/002"),
        (Width, "tile/0/000.p/|tile/0/000.p/0|tile/0/000.p/01|tile/0/000.p/256|tile/0/000.p/70000"),
        (Width, "tile/0/000.p/1/|tile/0/000.p/1.p/1|tile/0/000.p/-1|tile/0/000.p/+1|tile/0/000.p/1 "),
    ];
    for (reason, paths) in refused {
        for path in paths.split('|') {
            assert_eq!(path.parse::<TilePath>(), Err(reason), "{path:?}");
        }
    }
    // The last leaf that a tree can have is in the last tile of level 0, which is never full.
    let far = ["tile/0/x036/x028/x797/x018/x963/967", "tile/entries/x036/x028/x797/x018/x963/968.p/1"];
    let beyond_u64 = format!("tile/0/{}000", "x999/".repeat(9));
    for path in [far[0], far[1], "tile/7/000.p/128", "tile/7/001.p/1", &beyond_u64] {
        assert_eq!(path.parse::<TilePath>(), Err(TooFar), "{path:?}");
    }
    assert!("tile/0/x036/x028/x797/x018/x963/967.p/255".parse::<TilePath>().is_ok());
    assert!("tile/7/000.p/127".parse::<TilePath>().is_ok());
}

#[test]
fn the_specifications_tree_of_70_000_has_its_tiles() {
    let width = |level, index| TileId::of(level, index, 70_000).map(|tile| tile.width());
    assert!((0..273).all(|index| width(0, index) == Some(256)));
    assert_eq!((width(0, 273), width(0, 274)), (Some(112), None));
    assert_eq!((width(1, 0), width(1, 1), width(1, 2)), (Some(256), Some(17), None));
    assert_eq!((width(2, 0), width(2, 1), width(3, 0)), (Some(1), None, None));
    assert_eq!(TileId::of(0, 1, 256), None, "an empty tile");
    assert_eq!(TileId::of(1, 0, 256), Some(tile(1, 0, 1)));
}

#[test]
fn tiles_of_a_size_are_those_of_its_leaves() {
    for size in (0..600).chain([65_535, 65_536, 65_537]) {
        let tiles = tiles_of(&vec![Digest::ZERO; size]);
        for level in 0..=8 {
            for index in 0..=257 {
                let expected = tiles.get(&(level, index)).map(|hashes| u16::try_from(hashes.len()).unwrap());
                let tile = TileId::of(level, index, size as u64);
                assert_eq!(tile.map(|tile| tile.width()), expected, "{level}, {index} of {size}");
            }
            if size > 600 && level > 2 {
                break;
            }
        }
        assert_eq!(BundleId::of(0, size as u64).map(|bundle| bundle.leaves()), TileId::of(0, 0, size as u64));
    }
}

#[test]
fn no_tile_is_empty_too_wide_or_too_far() {
    for (level, index, width) in
        [(0, 0, 0), (0, 0, 257), (8, 0, 1), (255, 0, 1), (0, u64::MAX, 1), (7, 0, 128), (7, 0, 256)]
    {
        assert_eq!(TileId::new(level, index, width), None, "{level} {index} {width}");
    }
    assert_eq!(BundleId::new(1 << 55, 1), None);
    assert_eq!(TileId::of(0, 0, SIZE_LIMIT), None);
    assert_eq!(TileId::of(7, 0, SIZE_LIMIT - 1), Some(tile(7, 0, 127)));
    assert_eq!(TileId::of(0, (1 << 55) - 1, SIZE_LIMIT - 1), Some(tile(0, (1 << 55) - 1, 255)));
}

#[test]
fn a_tile_has_exactly_its_bytes() {
    let hashes = leaves(3);
    let bytes = tile_to_bytes(&hashes);
    assert_eq!(bytes.len(), 96);
    assert_eq!(tile_from_bytes(tile(0, 9, 3), &bytes), Ok(hashes));
    let longer = [bytes.as_slice(), &[0]].concat();
    for (width, bytes) in
        [(3, &bytes[..95]), (3, &longer), (3, &bytes[..64]), (2, &bytes), (4, &bytes), (1, &[])]
    {
        let id = tile(0, 9, width);
        assert_eq!(tile_from_bytes(id, bytes), Err(WrongTileBytes { tile: id, bytes: bytes.len() }));
    }
}

#[test]
fn a_bundle_has_each_entry_behind_its_length() {
    let long = vec![7; 65_535];
    let entries: [&[u8]; 3] = [b"ab", b"", &long];
    let bytes = bundle(&entries).unwrap();
    assert_eq!(bytes[..8], [0, 2, b'a', b'b', 0, 0, 255, 255]);
    assert_eq!(unbundle(&bytes), Ok(entries.to_vec()));
    assert_eq!(bundle(&[&vec![7; 65_536]]), None, "too long an entry");
    assert_eq!((bundle(&[]), unbundle(&[])), (None, Err(BundleError::Empty)));
    for end in [1, 3, 5, 7, bytes.len() - 1] {
        assert_eq!(unbundle(&bytes[..end]), Err(BundleError::Cut), "{end} bytes");
    }
}

#[test]
fn a_bundle_has_no_more_entries_than_a_tile_has_hashes() {
    let full = bundle(&[b"".as_slice(); 256]).unwrap();
    assert_eq!(unbundle(&full).map(|entries| entries.len()), Ok(256));
    assert_eq!(bundle(&[b"".as_slice(); 257]), None);
    assert_eq!(unbundle(&[full.as_slice(), &[0, 0]].concat()), Err(BundleError::TooMany));
}

proptest! {
    #[test]
    fn every_tile_has_one_path(level in 0..8_u8, index: u64, shift in 0..64_u32, width in 1..=256_u16) {
        let index = index.checked_shr(shift + u32::from(level) * 8).unwrap_or(0) >> 9;
        let path = TilePath::Hashes(tile(level, index, width.min(if level == 7 { 127 } else { 256 })));
        prop_assert_eq!(path.to_string().parse(), Ok(path));
    }

    #[test]
    fn a_text_that_is_read_is_written_the_same(path in "tile/([0-9]{1,2}|entries)(/x[0-9]{3}){0,6}/[0-9]{3}(\\.p/[0-9]{1,3})?") {
        if let Ok(read) = path.parse::<TilePath>() {
            prop_assert_eq!(read.to_string(), path);
        }
    }

    #[test]
    fn any_text_any_numbers_and_any_bytes_are_judged(text: String, bytes: Vec<u8>, level: u8, index: u64, size: u64, width: u16) {
        prop_assert!(text.parse::<TilePath>().is_err());
        if let Ok(entries) = unbundle(&bytes) {
            prop_assert_eq!(bundle(&entries), Some(bytes));
        }
        if let Some(tile) = TileId::of(level, index, size) {
            prop_assert_eq!(TileId::new(level, index, tile.width()), Some(tile));
        }
        let _ = (TileId::new(level, index, width), BundleId::of(index, size));
    }
}
