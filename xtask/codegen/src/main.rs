//! The schema compiler: `schemas/*.capnp` to the Rust in `schemas/src/gen/`, and the check that the contract only grows.
//!
//! A program of its own, outside the default members, because the embedded compiler is slow to build and only
//! `cargo xtask codegen` and `cargo xtask schema-compat` need it. It pins one compiler, since the output depends on it.

mod compat;
mod compile;
mod generate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "qpq-codegen", about = "Compiles the schemas; started by `cargo xtask`")]
struct Arguments {
    /// The directory that holds the schemas.
    #[arg(long, default_value = "schemas")]
    schemas: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Writes `src/gen/*.rs`.
    Generate {
        /// Writes nothing; fails when the committed files differ.
        #[arg(long)]
        check: bool,
    },
    /// Fails when a released field, method, type or enumerant was removed, renumbered or retyped.
    Compat,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match arguments.verb {
        Verb::Generate { check: false } => generate::write(&arguments.schemas),
        Verb::Generate { check: true } => generate::check(&arguments.schemas),
        Verb::Compat => compat::check(&arguments.schemas),
    }
}

#[expect(clippy::print_stderr, reason = "the one place where this program says what went wrong")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
