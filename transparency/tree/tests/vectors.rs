//! The published test vectors: the files are what the example writes, and every vector is judged anew by what an SDK has,
//! the bytes and texts in the files.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the functions around the tests are tests too")]

#[path = "vectors/bytes.rs"]
mod bytes;
#[path = "../examples/vectors/generate.rs"]
mod generate;
#[path = "vectors/lookups.rs"]
mod lookups;
#[path = "vectors/read.rs"]
mod read;
#[path = "vectors/texts.rs"]
mod texts;
#[path = "vectors/trees.rs"]
mod trees;

use std::{collections::BTreeSet, fs};

#[test]
fn the_files_are_what_the_example_writes() {
    let files = generate::files();
    for (name, text) in &files {
        let committed = fs::read_to_string(read::folder().join(name)).unwrap();
        assert!(committed == *text, "{name}: run `cargo run -p qpq-transparency-tree --example vectors`");
    }
    let written: BTreeSet<String> = files.into_iter().map(|(name, _)| name.to_owned()).collect();
    let there =
        fs::read_dir(read::folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<String> = there.filter(|name| name != "README.md").collect();
    assert_eq!(there, written);
}

#[test]
fn every_file_has_its_lines_in_the_readme() {
    let readme = fs::read_to_string(read::folder().join("README.md")).unwrap();
    for (name, text) in generate::files() {
        assert!(readme.contains(&format!("`{name}`")), "{name} is not in the README");
        for part in serde_json::from_str::<serde_json::Value>(&text).unwrap().as_object().unwrap().keys() {
            assert!(readme.contains(&format!("`{part}`")), "`{part}` of {name} is not in the README");
        }
    }
}
