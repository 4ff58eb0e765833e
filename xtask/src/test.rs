//! `cargo xtask test`: the programs first, since the process suites start them, then every test.

use std::ffi::{OsStr, OsString};

use crate::process::{self, SELECTION};

pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    // `--tests` belongs to the build as well: without it cargo leaves out the features that development dependencies
    // ask for, and builds what they touch twice.
    process::run(process::cargo(["build", "--bins", "--tests"].iter().chain(&SELECTION)))?;
    let runner: &[&str] = if process::answers(process::cargo(["nextest", "--version"])) {
        &["nextest", "run"]
    } else {
        &["test"]
    };
    let fixed = runner.iter().chain(&SELECTION).map(OsStr::new);
    process::run(process::cargo(fixed.chain(arguments.iter().map(OsString::as_os_str))))
}
