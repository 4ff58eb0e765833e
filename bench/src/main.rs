//! Measures deliveries, latency and memory beside what the machine itself can do, all in one run.
//!
//! `cargo run --release -p qpq-bench`, after `cargo build --release`. The homeservers are `qpq-server` processes on
//! loopback; the load runs in this process, on one thread. A *delivery* is a message that was durable before its
//! submit was answered, and whose receiver's `Inbox` call has returned, its acknowledgement included. The exit code
//! is 1 if one of the bounds (`docs/status.md`) is missed, or if anything failed.

#![expect(clippy::future_not_send, reason = "Cap'n Proto capabilities live on one thread")]

mod clients;
mod domains;
mod federation;
mod idle;
mod log;
mod machine;
mod opaque;
mod pages;
mod people;
mod ports;
mod report;
mod statistics;
mod stopwatch;
mod writes;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use crate::{domains::HomeDomain, stopwatch::Stopwatch};

/// Measures two homeservers on this machine.
#[derive(Clone, Debug, Parser)]
#[command(name = "qpq-bench", version)]
struct Plan {
    /// Length of one round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Rounds of each measurement; the median is shown.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Conversations that are busy at the same time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=50))]
    pairs: u32,
    /// Idle connections.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(20..=20_000))]
    connections: u32,
    /// A look whether everything works: one round of one second, 4 pairs, 100 connections.
    #[arg(long)]
    quick: bool,
    /// Measure the log with a million entries, too; that takes some minutes.
    #[arg(long)]
    million: bool,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Where databases and files go; by default the system's directory for temporary files.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Flushes, group commits, a QUIC echo.
    Machine,
    /// Opaque payloads through real sessions.
    Opaque,
    /// A queue that drains, a thousand peers of which many are away, a start with a million rows.
    Federation,
    /// The key-transparency log with ten thousand and with a hundred thousand entries.
    Log,
    /// Memory per idle connection.
    Idle,
    /// First bytes of the admin listener at 10,000 users and 1,000 peers.
    Pages,
    /// What a client writes per message in a group of a hundred.
    Writes,
    /// Real clients with MLS and stores.
    Clients,
}

impl Plan {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    const fn round(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn main() -> ExitCode {
    let mut plan = Plan::parse();
    if plan.quick {
        plan = Plan { seconds: 1, rounds: 1, pairs: 4, connections: 100, ..plan };
    }
    match run(&plan) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(plan: &Plan) -> anyhow::Result<bool> {
    machine::allow_many_files()?;
    let place = plan.dir.clone().unwrap_or_else(std::env::temp_dir);
    let place = tempfile::Builder::new()
        .prefix("qpq-bench-")
        .tempdir_in(&place)
        .with_context(|| format!("could not make a directory in {}", place.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let outcome = local.block_on(&runtime, measure(plan, place.path()));
    // Tasks that still hold capabilities end before the runtime that drives them, and both before their files.
    drop(local);
    drop(runtime);
    let removed = place.close().context("could not remove what was measured with");
    outcome.and_then(|holds| removed.map(|()| holds))
}

/// Everything in order; whether the bound holds.
async fn measure(plan: &Plan, place: &Path) -> anyhow::Result<bool> {
    let watch = Stopwatch::start();
    machine::facts(place)?;
    let server = domains::server_binary()?;
    if plan.wants(Part::Machine) {
        machine::measure(plan, place).await?;
    }
    if plan.wants(Part::Writes) {
        writes::measure(plan, place).await?;
    }
    let mut holds = true;
    if plan.wants(Part::Opaque) || plan.wants(Part::Clients) {
        let alpha = HomeDomain::start(&server, place, "alpha").await?;
        let beta = HomeDomain::start(&server, place, "beta").await?;
        domains::peer(&alpha, &beta).await?;
        if plan.wants(Part::Opaque) {
            holds = opaque::measure(plan, place, &alpha, &beta).await?;
        }
        if plan.wants(Part::Clients) {
            clients::measure(plan, place, &alpha, &beta).await?;
        }
        alpha.stop().await?;
        beta.stop().await?;
    }
    if plan.wants(Part::Federation) {
        holds &= federation::measure(plan, &server, place).await?;
    }
    if plan.wants(Part::Log) {
        log::measure(plan, &server, place).await?;
    }
    if plan.wants(Part::Idle) {
        idle::measure(plan, &server, place).await?;
    }
    if plan.wants(Part::Pages) {
        pages::measure(plan, &server, place).await?;
    }
    report::line(&format!("\nThe whole run took {:.0} s.", watch.seconds()));
    Ok(holds)
}
