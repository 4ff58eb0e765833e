//! The published vectors of key transparency, from which the seeds of its readers are made.

use std::{fs, path::Path};

use serde_json::Value;

/// The text of a file at a place (a JSON Pointer).
pub fn text(file: &str, place: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../transparency/testdata");
    let file: Value = serde_json::from_slice(&fs::read(folder.join(file)).expect("a file")).expect("JSON");
    file.pointer(place).and_then(Value::as_str).expect("a text at this place").to_owned()
}

/// The bytes of a file at a place.
pub fn bytes(file: &str, place: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text(file, place).as_bytes()).expect("hex")
}
