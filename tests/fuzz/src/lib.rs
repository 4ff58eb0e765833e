//! What the fuzz targets stand on: seeds, inputs of several parts, and a domain in memory that can be spoken to.
//!
//! A target gives its valid inputs to [`seeds`] when it starts. `tests/fuzz/run.sh` has them written before libFuzzer reads
//! its corpus, so inputs that age (KeyPackages) are fresh in every run; what is committed under `seeds/` is the same,
//! written by `tests/fuzz/run.sh seeds`.

pub mod account;
pub mod conversation;
pub mod home;
#[path = "../../../homeserver/hub/tests/hub/member.rs"]
#[allow(dead_code)]
mod member;
pub mod mls;
pub mod parts;
pub mod proof;
pub mod vectors;

use std::{fs, path::PathBuf};

/// The directory that valid inputs are to be written to.
const WRITE_TO: &str = "QPQ_FUZZ_SEEDS";

/// Writes valid inputs, if somebody wants them.
pub fn seeds(make: impl FnOnce() -> Vec<(&'static str, Vec<u8>)>) {
    let Some(directory) = std::env::var_os(WRITE_TO).map(PathBuf::from) else { return };
    fs::create_dir_all(&directory).expect("a place for the seeds");
    for (name, bytes) in make() {
        fs::write(directory.join(name), bytes).expect("a seed is written");
    }
}
