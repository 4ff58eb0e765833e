//! How long a homeserver takes until it answers when a million rows wait for its peers.

use std::{path::Path, time::Duration};

use super::{Figure, store};
use crate::{Plan, domains::HomeDomain, report, stopwatch::Stopwatch};

/// How long it may take.
const BOUND: Duration = Duration::from_secs(5);
/// Peers that the rows are for.
const PEERS: u32 = 10;

pub(super) async fn measure(plan: &Plan, server: &Path, place: &Path) -> anyhow::Result<Figure> {
    let rows: u32 = if plan.quick { 10_000 } else { 1_000_000 };
    report::progress(&format!("an outbox of {rows} rows"));
    let mut home = HomeDomain::start(server, place, "laden").await?;
    let laden = |n| anyhow::Ok(store::PeerToStore { rows: rows / PEERS, ..store::away(n)? });
    let peers = (0..PEERS).map(laden).collect::<anyhow::Result<_>>()?;
    let watch = Stopwatch::start();
    let empty = home.while_stopped(async |_| Ok(())).await?;
    let started = home.while_stopped(async |directory: &Path| store::peers(directory, peers).await).await?;
    report::progress(&format!("filled and started in {:.0} s", watch.seconds()));
    let resident = home.resident_kib()?;
    home.stop().await?;
    let what =
        format!("a start with {rows} rows in the outbox, until the first answer; ≤ {} s", BOUND.as_secs());
    let figure = format!(
        "{:.2} s, empty {:.2} s; {} MiB resident",
        started.as_secs_f64(),
        empty.as_secs_f64(),
        resident / 1_024
    );
    Ok((what, figure, started <= BOUND))
}
