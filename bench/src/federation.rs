//! Federation under strain: a queue that drains when its peer comes back, a thousand peers of which two hundred are away, a
//! start with a million rows.

mod crowd;
mod queue;
mod start;
mod store;

use std::path::Path;

use crate::{
    Plan,
    domains::{self, HomeDomain},
    people, report,
};

/// Conversations between the two domains.
const PAIRS: u32 = 8;

/// Measures and prints; whether the bounds hold.
pub(crate) async fn measure(plan: &Plan, server: &Path, place: &Path) -> anyhow::Result<bool> {
    report::progress("two domains with some users");
    let mut near = HomeDomain::start(server, place, "near").await?;
    let mut far = HomeDomain::start(server, place, "far").await?;
    domains::peer(&near, &far).await?;
    let senders = people::crowd(&near, place, "writer", PAIRS).await?;
    let receivers = people::crowd(&far, place, "reader", PAIRS).await?;
    let drained = queue::measure(plan, &near, &mut far, &senders, &receivers).await?;
    for person in senders.into_iter().chain(receivers) {
        person.client.close().await;
    }
    let crowded = crowd::measure(plan, &mut near, &far, place).await?;
    near.stop().await?;
    far.stop().await?;
    let started = start::measure(plan, server, place).await?;
    let verdict = |holds: bool| if holds { "holds" } else { "**MISSED**" }.to_owned();
    report::table("Federation under strain", &["what", "figure", "bound"]);
    for (what, figure, holds) in [&drained, &crowded, &started] {
        report::row(&[what.clone(), figure.clone(), verdict(*holds)]);
    }
    report::line(&format!("\nLimits raised by configuration: {}.", domains::settings()));
    Ok(drained.2 && crowded.2 && started.2)
}

/// What was measured, the figure in words, whether its bound holds.
type Figure = (String, String, bool);
