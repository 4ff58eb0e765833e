//! A planted change of each kind is seen, growth is not.

use std::fs;

use super::*;

const RELEASED: &str = "@0xd1a0c9c8e3b7f003;
enum Colour { red @0; green @1; }
struct Note { title @0 :Text; body @1 :Data; colour @2 :Colour; }
interface Notes { add @0 (note :Note) -> (id :UInt64); list @1 () -> (notes :List(Note)); push @2 (note :Note) -> stream; }
";

fn check_against_release(now: &str) -> Result<(), String> {
    let folder = released_and(now);
    check(folder.path()).map_err(|error| error.to_string())
}

fn released_and(now: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let standard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/std/capnp");
    fs::create_dir_all(folder.path().join("std/capnp")).unwrap();
    fs::create_dir(folder.path().join("released")).unwrap();
    for file in compile::schema_files(&standard).unwrap() {
        fs::copy(&file, folder.path().join("std/capnp").join(file.file_name().unwrap())).unwrap();
    }
    fs::write(folder.path().join("released/notes.capnp"), RELEASED).unwrap();
    fs::write(folder.path().join("notes.capnp"), now).unwrap();
    folder
}

fn assert_refused(from: &str, to: &str, named: &str) {
    let now = RELEASED.replace(from, to);
    assert_ne!(now, RELEASED, "the change must be there");
    let error = check_against_release(&now).expect_err("a broken contract passed");
    assert!(error.contains(named), "{error}");
}

#[test]
fn new_fields_methods_enumerants_and_types_are_growth() {
    let now = RELEASED
        .replace("green @1;", "green @1; blue @2;")
        .replace("colour @2 :Colour;", "colour @2 :Colour; pinned @3 :Bool;")
        .replace("(note :Note) -> (id :UInt64)", "(note :Note, silent :Bool) -> (id :UInt64, time :UInt64)")
        .replace("-> stream;", "-> stream; clear @3 () -> ();");
    assert_eq!(check_against_release(&format!("{now}struct More {{}}\n")), Ok(()));
    assert_eq!(check_against_release(RELEASED), Ok(()));
}

#[test]
fn a_retyped_field_is_refused() {
    assert_refused("body @1 :Data", "body @1 :Text", "Note field @1");
}

#[test]
fn a_removed_field_is_refused() {
    assert_refused(" colour @2 :Colour;", "", "removed: notes.capnp:Note field @2");
}

#[test]
fn renumbered_fields_are_refused() {
    assert_refused("title @0 :Text; body @1", "title @1 :Text; body @0", "Note field @0");
}

#[test]
fn a_field_that_moved_into_a_union_is_refused() {
    assert_refused(
        "body @1 :Data; colour @2 :Colour;",
        "union { body @1 :Data; colour @2 :Colour; }",
        "in the union",
    );
}

#[test]
fn a_removed_method_is_refused() {
    assert_refused(" push @2 (note :Note) -> stream;", "", "removed: notes.capnp:Notes method @2");
}

#[test]
fn renumbered_methods_are_refused() {
    let now = RELEASED.replace("add @0", "add @9").replace("list @1", "list @0").replace("add @9", "add @1");
    assert!(check_against_release(&now).unwrap_err().contains("Notes method @0"));
}

#[test]
fn a_retyped_parameter_is_refused() {
    assert_refused("-> (id :UInt64)", "-> (id :UInt32)", "Notes.add$Results field @0");
}

#[test]
fn a_removed_schema_file_is_refused() {
    assert!(check_against_release("@0xd1a0c9c8e3b7f004;\n").is_err());
}
