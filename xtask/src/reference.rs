//! `cargo xtask reference`: the documents that follow lists in the homeserver's code. A test of the homeserver renders and
//! compares them, so that this package needs none of it.

use crate::process;

const TEST: [&str; 6] = ["test", "--quiet", "--package", "qpq-homeserver", "--", "the_reference_of_"];

pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let mut test = process::cargo(TEST);
    if !check {
        test.env("REFERENCE", "write");
    }
    process::run(test)
}
