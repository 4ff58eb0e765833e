//! `cargo xtask reference`: the documents that follow lists in the homeserver's code. A test of the homeserver renders and
//! compares them, so that this package needs none of it.

use crate::process::{self, SELECTION};

pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    // The whole selection, so that what `cargo xtask test` built is built the same.
    let binary = ["--bin", "qpq-server", "--", "the_reference_of_"];
    let mut test = process::cargo(["test", "--quiet"].iter().chain(&SELECTION).chain(&binary));
    if !check {
        test.env("REFERENCE", "write");
    }
    process::run(test)
}
