//! `qpq-sim` as the gate starts it.

#![expect(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

use std::process::{Command, Output};

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qpq-sim")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_seed_is_replayed_to_the_same_story() {
    let (one, two) = (sim(&["--replay", "core:7"]), sim(&["--replay", "core:7"]));
    assert!(one.status.success(), "{}", text(&one));
    assert!(one.stdout.len() > 1_000 && text(&one).ends_with("core:7 kept every promise\n"));
    assert_eq!(one.stdout, two.stdout);
}

#[test]
fn a_seed_of_the_whole_protocol_is_replayed_to_the_same_story() {
    let (one, two) = (sim(&["--replay", "full:3"]), sim(&["--replay", "full:3"]));
    assert!(one.status.success(), "{}", text(&one));
    assert_eq!(one.stdout, two.stdout);
}

#[test]
fn a_fault_that_never_occurs_fails_the_campaign() {
    let one = sim(&["--core-seeds", "1", "--full-seeds", "0", "--seed", "7"]);
    assert!(!one.status.success() && text(&one).contains("never occurred"), "{}", text(&one));
}
