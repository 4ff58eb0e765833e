//! Trees, and proofs that a leaf is in one and that one continues another (RFC 6962, section 2.1).

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use qpq_core::Digest;
use qpq_transparency_tree::{leaf_hash, proofs::ProofPlan, root};
use serde_json::{Value, json};

use super::hashes;

/// The inputs that implementations of RFC 6962 share.
pub(crate) const INPUTS: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

pub(crate) fn leaves() -> Vec<Digest> {
    INPUTS.iter().map(|input| leaf_hash(&HEXLOWER.decode(input.as_bytes()).unwrap())).collect()
}

pub(crate) fn trees() -> Value {
    let leaves = leaves();
    let roots: Vec<String> =
        (0..=leaves.len()).map(|size| root(leaves.split_at(size).0).to_string()).collect();
    json!({
        "inputs": INPUTS,
        "leaf_hashes": hashes(&leaves),
        "roots": roots,
        "inclusion": inclusion(),
        "consistency": consistency(),
    })
}

pub(crate) fn root_of(size: u64) -> Digest {
    root(leaves().split_at(usize::try_from(size).unwrap()).0)
}

pub(crate) fn inclusion_path(index: u64, size: u64) -> Vec<Digest> {
    plan(ProofPlan::inclusion(index, size))
}

pub(crate) fn consistency_path(old: u64, new: u64) -> Vec<Digest> {
    plan(ProofPlan::consistency(old, new))
}

fn plan(plan: Option<ProofPlan>) -> Vec<Digest> {
    let tiles = BTreeMap::from([((0, 0), leaves())]);
    plan.unwrap().answer(&tiles).unwrap()
}

/// A path with its last hash taken away, and with one more.
pub(crate) fn short_and_long(path: &[Digest]) -> [Vec<Digest>; 2] {
    [path.split_last().unwrap().1.to_vec(), [path, &[Digest::ZERO]].concat()]
}

fn inclusion() -> Vec<Value> {
    let leaf = |index: u64| leaves()[usize::try_from(index).unwrap()];
    let case = |name: String, leaf: Digest, index: u64, size: u64, path: &[Digest], holds: bool| {
        json!({
            "name": name,
            "leaf": leaf.to_string(),
            "index": index,
            "size": size,
            "root": root_of(size).to_string(),
            "path": hashes(path),
            "holds": holds,
        })
    };
    let sound = [(0, 1), (1, 2), (3, 7), (5, 7), (6, 7), (7, 8)];
    let mut cases: Vec<Value> = sound
        .iter()
        .map(|(index, size)| {
            let path = inclusion_path(*index, *size);
            case(format!("leaf {index} of {size}"), leaf(*index), *index, *size, &path, true)
        })
        .collect();
    let path = inclusion_path(3, 7);
    let [short, long] = short_and_long(&path);
    let mut wrong = |name: &str, leaf, index, size, path: &[Digest]| {
        cases.push(case(name.to_owned(), leaf, index, size, path, false));
    };
    wrong("another leaf", leaf(2), 3, 7, &path);
    wrong("another place", leaf(3), 2, 7, &path);
    wrong("another tree", leaf(3), 3, 8, &path);
    wrong("a place outside of the tree", leaf(3), 7, 7, &path);
    wrong("a hash short", leaf(3), 3, 7, &short);
    wrong("a hash long", leaf(3), 3, 7, &long);
    wrong("a hash beside the only leaf", leaf(0), 0, 1, &[Digest::ZERO]);
    cases
}

fn consistency() -> Vec<Value> {
    let case = |name: String, (old, old_root): (u64, Digest), new: u64, path: &[Digest], holds: bool| {
        json!({
            "name": name,
            "old_size": old,
            "old_root": old_root.to_string(),
            "new_size": new,
            "new_root": root_of(new).to_string(),
            "path": hashes(path),
            "holds": holds,
        })
    };
    let sound = [(0, 5), (1, 8), (3, 7), (4, 8), (6, 8), (7, 7)];
    let mut cases: Vec<Value> = sound
        .iter()
        .map(|(old, new)| {
            let path = consistency_path(*old, *new);
            case(format!("from {old} to {new} leaves"), (*old, root_of(*old)), *new, &path, true)
        })
        .collect();
    let path = consistency_path(3, 7);
    let [short, long] = short_and_long(&path);
    let mut wrong = |name: &str, old, new, path: &[Digest]| {
        cases.push(case(name.to_owned(), old, new, path, false));
    };
    wrong("another old tree", (3, Digest::of(&[b"another"])), 7, &path);
    wrong("a tree that shrank", (7, root_of(7)), 3, &path);
    wrong("two trees of one size", (7, Digest::of(&[b"another"])), 7, &[]);
    wrong("a hash short", (3, root_of(3)), 7, &short);
    wrong("a hash long", (3, root_of(3)), 7, &long);
    wrong("a hash where none is needed", (7, root_of(7)), 7, &[root_of(7)]);
    wrong("nothing is shown", (3, root_of(3)), 7, &[]);
    cases
}
