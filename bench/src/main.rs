//! Measures deliveries, latency and memory beside what the machine itself can do, all in one run.
//!
//! `cargo run --release -p qpq-bench`. The servers are `qpq-server` processes on loopback, the load runs in this process
//! on one thread. What a *delivery* is: the receiver's `Inbox` call returned, its acknowledgement included, of a message
//! that was durable at the sender's home before its submit was answered.

#![expect(clippy::future_not_send, reason = "Cap'n Proto capabilities live on one thread")]

mod bare;
mod clients;
mod deliveries;
mod domain;
mod idle;
mod pair;
mod report;
mod session;
mod writes;

use std::process::ExitCode;

use clap::Parser;

use crate::{domain::Domains, report::Report};

/// The one bound: what the 99th percentile may take at 50 messages per second.
const P99_MS: f64 = 100.0;

/// Measures two homeservers on this machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Conversations that run at the same time.
    #[arg(long, default_value_t = 16)]
    pairs: usize,
    /// Messages for each figure of throughput.
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// Seconds of 50 messages per second.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Idle connections.
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// Members of the group in which a client's writes are counted.
    #[arg(long, default_value_t = 100)]
    members: usize,
    /// Leaves the group with many members out: it takes minutes to make.
    #[arg(long)]
    quick: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = tokio::task::LocalSet::new().block_on(&runtime, measure(&arguments))?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(arguments: &Arguments) -> anyhow::Result<Report> {
    domain::build()?;
    let mut report = Report::new();
    report.title("The machine, without us");
    bare::measure(&mut report).await?;

    let domains = Domains::start().await?;
    report.title("Opaque payloads of 1 KiB through real sessions");
    report.note(&format!("limits raised by configuration: {}", domain::raised()));
    for federated in [false, true] {
        let pairs = pair::make(&domains, arguments.pairs, federated).await?;
        let kind = if federated { "federated" } else { "local" };
        let rate = deliveries::throughput(&pairs, arguments.messages).await?;
        report.figure(&format!("durable {kind} deliveries"), rate, "per second");
        let latency = deliveries::steady(&pairs, arguments.seconds).await?;
        report.latency(&format!("{kind}, 50 messages per second"), &latency, Some(P99_MS));
    }
    let memory = idle::measure(&domains, arguments.connections).await?;
    report.figure(
        &format!("server memory per idle connection, {} open", arguments.connections),
        memory,
        "KiB",
    );

    report.title("Real clients: MLS, their own stores");
    clients::measure(&domains, arguments.seconds, &mut report).await?;
    if !arguments.quick {
        writes::measure(&domains, arguments.members, &mut report).await?;
    }
    domains.stop().await?;
    Ok(report)
}
