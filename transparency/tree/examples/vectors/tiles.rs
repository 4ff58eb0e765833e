//! Tiles, bundles of entries, and their paths (C2SP tlog-tiles).

use qpq_core::Digest;
use qpq_transparency_tree::tile::{BundleId, TileId, TilePath, bundle, tile_to_bytes};
use serde_json::{Value, json};

use super::{hashes, hex, trees, unread, unread_text};

pub(crate) fn tiles() -> Value {
    json!({
        "paths": paths(),
        "unread_paths": unread_paths(),
        "tiles": whole_tiles(),
        "unread_tiles": unread_tiles(),
        "bundles": bundles(),
        "unread_bundles": unread_bundles(),
    })
}

fn paths() -> Vec<Value> {
    let hashes = |level, index, width| TilePath::Hashes(TileId::new(level, index, width).unwrap());
    let entries = |index, width| TilePath::Entries(BundleId::new(index, width).unwrap());
    let paths = [
        hashes(0, 0, 256),
        hashes(0, 0, 1),
        hashes(0, 999, 255),
        hashes(0, 1_000, 256),
        hashes(0, 1_234_067, 112),
        hashes(7, 0, 8),
        hashes(2, 1_000_000, 3),
        entries(0, 256),
        entries(1_234_067, 1),
    ];
    paths.iter().map(path).collect()
}

fn path(path: &TilePath) -> Value {
    let (level, index, width) = match path {
        TilePath::Hashes(tile) => (Some(tile.level()), tile.index(), tile.width()),
        TilePath::Entries(bundle) => (None, bundle.index(), bundle.width()),
    };
    json!({ "path": path.to_string(), "level": level, "index": index, "width": width })
}

fn unread_paths() -> Vec<Value> {
    vec![
        unread_text("something else", "checkpoint", "Form"),
        unread_text("a slash before", "/tile/0/000", "Form"),
        unread_text("no index", "tile/0", "Form"),
        unread_text("a level that no tree has", "tile/8/000", "Level"),
        unread_text("a level with a zero before", "tile/00/000", "Level"),
        unread_text("a level in words", "tile/data/000", "Level"),
        unread_text("an index of two digits", "tile/0/00", "Index"),
        unread_text("an index in one element", "tile/0/1234", "Index"),
        unread_text("no `x` before an element that isn't the last", "tile/0/001/234", "Index"),
        unread_text("an `x` before the last element", "tile/0/x001", "Index"),
        unread_text("an element that isn't needed", "tile/0/x000/001", "LeadingZeros"),
        unread_text("no hash", "tile/0/000.p/0", "Width"),
        unread_text("a partial tile that is full", "tile/0/000.p/256", "Width"),
        unread_text("a width with a zero before", "tile/0/000.p/01", "Width"),
        unread_text("beyond what a tree can have", "tile/7/128", "TooFar"),
        unread_text("an index beyond all numbers", &format!("tile/0/{}999", "x999/".repeat(9)), "TooFar"),
    ]
}

fn whole_tiles() -> Vec<Value> {
    let leaves = trees::leaves();
    let tile = |leaves: &[Digest]| {
        let id = TileId::new(0, 0, u16::try_from(leaves.len()).unwrap()).unwrap();
        json!({ "path": id.to_string(), "bytes": hex(&tile_to_bytes(leaves)), "hashes": hashes(leaves) })
    };
    vec![tile(leaves.split_at(1).0), tile(leaves.split_at(3).0)]
}

fn unread_tiles() -> Vec<Value> {
    let bytes = tile_to_bytes(trees::leaves().split_at(2).0);
    let tile = |name, path, bytes: &[u8]| json!({ "name": name, "path": path, "bytes": hex(bytes), "error": "WrongTileBytes" });
    vec![
        tile("fewer hashes than the width says", "tile/0/000.p/3", &bytes),
        tile("more hashes than the width says", "tile/0/000.p/1", &bytes),
        tile("it ends within a hash", "tile/0/000.p/2", bytes.split_last().unwrap().1),
        tile("a full tile has 256", "tile/0/000", &bytes),
        tile("no hash", "tile/0/000.p/1", &[]),
    ]
}

fn bundles() -> Vec<Value> {
    let of = |entries: &[&[u8]]| {
        let texts: Vec<String> = entries.iter().map(|entry| hex(entry)).collect();
        json!({ "entries": texts, "bytes": hex(&bundle(entries).unwrap()) })
    };
    vec![of(&[b"one"]), of(&[b"one", b"", b"three"]), of(&[&[7; 300]])]
}

fn unread_bundles() -> Vec<Value> {
    let one = bundle(&[b"one"]).unwrap();
    vec![
        unread("nothing", &[], "Empty"),
        unread("it ends within an entry", one.split_last().unwrap().1, "Cut"),
        unread("it ends within a length", &[&one[..], &[0]].concat(), "Cut"),
        unread("257 empty entries", &[0; 2 * 257], "TooMany"),
    ]
}
