//! What counts as a claim, and that a false one is found.

use super::*;

fn repository() -> Repository {
    let paths =
        ["core", "core/src", "core/src/id.rs", "core/src/time.rs", "docs", "docs/glossary.md", "README.md"];
    Repository {
        paths: paths.into_iter().map(PathBuf::from).collect(),
        verbs: ["demo", "schema-compat"].into_iter().map(str::to_owned).collect(),
    }
}

fn broken(text: &str) -> Vec<String> {
    repository().broken_mentions(Path::new("docs/walk.md"), text)
}

#[test]
fn paths_links_and_verbs_that_exist_pass() {
    let text = "`core/`, `core/src/{id,time}.rs`, `id.rs:12`, `src/id.rs`, `core/src/*.rs`, `glossary.md`, \
                [words](glossary.md#peer), [start](../README.md), [away](https://example.test/a.rs), [here](#top), \
                `cargo xtask demo --exit`, cargo xtask <verb>";
    assert_eq!(broken(text), Vec::<String>::new());
}

#[test]
fn a_dead_path_is_found_with_its_line() {
    assert_eq!(broken("fine\nsee `core/src/gone.rs`"), ["docs/walk.md:2: `core/src/gone.rs`"]);
    assert_eq!(broken("see `core/attic/`"), ["docs/walk.md:1: `core/attic/`"]);
    assert_eq!(broken("see `plan.rs`"), ["docs/walk.md:1: `plan.rs`"]);
    assert_eq!(broken("see `core/src/{id,gone}.rs`"), ["docs/walk.md:1: `core/src/gone.rs`"]);
    assert_eq!(broken("see `core/src/*.capnp`"), ["docs/walk.md:1: `core/src/*.capnp`"]);
}

#[test]
fn a_dead_link_and_a_dead_verb_are_found() {
    assert_eq!(broken("[words](words.md)"), ["docs/walk.md:1: link to `words.md`"]);
    assert_eq!(broken("```\ncargo xtask dance\n```"), ["docs/walk.md:2: `cargo xtask dance`"]);
}

#[test]
fn what_is_not_a_claim_about_the_repository_is_left_alone() {
    let text = "`application/json`, `alice@alpha.test`, `/etc/passwd.md`, `qpq/device/v1`, `quicproquo.toml`, \
                `keys/database`, `a b.rs`, `--data-dir`, `Vec<u8>`, lone ` backtick core/gone.rs";
    assert_eq!(broken(text), Vec::<String>::new());
}
