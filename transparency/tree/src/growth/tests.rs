use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::tile::tests::{leaves, tiles_of};

type Tiles = BTreeMap<(u8, u64), Vec<Digest>>;

/// Adds leaves in batches of these sizes, and writes down the tiles as a log would.
fn grown(leaves: &[Digest], batches: impl IntoIterator<Item = usize>) -> (RightEdge, Tiles) {
    let (mut edge, mut tiles, mut rest) = (RightEdge::empty(), Tiles::new(), leaves);
    for batch in batches {
        let (added, after) = rest.split_at(batch.min(rest.len()));
        let before = edge.size();
        for (tile, hashes) in edge.append(added).unwrap() {
            assert_eq!(TileId::of(tile.level(), tile.index(), edge.size()), Some(tile));
            assert_ne!(TileId::of(tile.level(), tile.index(), before), Some(tile), "{tile} is as it was");
            assert_eq!(hashes.len(), usize::from(tile.width()));
            tiles.insert((tile.level(), tile.index()), hashes);
        }
        rest = after;
    }
    (edge, tiles)
}

#[test]
fn one_leaf_at_a_time_gives_every_tree_on_the_way() {
    let leaves = leaves(800);
    let (mut edge, mut tiles) = (RightEdge::empty(), Tiles::new());
    assert_eq!(edge.root(), root(&[]));
    for size in 1..=800_usize {
        for (tile, hashes) in edge.append(&leaves[size - 1..size]).unwrap() {
            tiles.insert((tile.level(), tile.index()), hashes);
        }
        assert_eq!((edge.size(), edge.root()), (size as u64, root(&leaves[..size])), "{size} leaves");
        assert_eq!(tiles, tiles_of(&leaves[..size]), "{size} leaves");
    }
}

#[test]
fn a_changed_tile_is_named_once_and_the_lowest_level_comes_first() {
    let mut edge = RightEdge::empty();
    edge.append(&leaves(250)).unwrap();
    let changed = edge.append(&leaves(600)).unwrap();
    let names: Vec<String> = changed.iter().map(|(tile, _)| tile.to_string()).collect();
    assert_eq!(names, ["tile/0/000", "tile/0/001", "tile/0/002", "tile/0/003.p/82", "tile/1/000.p/3"]);
    let changed = edge.append(&leaves(1)).unwrap();
    assert_eq!(changed.len(), 1, "level 1 is as before");
    assert_eq!(edge.append(&[]), Ok(vec![]));
}

#[test]
fn around_65_536_leaves_a_third_level_begins() {
    let leaves = vec![Digest::ZERO; 66_000];
    let (mut edge, mut tiles) = grown(&leaves, [65_000, 500, 35]);
    assert_eq!(edge.size(), 65_535);
    for size in 65_536..65_540 {
        let changed = edge.append(&leaves[..1]).unwrap().into_iter();
        tiles.extend(changed.map(|(tile, hashes)| ((tile.level(), tile.index()), hashes)));
        assert_eq!(edge.root(), root(&leaves[..size]), "{size} leaves");
        assert_eq!(tiles, tiles_of(&leaves[..size]), "{size} leaves");
    }
    assert_eq!(edge.levels().iter().map(Vec::len).collect::<Vec<_>>(), [3, 0, 1]);
    let (whole, at_once) = grown(&leaves, [66_000]);
    assert_eq!((whole.root(), at_once), (root(&leaves), tiles_of(&leaves)));
}

#[test]
fn an_edge_is_taken_up_again_only_with_hashes_as_its_size_says() {
    for size in [0, 1, 255, 256, 257, 65_535, 65_536, 65_536 + 256, 70_000] {
        let (edge, _) = grown(&vec![Digest::ZERO; size], [size]);
        let (size, levels) = (edge.size(), edge.levels().to_vec());
        assert_eq!(RightEdge::from_parts(size, levels.clone()), Some(edge));
        assert_eq!(RightEdge::from_parts(size + 1, levels.clone()), None);
        assert_eq!(RightEdge::from_parts(size + 256, levels.clone()), None);
        assert_eq!(RightEdge::from_parts(size, [levels.clone(), vec![vec![]]].concat()), None);
        assert_eq!(RightEdge::from_parts(size, [levels.clone(), vec![vec![Digest::ZERO]]].concat()), None);
        if let Some((_, fewer)) = levels.split_last() {
            assert_eq!(RightEdge::from_parts(size, fewer.to_vec()), None);
        }
    }
}

/// The edge of a tree of any size, with made-up hashes.
fn made_up(size: u64) -> Option<RightEdge> {
    let hashes =
        std::iter::successors(Some(size), |hashes| Some(hashes / 256)).take_while(|hashes| *hashes > 0);
    let levels = hashes.map(|hashes| vec![Digest::ZERO; usize::try_from(hashes % 256).unwrap()]).collect();
    RightEdge::from_parts(size, levels)
}

#[test]
fn a_full_tree_takes_no_leaves_and_stays_as_it_is() {
    let mut edge = made_up(SIZE_LIMIT - 3).unwrap();
    assert_eq!(edge.append(&leaves(2)).unwrap().len(), 1);
    let before = edge.clone();
    assert_eq!(edge.append(&leaves(1)), Err(TreeFull));
    assert_eq!(edge, before);
    assert_eq!(edge.append(&[]), Ok(vec![]));
    assert!(made_up(SIZE_LIMIT).is_none() && made_up(u64::MAX).is_none());
}

proptest! {
    #[test]
    fn batches_of_any_sizes_give_the_tree_of_all_at_once(batches in prop::collection::vec(0..700_usize, 0..6)) {
        let leaves = leaves(batches.iter().sum());
        let (edge, tiles) = grown(&leaves, batches);
        prop_assert_eq!(edge.root(), root(&leaves));
        prop_assert_eq!(tiles, tiles_of(&leaves));
    }

    #[test]
    fn a_tree_of_any_size_grows_by_the_tiles_of_its_new_size(size in 0..SIZE_LIMIT - 1_000, count in 0..1_000_usize) {
        let mut edge = made_up(size).unwrap();
        let changed = edge.append(&vec![Digest::ZERO; count]).unwrap();
        prop_assert_eq!(edge.size(), size + count as u64);
        prop_assert_eq!(RightEdge::from_parts(edge.size(), edge.levels().to_vec()), Some(edge.clone()));
        for (tile, hashes) in changed {
            prop_assert_eq!(TileId::of(tile.level(), tile.index(), edge.size()), Some(tile));
            prop_assert_eq!(hashes.len(), usize::from(tile.width()));
        }
    }
}
