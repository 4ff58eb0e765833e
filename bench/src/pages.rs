//! The first byte of what an admin's tools ask, at a size that one small domain does not reach: 10,000 users and 1,000
//! peers, of which none answers.

mod fill;
mod first_byte;

use std::path::Path;

use crate::{
    Plan,
    domains::HomeDomain,
    report::{self, number},
    statistics::Latency,
    stopwatch::Stopwatch,
};
use fill::Size;
use first_byte::first_byte;

/// How often each is asked in one round.
const ASKED: usize = 20;
/// What the admin listener has without a sign-in.
const PATHS: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Measures and prints.
pub(crate) async fn measure(plan: &Plan, server: &Path, place: &Path) -> anyhow::Result<()> {
    let size = if plan.quick { Size::small() } else { Size::crowded() };
    report::progress(&format!("a domain with {} users and {} peers", size.users, size.peers));
    let mut home = HomeDomain::start(server, place, "crowded").await?;
    let watch = Stopwatch::start();
    let domain = home.name().clone();
    home.while_stopped(async |directory| fill::domain(directory, &domain, size).await).await?;
    report::progress(&format!("filled and started again in {:.0} s", watch.seconds()));

    let address = home.admin_address()?;
    let title = format!("First byte at {} users and {} peers", size.users, size.peers);
    report::table(&title, &["path", "median ms", "99th percentile ms"]);
    for path in PATHS {
        let mut took = Vec::new();
        for _ in 0..ASKED * usize::try_from(plan.rounds)? {
            took.push(first_byte(address, path).await?);
        }
        let latency = Latency::of(took);
        report::row(&[path.to_owned(), number(latency.p50), number(latency.p99)]);
    }
    home.stop().await
}
