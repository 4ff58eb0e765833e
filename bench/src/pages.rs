//! The first byte of what an admin's tools ask, at a size that one small domain does not reach: 10,000 users and 1,000
//! peers, of which none answers.

mod fill;
mod first_byte;
mod signed_in;

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
/// What supervisors ask, and every page of the console that lists something, the last page of the long ones besides.
const PATHS: [&str; 17] = [
    "/livez",
    "/readyz",
    "/metrics",
    "/",
    "/users",
    "/users?page=200",
    "/users?search=user-09&sort=seen",
    "/bans",
    "/sessions?address=user-00007@crowded.test",
    "/devices?address=user-00007@crowded.test",
    "/tokens",
    "/federation",
    "/federation?page=20",
    "/audit",
    "/settings",
    "/admins",
    "/health/jobs",
];

/// Measures and prints.
pub(crate) async fn measure(plan: &Plan, server: &Path, place: &Path) -> anyhow::Result<()> {
    let size = if plan.quick { Size::small() } else { Size::crowded() };
    report::progress(&format!("a domain with {} users and {} peers", size.users, size.peers));
    let mut home = HomeDomain::start(server, place, "crowded").await?;
    let watch = Stopwatch::start();
    let domain = home.name().clone();
    let mut headers = String::new();
    let filled = async |directory: &Path| {
        headers = fill::domain(directory, &domain, size).await?;
        Ok(())
    };
    home.while_stopped(filled).await?;
    report::progress(&format!("filled and started again in {:.0} s", watch.seconds()));

    let address = home.admin_address()?;
    let title = format!("First byte at {} users and {} peers", size.users, size.peers);
    report::table(&title, &["path", "median ms", "99th percentile ms", "kB"]);
    for path in PATHS {
        let (mut took, mut largest) = (Vec::new(), 0);
        for _ in 0..ASKED * usize::try_from(plan.rounds)? {
            let answer = first_byte(address, path, &headers).await?;
            took.push(answer.took);
            largest = answer.size.max(largest);
        }
        let latency = Latency::of(took);
        let kilobytes = u32::try_from(largest).map_or(f64::MAX, f64::from) / 1_000.0;
        report::row(&[path.to_owned(), number(latency.p50), number(latency.p99), number(kilobytes)]);
    }
    home.stop().await
}
