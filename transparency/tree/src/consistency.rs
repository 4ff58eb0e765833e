//! Whether a tree continues another one, shown by the hashes that both have and those that were added (RFC 6962,
//! section 2.1.2).

use qpq_core::Digest;

use crate::{hashing::node_hash, inclusion::LONGEST_PATH, tile::SIZE_LIMIT};

/// Whether the tree of `new_size` leaves with this root begins with the tree of `old_size` leaves (RFC 9162, section
/// 2.1.4.2).
///
/// Trees of equal size are the same tree, and every tree continues the empty one; both are shown by no hashes at all.
/// Sizes of [`SIZE_LIMIT`] and more are refused.
pub fn is_consistent(
    old_size: u64,
    old_root: &Digest,
    new_size: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> bool {
    if old_size > new_size || new_size >= SIZE_LIMIT || proof.len() > LONGEST_PATH {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    let Some(old_last) = old_size.checked_sub(1) else { return proof.is_empty() };
    roots(old_last, old_root, new_size.wrapping_sub(1), proof) == Some((*old_root, *new_root))
}

/// The root of the older tree as a proof has it that leads to the newer one; `None` if it doesn't, or if the proof leaves it out:
/// for trees of equal size, and where the old size is a power of two, whoever asks is taken to know it.
pub(crate) fn older_root(
    old_size: u64,
    new_size: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> Option<Digest> {
    let in_range = old_size < new_size && new_size < SIZE_LIMIT && proof.len() <= LONGEST_PATH;
    if !in_range || old_size.is_power_of_two() {
        return None;
    }
    let old_last = old_size.checked_sub(1)?;
    // It begins within the old tree, so what is said here of its root is not looked at.
    let (old, new) = roots(old_last, &Digest::ZERO, new_size.wrapping_sub(1), proof)?;
    (new == *new_root).then_some(old)
}

/// The roots of both trees as the proof has them; `None` if it is too short or too long. The trees are given by the
/// indices of their last leaves.
fn roots(old_last: u64, old_root: &Digest, new_last: u64, proof: &[Digest]) -> Option<(Digest, Digest)> {
    // Up to the largest subtree at the end of the old tree that is complete, and so in the new tree too.
    let height = old_last.trailing_ones();
    let (mut node, mut last) = (old_last.checked_shr(height)?, new_last.checked_shr(height)?);
    // Where that is the whole old tree, its hash is known and not in the proof.
    let (start, proof) = if node == 0 { (old_root, proof) } else { proof.split_first()? };
    let (mut old, mut new) = (*start, *start);
    for beside in proof {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            (old, new) = (node_hash(beside, &old), node_hash(beside, &new));
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new = node_hash(&new, beside);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    (last == 0).then_some((old, new))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{leaf_hash, root};

    fn hash(hex: &str) -> Digest {
        Digest::from_slice(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn sizes_and_roots_must_fit_where_nothing_is_to_be_shown() {
        let (one, two) = (root(&[leaf_hash(b"1")]), root(&[leaf_hash(b"2")]));
        let nothing = root(&[]);
        assert!(is_consistent(0, &nothing, 0, &nothing, &[]));
        assert!(is_consistent(0, &nothing, 7, &one, &[]) && is_consistent(7, &one, 7, &one, &[]));
        assert!(!is_consistent(0, &nothing, 7, &one, &[one]), "a hash that shows nothing");
        assert!(!is_consistent(7, &one, 7, &one, &[one]), "a hash that shows nothing");
        assert!(!is_consistent(7, &one, 7, &two, &[]), "another root");
        assert!(!is_consistent(8, &one, 7, &one, &[]), "smaller");
        assert!(!is_consistent(1, &one, 7, &one, &[]), "nothing shown");
        assert!(!is_consistent(0, &nothing, SIZE_LIMIT, &one, &[]), "too large");
        assert!(!is_consistent(SIZE_LIMIT, &one, SIZE_LIMIT, &one, &[]), "too large");
    }

    #[test]
    fn the_new_leaf_beside_the_old_tree_is_enough() {
        let leaves: Vec<Digest> = [b"1", b"2", b"3"].map(|leaf| leaf_hash(leaf)).to_vec();
        let (old, new) = (root(&leaves[..2]), root(&leaves));
        assert!(is_consistent(2, &old, 3, &new, &leaves[2..]));
        assert!(!is_consistent(2, &new, 3, &new, &leaves[2..]));
        assert!(!is_consistent(2, &old, 3, &old, &leaves[2..]));
        assert!(!is_consistent(1, &old, 3, &new, &leaves[2..]));
        assert!(!is_consistent(2, &old, 4, &new, &[leaves[2], leaves[2]]));
    }

    proptest! {
        #[test]
        fn any_numbers_are_judged(old: u64, new: u64, low in 0..70_u64, high in 0..70_u64, count in 0..80_usize) {
            let (proof, root) = (vec![Digest::ZERO; count], hash(&"ab".repeat(32)));
            for (old, new) in [(old, new), (new, new), (old >> 1, new >> 1), (low, high), (low, u64::MAX - high)] {
                let fits = is_consistent(old, &root, new, &root, &proof);
                prop_assert!(!fits || (count == 0 && (old == new || old == 0)));
            }
        }
    }
}
