//! `cargo xtask kills`: the suite of kills with a number instead of a time, and its output shown.

use crate::process::{self, SELECTION};

pub(crate) fn run(count: u32, seed: Option<u64>) -> anyhow::Result<()> {
    process::run(process::cargo(["build", "--bins", "--tests"].iter().chain(&SELECTION)))?;
    let test = ["--test", "kills", "--", "--nocapture"];
    let mut command = process::cargo(["test"].iter().chain(&SELECTION).chain(&test));
    command.env("QPQ_KILLS", count.to_string());
    if let Some(seed) = seed {
        command.env("QPQ_SEED", seed.to_string());
    }
    process::run(command)
}
