//! The project's own tasks: `cargo xtask <verb>`. Each verb is one file.

mod ci;
mod codegen;
mod demo;
mod docs;
mod kills;
mod layers;
mod metrics;
mod process;
mod reference;
mod runbooks;
mod schema_compat;
mod sim;
mod sizes;
mod test;
mod tree;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The project's own tasks")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Builds both programs and runs two domains that talk to each other.
    Demo {
        /// Passed on to `qpq-server demo`, for example `--exit`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Builds the programs and runs every test; with nextest where it is installed.
    Test {
        /// Passed on to the test runner, for example a filter.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Kills a server under load so many times, at moments that a printed seed chooses.
    Kills {
        /// How many times.
        #[arg(long, default_value_t = 200)]
        count: u32,
        /// The seed of a run whose moments are to be repeated.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Plays whole networks of domains under seeded faults, and judges what they promised.
    Sim {
        /// How many seeds the machine of the pure cores plays.
        #[arg(long, default_value_t = 20_000)]
        core_seeds: u64,
        /// How many seeds the machine of the whole protocol plays.
        #[arg(long, default_value_t = 100)]
        full_seeds: u64,
        /// The first seed; without it one is drawn.
        #[arg(long)]
        seed: Option<u64>,
        /// Plays one seed and tells its story.
        #[arg(long, value_name = "MACHINE:SEED")]
        replay: Option<String>,
        /// Puts each known mistake into the code and shows that it is found.
        #[arg(long)]
        planted: bool,
    },
    /// Runs everything that the gate runs: `.ci/run`.
    Ci,
    /// Fails on a dependency that points upward or sideways.
    Layers,
    /// Prints how long the hand-written files are; fails above 1,000 lines.
    Sizes,
    /// Fails when a document names a path or a verb that does not exist.
    Docs,
    /// Fails when a runbook lacks a part or tells people to type what the gate doesn't.
    Runbooks,
    /// Compiles `schemas/*.capnp` to `schemas/src/gen/`.
    Codegen {
        /// Writes nothing; fails when the committed files differ.
        #[arg(long)]
        check: bool,
    },
    /// Writes `compose/monitoring/` and `docs/reference/metrics.md` from the registry of metrics.
    Metrics {
        /// Writes nothing; fails when the committed files differ.
        #[arg(long)]
        check: bool,
    },
    /// Writes the documents in `docs/reference/` that follow lists in the homeserver's code.
    Reference {
        /// Writes nothing; fails when the committed files differ.
        #[arg(long)]
        check: bool,
    },
    /// Fails when the schemas break what `schemas/released/` promised.
    SchemaCompat,
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Demo { arguments } => demo::run(&arguments),
        Verb::Test { arguments } => test::run(&arguments),
        Verb::Kills { count, seed } => kills::run(count, seed),
        Verb::Sim { core_seeds, full_seeds, seed, replay, planted } => {
            sim::run(&sim::Wanted { core_seeds, full_seeds, seed, replay, planted })
        }
        Verb::Ci => ci::run(),
        Verb::Layers => layers::run(),
        Verb::Sizes => sizes::run(),
        Verb::Docs => docs::run(),
        Verb::Runbooks => runbooks::run(),
        Verb::Codegen { check } => codegen::run(check),
        Verb::Metrics { check } => metrics::run(check),
        Verb::Reference { check } => reference::run(check),
        Verb::SchemaCompat => schema_compat::run(),
    }
}

#[expect(clippy::print_stderr, reason = "the one place where a task says what went wrong")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// A result line of a task.
#[expect(clippy::print_stdout, reason = "the one place where tasks print their results")]
fn say(line: &str) {
    println!("{line}");
}
