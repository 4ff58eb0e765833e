use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    inclusion_paths, is_consistent, is_included,
    tile::tests::{leaves, tiles_of},
};

type Tiles = BTreeMap<(u8, u64), Vec<Digest>>;

/// What shows that a tree continues its first `old` leaves, by the recursion of RFC 6962, section 2.1.2.
fn consistency(old: usize, leaves: &[Digest], old_is_known: bool) -> Vec<Digest> {
    if old == leaves.len() {
        return if old_is_known { vec![] } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    if old <= left.len() {
        [consistency(old, left, old_is_known), vec![root(right)]].concat()
    } else {
        [consistency(old - left.len(), right, false), vec![root(left)]].concat()
    }
}

/// Exactly the tiles that the plan asks for, exactly as wide.
fn asked_for(plan: &ProofPlan, tiles: &Tiles) -> Tiles {
    let cut = |tile: TileId| {
        let hashes = &tiles[&(tile.level(), tile.index())];
        ((tile.level(), tile.index()), hashes[..usize::from(tile.width())].to_vec())
    };
    plan.tiles().into_iter().map(cut).collect()
}

fn answer(plan: Option<ProofPlan>, tiles: &Tiles) -> Vec<Digest> {
    let plan = plan.unwrap();
    plan.answer(&asked_for(&plan, tiles)).unwrap()
}

/// All numbers below in small trees; in larger ones those around powers of two and at both ends, and every 13th.
fn some_below(end: usize) -> impl Iterator<Item = usize> {
    (0..end).filter(move |n| {
        let power = n.next_power_of_two();
        end <= 70 || n % 13 == end % 13 || n + 2 > end || power - n < 2 || n - power / 2 < 2
    })
}

#[test]
fn roots_of_all_small_trees() {
    let leaves = leaves(700);
    let tiles = tiles_of(&leaves);
    for size in 0..=700_usize {
        let plan = ProofPlan::root(size as u64);
        assert_eq!(answer(plan, &tiles), [root(&leaves[..size])], "{size} leaves");
    }
}

#[test]
fn inclusion_in_all_small_trees() {
    let leaves = leaves(300);
    let tiles = tiles_of(&leaves);
    for size in 1..=300_usize {
        let (root, paths) = inclusion_paths(&leaves[..size]);
        for index in some_below(size) {
            let path = answer(ProofPlan::inclusion(index as u64, size as u64), &tiles);
            assert_eq!(path, paths[index], "{index} of {size}");
            assert!(is_included(&leaves[index], index as u64, size as u64, &path, &root));
        }
    }
}

#[test]
fn consistency_of_all_small_trees() {
    let leaves = leaves(300);
    let tiles = tiles_of(&leaves);
    let roots: Vec<Digest> = (0..=300).map(|size| root(&leaves[..size])).collect();
    for new in 1..=300_usize {
        for old in some_below(new + 1).filter(|old| *old > 0) {
            let proof = answer(ProofPlan::consistency(old as u64, new as u64), &tiles);
            assert_eq!(proof, consistency(old, &leaves[..new], true), "{old} to {new}");
            assert!(is_consistent(old as u64, &roots[old], new as u64, &roots[new], &proof));
        }
        assert_eq!(answer(ProofPlan::consistency(0, new as u64), &tiles), []);
    }
}

#[test]
fn a_plan_asks_for_no_tile_that_it_can_do_without() {
    let tiles = tiles_of(&leaves(1_000));
    let plans = [
        ProofPlan::root(1_000),
        ProofPlan::inclusion(700, 1_000),
        ProofPlan::inclusion(999, 1_000),
        ProofPlan::consistency(300, 1_000),
        ProofPlan::consistency(768, 900),
    ];
    for plan in plans.map(Option::unwrap) {
        for missing in plan.tiles() {
            let mut loaded = asked_for(&plan, &tiles);
            loaded.get_mut(&(missing.level(), missing.index())).unwrap().clear();
            assert_eq!(plan.answer(&loaded), Err(MissingTile(missing)));
            loaded.remove(&(missing.level(), missing.index()));
            assert_eq!(plan.answer(&loaded), Err(MissingTile(missing)));
        }
    }
}

#[test]
fn plans_ask_for_the_tiles_on_the_way() {
    let paths = |plan: Option<ProofPlan>| {
        let tiles = plan.unwrap().tiles();
        tiles.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(paths(ProofPlan::root(0)), [""; 0]);
    assert_eq!(paths(ProofPlan::root(256)), ["tile/1/000.p/1"]);
    assert_eq!(paths(ProofPlan::root(70_000)), ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert_eq!(paths(ProofPlan::inclusion(0, 1)), [""; 0]);
    assert_eq!(
        paths(ProofPlan::inclusion(1_000, 70_000)),
        ["tile/0/003", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17"]
    );
    assert_eq!(paths(ProofPlan::consistency(65_536, 65_536 + 256)), ["tile/1/001.p/1"]);
    assert_eq!(paths(ProofPlan::consistency(70_000, 70_000)), [""; 0]);
}

#[test]
fn what_no_tree_has_is_not_planned() {
    let most = SIZE_LIMIT - 1;
    assert!([ProofPlan::root(most), ProofPlan::inclusion(0, most)].iter().all(Option::is_some));
    for size in [SIZE_LIMIT, SIZE_LIMIT + 1, u64::MAX] {
        assert_eq!(ProofPlan::root(size), None);
        assert_eq!((ProofPlan::inclusion(0, size), ProofPlan::inclusion(size, size)), (None, None));
        assert_eq!((ProofPlan::consistency(1, size), ProofPlan::consistency(size, size)), (None, None));
    }
    assert_eq!((ProofPlan::inclusion(0, 0), ProofPlan::inclusion(7, 7)), (None, None));
    assert_eq!((ProofPlan::consistency(8, 7), ProofPlan::consistency(u64::MAX, 7)), (None, None));
}

/// A tree of any size whose leaves are all the same, so that all complete subtrees of one height are.
struct Uniform {
    by_height: Vec<Digest>,
    levels: Vec<Vec<Digest>>,
}

impl Uniform {
    fn new() -> Self {
        let next = |hash: &Digest| Some(node_hash(hash, hash));
        let by_height: Vec<Digest> = std::iter::successors(Some(Digest::ZERO), next).take(64).collect();
        let levels = by_height.iter().step_by(8).map(|hash| vec![*hash; 256]).collect();
        Self { by_height, levels }
    }

    fn root(&self, size: u64) -> Digest {
        if size.is_power_of_two() {
            return self.by_height[size.trailing_zeros() as usize];
        }
        let left = size.next_power_of_two() / 2;
        if left == 0 { root(&[]) } else { node_hash(&self.root(left), &self.root(size - left)) }
    }

    fn check(&self, old: u64, new: u64) {
        let answer = |plan: Option<ProofPlan>| plan.unwrap().answer(self).unwrap();
        let (old_root, new_root) = (self.root(old), self.root(new));
        assert_eq!(answer(ProofPlan::root(new)), [new_root], "{new}");
        let mut proof = answer(ProofPlan::consistency(old, new));
        assert!(is_consistent(old, &old_root, new, &new_root, &proof), "{old} to {new}");
        proof.push(Digest::ZERO);
        assert!(!is_consistent(old, &old_root, new, &new_root, &proof), "{old} to {new}");
        let mut path = answer(ProofPlan::inclusion(old - 1, new));
        assert!(is_included(&Digest::ZERO, old - 1, new, &path, &new_root), "{old} of {new}");
        path.push(Digest::ZERO);
        assert!(!is_included(&Digest::ZERO, old - 1, new, &path, &new_root), "{old} of {new}");
    }
}

impl TileReader for Uniform {
    fn tile(&self, id: &TileId) -> Option<&[Digest]> {
        self.levels.get(usize::from(id.level())).map(Vec::as_slice)
    }
}

#[test]
fn around_the_edges_of_tiles_and_at_the_end() {
    let tree = Uniform::new();
    let edges = [256, 65_536, 65_536 + 256, 1 << 24, 1 << 56, SIZE_LIMIT - 3];
    let near: Vec<u64> = edges.iter().flat_map(|edge| edge - 2..=edge + 2).chain([1, 2, 70_000]).collect();
    for old in &near {
        for new in near.iter().filter(|new| old <= new) {
            tree.check(*old, *new);
        }
    }
}

proptest! {
    #[test]
    fn any_two_sizes(old: u64, new: u64, shift in 1..64_u32, difference in 0..3_000_u64) {
        let tree = Uniform::new();
        let (low, high) = (old.min(new) >> shift, old.max(new) >> shift);
        tree.check(low.max(1), high.max(1));
        tree.check(low.max(1), (low + difference).clamp(1, SIZE_LIMIT - 1));
    }

    #[test]
    fn any_two_sizes_with_leaves_that_differ(size in 1..1_500_usize, at: prop::sample::Index) {
        let (leaves, old) = (leaves(size), at.index(size) + 1);
        let tiles = tiles_of(&leaves);
        let (new_root, paths) = inclusion_paths(&leaves);
        prop_assert_eq!(&answer(ProofPlan::inclusion(old as u64 - 1, size as u64), &tiles), &paths[old - 1]);
        let proof = answer(ProofPlan::consistency(old as u64, size as u64), &tiles);
        prop_assert_eq!(&proof, &consistency(old, &leaves, true));
        prop_assert!(is_consistent(old as u64, &root(&leaves[..old]), size as u64, &new_root, &proof));
    }

    #[test]
    fn what_was_changed_shows_nothing(size in 2..600_usize, at: prop::sample::Index, place: prop::sample::Index, bit in 0..256_usize) {
        let (leaves, old) = (leaves(size), at.index(size - 1) + 1);
        let proof = answer(ProofPlan::consistency(old as u64, size as u64), &tiles_of(&leaves));
        let (old_root, new_root) = (root(&leaves[..old]), root(&leaves));
        let holds = |proof: &[Digest]| is_consistent(old as u64, &old_root, size as u64, &new_root, proof);
        prop_assert!(holds(&proof));
        let place = place.index(proof.len());
        let chosen = proof[place];
        let changed = |change: &dyn Fn(&mut Vec<Digest>)| {
            let mut proof = proof.clone();
            change(&mut proof);
            proof
        };
        let flipped = changed(&|proof| {
            let mut bytes = *proof[place].as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            proof[place] = Digest::from_bytes(bytes);
        });
        prop_assert!(!holds(&flipped));
        prop_assert!(!holds(&changed(&|proof| proof.retain(|hash| *hash != chosen))));
        prop_assert!(!holds(&changed(&|proof| proof.insert(place, chosen))));
        prop_assert!(!holds(&changed(&|proof| proof.push(new_root))));
        prop_assert!(!is_consistent(old as u64, &new_root, size as u64, &new_root, &proof));
        prop_assert!(!is_consistent(old as u64, &old_root, size as u64, &old_root, &proof));
    }

    #[test]
    fn any_numbers_are_planned_or_refused(a: u64, b: u64) {
        prop_assert_eq!(ProofPlan::root(a).is_some(), a < SIZE_LIMIT);
        prop_assert_eq!(ProofPlan::inclusion(a, b).is_some(), a < b && b < SIZE_LIMIT);
        prop_assert_eq!(ProofPlan::consistency(a, b).is_some(), a <= b && b < SIZE_LIMIT);
    }
}
