//! The command-line client `qpq`: one account's device, one command at a time.
//!
//! Exit status: 0 it is done (for `send` also: it is queued), 1 it is not, 2 the command line is wrong.

#![expect(clippy::future_not_send, reason = "Cap'n Proto capabilities live on one thread")]

mod args;
#[expect(clippy::print_stderr, reason = "printing is this module's job")]
mod output;
mod secrets;
mod verbs;

use std::{io::IsTerminal as _, process::ExitCode};

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // clap prints usage errors itself and ends with status 2.
    let arguments = args::Arguments::read();
    // The command's own words tell what went wrong; the log is for those who ask for it with RUST_LOG.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off")))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::failed(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: args::Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the asynchronous runtime")?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, verbs::run(arguments))
}
