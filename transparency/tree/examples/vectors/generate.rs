//! The published test vectors, each file's name and text, from constants alone.
//!
//! Both the example that writes the files and the test that compares them are made with this.

#![expect(clippy::unwrap_used, clippy::panic, reason = "everything follows from constants; a test runs it")]

mod changes;
mod claims;
mod entries;
mod evidence;
mod labels;
mod lies;
mod lookups;
mod notes;
mod policies;
mod proof_files;
#[path = "../../src/sample.rs"]
mod sample;
mod scene;
mod tiles;
mod trees;
mod values;
mod versions;
mod vrf;
mod witnesses;

use data_encoding::HEXLOWER;
use qpq_core::Digest;
use qpq_transparency_tree::TreeHead;
use serde_json::{Value, json};

/// Every file.
pub(crate) fn files() -> Vec<(&'static str, String)> {
    vec![
        ("add_checkpoint.json", text(witnesses::requests())),
        ("claims.json", text(claims::claims())),
        ("commitments.json", text(entries::commitments())),
        ("configs.json", text(values::configs())),
        ("entries.json", text(entries::entries())),
        ("evidence.json", text(evidence::evidence())),
        ("labels.json", text(labels::labels())),
        ("lookups.json", text(lookups::lookups())),
        ("notes.json", text(notes::notes())),
        ("policies.json", text(policies::policies())),
        ("proof_files.json", text(proof_files::files())),
        ("tiles.json", text(tiles::tiles())),
        ("trees.json", text(trees::trees())),
        ("values.json", text(values::values())),
        ("versions.json", text(versions::versions())),
        ("vrf.json", text(vrf::vrf())),
    ]
}

/// Each vector on a line of its own; fields in the order of their names, however this `serde_json` was built.
fn text(mut value: Value) -> String {
    value.sort_all_objects();
    let lines: Vec<String> =
        value.as_object().unwrap().iter().map(|(name, part)| lines(name, part)).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

fn lines(name: &str, part: &Value) -> String {
    let name = Value::from(name);
    match part.as_array() {
        None => format!("{name}: {part}"),
        Some(vectors) => {
            let vectors: Vec<String> = vectors.iter().map(|vector| format!("  {vector}")).collect();
            format!("{name}: [\n{}\n]", vectors.join(",\n"))
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn hashes(hashes: &[Digest]) -> Vec<String> {
    hashes.iter().map(Digest::to_string).collect()
}

fn head(head: TreeHead) -> Value {
    json!({ "size": head.size, "root": head.root.to_string() })
}

/// Bytes that can't be read.
fn unread(name: &str, bytes: &[u8], error: &str) -> Value {
    json!({ "name": name, "bytes": hex(bytes), "error": error })
}

/// A text that can't be read.
fn unread_text(name: &str, text: &str, error: &str) -> Value {
    json!({ "name": name, "text": text, "error": error })
}

/// The bytes with some of them replaced.
fn with(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let (before, rest) = bytes.split_at(at);
    [before, new, rest.split_at(new.len()).1].concat()
}
