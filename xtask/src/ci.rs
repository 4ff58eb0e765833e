//! `cargo xtask ci`: what the gate runs, started the way the gate starts it.

use crate::process;

pub(crate) fn run() -> anyhow::Result<()> {
    process::run(process::program::<&str>(".ci/run", []))
}
