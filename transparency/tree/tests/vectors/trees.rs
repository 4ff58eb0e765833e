//! Trees, proofs about them, and the tiles in which they are published.

use qpq_core::Digest;
use qpq_transparency_tree::{
    is_consistent, is_included, leaf_hash, root,
    tile::{TilePath, bundle, tile_from_bytes, tile_to_bytes, unbundle},
};
use serde_json::{Value, json};

use crate::read::{bytes, digest, digests, each, number, parsed, parts, refused, text, there, unhex, yes};

#[test]
fn trees_have_their_roots_and_proofs_hold_or_do_not() {
    let names = ["inputs", "leaf_hashes", "roots", "inclusion", "consistency"];
    let [inputs, leaves, roots, inclusion, consistency] = parts("trees.json", names);
    let hash = |input: &Value| leaf_hash(&unhex(input.as_str().unwrap()));
    let hashes: Vec<Digest> = each(&inputs).iter().map(hash).collect();
    assert_eq!(digests(&json!({ "hashes": leaves }), "hashes"), hashes);
    let made: Vec<Digest> = (0..=hashes.len()).map(|size| root(hashes.split_at(size).0)).collect();
    assert_eq!(digests(&json!({ "roots": roots }), "roots"), made);
    for vector in each(&inclusion) {
        let (index, size) = (number(vector, "index"), number(vector, "size"));
        let path = digests(vector, "path");
        let holds = is_included(&digest(vector, "leaf"), index, size, &path, &digest(vector, "root"));
        assert_eq!(holds, yes(vector, "holds"), "{}", text(vector, "name"));
    }
    for vector in each(&consistency) {
        let (old, new) = (number(vector, "old_size"), number(vector, "new_size"));
        let (old_root, new_root) = (digest(vector, "old_root"), digest(vector, "new_root"));
        let holds = is_consistent(old, &old_root, new, &new_root, &digests(vector, "path"));
        assert_eq!(holds, yes(vector, "holds"), "{}", text(vector, "name"));
    }
}

#[test]
fn tiles_have_one_path() {
    let [paths, unread_paths, tiles, unread_tiles, ..] = tile_parts();
    for vector in each(&paths) {
        let path: TilePath = parsed(vector, "path");
        assert_eq!(path.to_string(), text(vector, "path"));
        let (level, index, width) = match path {
            TilePath::Hashes(tile) => (Some(tile.level()), tile.index(), tile.width()),
            TilePath::Entries(bundle) => (None, bundle.index(), bundle.width()),
        };
        assert_eq!(level, there(vector, "level", number));
        assert_eq!((index, width), (number(vector, "index"), number(vector, "width")));
    }
    for vector in each(&unread_paths) {
        refused(vector, text(vector, "text").parse::<TilePath>());
    }
    for vector in each(&tiles) {
        let TilePath::Hashes(tile) = parsed(vector, "path") else { panic!("a tile of hashes") };
        let hashes = tile_from_bytes(tile, &bytes(vector, "bytes")).unwrap();
        assert_eq!(hashes, digests(vector, "hashes"));
        assert_eq!(tile_to_bytes(&hashes), bytes(vector, "bytes"));
    }
    for vector in each(&unread_tiles) {
        let TilePath::Hashes(tile) = parsed(vector, "path") else { panic!("a tile of hashes") };
        refused(vector, tile_from_bytes(tile, &bytes(vector, "bytes")));
    }
}

#[test]
fn bundles_are_cut_into_entries() {
    let [.., bundles, unread] = tile_parts();
    for vector in each(&bundles) {
        let whole = bytes(vector, "bytes");
        let entries = unbundle(&whole).unwrap();
        let texts: Vec<String> = entries.iter().map(|entry| data_encoding::HEXLOWER.encode(entry)).collect();
        assert_eq!(texts, *vector["entries"].as_array().unwrap());
        assert_eq!(bundle(&entries), Some(whole.clone()));
    }
    for vector in each(&unread) {
        refused(vector, unbundle(&bytes(vector, "bytes")));
    }
}

fn tile_parts() -> [Value; 6] {
    let names = ["paths", "unread_paths", "tiles", "unread_tiles", "bundles", "unread_bundles"];
    parts("tiles.json", names)
}
