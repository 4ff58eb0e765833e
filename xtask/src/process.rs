//! Starts other programs, in the repository's root, and turns a failure into one sentence.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::tree;

/// Everything but the schema compiler. One selection for all builds: another one would unify features differently
/// and build the dependencies again.
pub(crate) const SELECTION: [&str; 3] = ["--workspace", "--exclude", "qpq-codegen"];

/// `cargo` with the repository as its working directory.
pub(crate) fn cargo<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    program("cargo", arguments)
}

/// Any program with the repository as its working directory.
pub(crate) fn program<I: AsRef<OsStr>>(
    name: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = I>,
) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(tree::root());
    command
}

/// Runs it to its end; anything but status 0 is an error.
pub(crate) fn run(mut command: Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("could not start `{name}`"))?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        bail!("`{name} {}` failed: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Whether it can be started and answers with status 0; what it prints is dropped.
pub(crate) fn answers(mut command: Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
