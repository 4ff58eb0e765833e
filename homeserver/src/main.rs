//! `qpq-server`: the appliance that an organisation runs for its own domain.

#![expect(
    clippy::future_not_send,
    reason = "Cap'n Proto is `!Send`: a verb runs on the thread that started it"
)]

mod admin;
mod cli;
mod config;
mod data_dir;
mod demo;
mod environment;
mod init;
mod keys;
mod logging;
mod output;
mod serve;
mod show;
mod verbs;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    admin::AdminError,
    cli::{Cli, Verb},
    config::ConfigError,
    data_dir::{DataDir, DataDirError},
    environment::Environment,
    keys::KeyError,
    output::Format,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = if cli.json { Format::Json } else { Format::Text };
    match run(&cli, format) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(error.as_ref());
            ExitCode::from(exit_code(&error))
        }
    }
}

fn run(cli: &Cli, format: Format) -> anyhow::Result<()> {
    let directory = DataDir::at(&cli.data_dir);
    let environment = Environment::read();
    match &cli.verb {
        Verb::Init(flags) => output::result(format, &alone(init::run(&directory, flags, &environment))??),
        Verb::Serve(flags) => serve::run(&directory, flags, &environment)?,
        Verb::Demo(flags) => alone(demo::run(flags.exit))??,
        Verb::Config(verb) => output::result(format, &show::run(&directory, verb, &environment)?),
        verb => {
            let Some((name, arguments)) = verbs::action(verb).map_err(Usage)? else { return Ok(()) };
            let socket = directory.admin_socket();
            output::result(format, &alone(admin::perform(&socket, name, &arguments))??);
        }
    }
    Ok(())
}

/// Runs one task on a runtime of its own thread.
fn alone<F: Future>(task: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, task))
}

/// The command line can't be understood.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// 2 for usage and configuration, 1 for the rest.
fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(refused) = error.downcast_ref::<AdminError>() {
        return refused.exit_code();
    }
    let configuration = error.is::<Usage>()
        || error.is::<ConfigError>()
        || error.is::<KeyError>()
        || error
            .downcast_ref::<DataDirError>()
            .is_some_and(|error| !matches!(error, DataDirError::Locked(_)));
    if configuration { 2 } else { 1 }
}
