//! Whether a leaf is in a tree, shown by the hashes beside its way to the root (RFC 6962, section 2.1.1).

use qpq_core::Digest;

use crate::hashing::{node_hash, root, split};

/// No tree of fewer than 2⁶⁴ leaves has a longer way.
pub const LONGEST_PATH: usize = 64;

/// The root over leaves, and for each the hashes beside its way to the root, the lowest first.
pub fn inclusion_paths(leaves: &[Digest]) -> (Digest, Vec<Vec<Digest>>) {
    if leaves.len() < 2 {
        return (root(leaves), leaves.iter().map(|_| Vec::new()).collect());
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let ((left, mut paths), (right, of_right)) = (inclusion_paths(left), inclusion_paths(right));
    for path in &mut paths {
        path.push(right);
    }
    paths.extend(of_right.into_iter().map(|mut path| {
        path.push(left);
        path
    }));
    (node_hash(&left, &right), paths)
}

/// Whether `leaf` is leaf `index` of the tree of `size` leaves with this root (RFC 9162, section 2.1.3.2).
pub fn is_included(leaf: &Digest, index: u64, size: u64, path: &[Digest], root: &Digest) -> bool {
    if index >= size || path.len() > LONGEST_PATH {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size.wrapping_sub(1), *leaf);
    for beside in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(beside, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, beside);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::leaf_hash;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_shown() {
        for count in 1..70_usize {
            let (leaves, size) = (leaves(count), u64::try_from(count).unwrap());
            let (whole, paths) = inclusion_paths(&leaves);
            assert_eq!(whole, root(&leaves));
            for (at, (leaf, path)) in leaves.iter().zip(&paths).enumerate() {
                let index = u64::try_from(at).unwrap();
                assert!(is_included(leaf, index, size, path, &whole), "{at} of {count}");
                assert!(!is_included(leaf, index.wrapping_add(1), size, path, &whole));
                assert!(!is_included(&leaf_hash(b"another"), index, size, path, &whole));
            }
        }
        assert_eq!(inclusion_paths(&[]), (root(&[]), vec![]));
    }

    proptest! {
        #[test]
        fn what_was_changed_is_not_included(count in 1..40_usize, at: prop::sample::Index, bit in 0..256_usize, step: prop::sample::Index) {
            let leaves = leaves(count);
            let (index, size) = (at.index(count), u64::try_from(count).unwrap());
            let mut path = inclusion_paths(&leaves).1.remove(index);
            let index64 = u64::try_from(index).unwrap();
            if path.is_empty() {
                path.push(leaves[0]);
            } else {
                let step = step.index(path.len());
                let mut bytes = *path[step].as_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                path[step] = Digest::from_bytes(bytes);
            }
            prop_assert!(!is_included(&leaves[index], index64, size, &path, &root(&leaves)));
        }

        #[test]
        fn any_numbers_are_judged(index: u64, size: u64, count in 0..80_usize) {
            let path = vec![Digest::ZERO; count];
            prop_assert!(!is_included(&Digest::ZERO, index, size, &path, &Digest::of(&[b"x"])));
        }
    }
}
