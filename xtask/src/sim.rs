//! `cargo xtask sim`: builds the simulation the way the tests are built, and starts it.

use anyhow::Context as _;

use crate::{
    process::{self, SELECTION},
    tree,
};

/// What is to be played.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) core_seeds: u64,
    pub(crate) full_seeds: u64,
    pub(crate) seed: Option<u64>,
    pub(crate) replay: Option<String>,
    pub(crate) planted: bool,
}

pub(crate) fn run(wanted: &Wanted) -> anyhow::Result<()> {
    // A test target belongs to the build: without one cargo leaves out the features that development dependencies ask
    // for, and builds what they touch twice.
    let targets = ["--bin", "qpq-sim", "--test", "replay"];
    // Bugs can be planted in a build that asks for it, and in no other.
    let features: &[&str] = if wanted.planted { &["--features", "qpq-sim/planted"] } else { &[] };
    process::run(process::cargo(["build"].iter().chain(&SELECTION).chain(&targets).chain(features)))?;
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(tree::root())
        .no_deps()
        .exec()
        .context("could not ask cargo where it builds")?;
    let program = metadata.target_directory.join("debug").join("qpq-sim");
    process::run(process::program(program.as_std_path(), arguments(wanted)))
}

fn arguments(wanted: &Wanted) -> Vec<String> {
    let seeds = [("--core-seeds", wanted.core_seeds), ("--full-seeds", wanted.full_seeds)];
    let mut arguments: Vec<String> =
        seeds.iter().flat_map(|(name, seeds)| [(*name).to_owned(), seeds.to_string()]).collect();
    if let Some(seed) = wanted.seed {
        arguments.extend(["--seed".to_owned(), seed.to_string()]);
    }
    if let Some(replay) = &wanted.replay {
        arguments.extend(["--replay".to_owned(), replay.clone()]);
    }
    if wanted.planted {
        arguments.push("--planted".to_owned());
    }
    arguments
}
