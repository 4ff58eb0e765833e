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
mod doctor;
mod environment;
mod healthcheck;
mod incarnation;
mod init;
mod keys;
mod log_audit;
mod logging;
mod machine;
mod output;
mod probe;
mod production;
#[cfg(test)]
mod reference;
mod running;
mod serve;
mod show;
mod verbs;

use std::{path::Path, process::ExitCode};

use qpq_storage::StorageError;
use serde_json::Value;

use crate::{
    admin::AdminError,
    cli::{Globals, LogVerb, Order, Verb},
    config::ConfigError,
    data_dir::{DataDir, DataDirError},
    environment::Environment,
    keys::KeyError,
    output::Format,
};

fn main() -> ExitCode {
    let (globals, order) = cli::read();
    match run(&globals, &order) {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Problems) => ExitCode::from(3),
        Err(error) => {
            output::error(error.as_ref());
            ExitCode::from(exit_code(&error))
        }
    }
}

/// What a verb found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing to complain about; exit code 0.
    Fine,
    /// A check found problems; exit code 3.
    Problems,
}

fn run(globals: &Globals, order: &Order) -> anyhow::Result<Verdict> {
    let format = if globals.json { Format::Json } else { Format::Text };
    let directory = DataDir::at(&globals.data_dir);
    match order {
        Order::Local(verb) => local(&directory, verb, format),
        Order::Action("doctor", arguments) => {
            let environment = Environment::read();
            let fine = alone(doctor::run(&directory, arguments, &environment, format))??;
            Ok(if fine { Verdict::Fine } else { Verdict::Problems })
        }
        Order::Action(verb, arguments) => {
            let socket = directory.admin_socket();
            alone(ask(&socket, verb, arguments, format))?
        }
    }
}

fn local(directory: &DataDir, verb: &Verb, format: Format) -> anyhow::Result<Verdict> {
    let environment = Environment::read();
    match verb {
        Verb::Init(flags) => output::result(format, &alone(init::run(directory, flags, &environment))??)?,
        Verb::Serve(flags) => serve::run(directory, flags, &environment)?,
        Verb::Demo(flags) => alone(demo::run(flags.exit, flags.domains))??,
        Verb::Incarnation(verb) => {
            output::result(format, &alone(incarnation::run(directory, verb, &environment))??)?;
        }
        Verb::Healthcheck => output::line(&healthcheck::run(directory)?),
        Verb::Config(verb) => output::result(format, &show::run(directory, verb, &environment)?)?,
        Verb::Log(LogVerb::Audit(flags)) => {
            let found = log_audit::run(flags)?;
            output::result(format, &found)?;
            if found.get("ok") == Some(&Value::Bool(false)) {
                return Ok(Verdict::Problems);
            }
        }
    }
    Ok(Verdict::Fine)
}

/// Lets the running homeserver perform an action and prints the result.
async fn ask(socket: &Path, verb: &str, arguments: &Value, format: Format) -> anyhow::Result<Verdict> {
    if verb == "audit.export" {
        admin::export(socket, verb, arguments, output::raw).await?;
        return Ok(Verdict::Fine);
    }
    let result = admin::perform(socket, verb, arguments).await?;
    match (verb, format) {
        ("peer.probe", Format::Text) => output::whole(&probe::written(&result))?,
        // A note is signed to the byte, so it is printed to the byte.
        ("log.head", Format::Text) => output::raw(result["note"].as_str().unwrap_or_default())?,
        _ => output::result(format, &result)?,
    }
    let is_check = matches!(verb, "audit.verify" | "log.verify" | "peer.probe");
    Ok(if is_check && result.get("ok") == Some(&Value::Bool(false)) {
        Verdict::Problems
    } else {
        Verdict::Fine
    })
}

/// Runs one task on a runtime of its own thread.
fn alone<F: Future>(task: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, task))
}

/// 2 for usage and configuration, 1 for the rest.
fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(refused) = error.downcast_ref::<AdminError>() {
        return refused.exit_code();
    }
    let configuration = error.is::<ConfigError>()
        || error.is::<production::Refused>()
        || error.is::<qpq_web::BindError>()
        || error.is::<KeyError>()
        // A log that is not what it signed is not by the next start, either.
        || matches!(error.downcast_ref::<StorageError>(), Some(StorageError::Corrupt { .. }))
        || error
            .downcast_ref::<DataDirError>()
            .is_some_and(|error| !matches!(error, DataDirError::Locked(_)));
    if configuration { 2 } else { 1 }
}
