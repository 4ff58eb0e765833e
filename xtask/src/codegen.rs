//! `cargo xtask codegen`: starts the schema compiler, a package of its own because it is slow to build.

use crate::process;

const COMPILER: [&str; 7] = ["run", "--quiet", "--package", "qpq-codegen", "--", "--schemas", "schemas"];

pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let arguments: &[&str] = if check { &["generate", "--check"] } else { &["generate"] };
    start(arguments)
}

/// Runs one verb of `qpq-codegen`.
pub(crate) fn start(arguments: &[&str]) -> anyhow::Result<()> {
    process::run(process::cargo(COMPILER.iter().chain(arguments)))
}
