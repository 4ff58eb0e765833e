//! `cargo xtask demo`: builds both programs and hands over to `qpq-server demo`.

use std::ffi::OsString;

use anyhow::Context as _;

use crate::process::{self, SELECTION};
use crate::tree;

pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    process::run(process::cargo(["build", "--bins"].iter().chain(&SELECTION)))?;
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(tree::root())
        .no_deps()
        .exec()
        .context("could not ask cargo where it builds")?;
    let program = metadata.target_directory.join("debug").join("qpq-server");
    let mut demo = process::program(program.as_std_path(), ["demo"]);
    demo.args(arguments);
    process::run(demo)
}
