//! Messages queue while the peer's process is stopped; the time runs from when it answers again until nothing waits.

use std::{rc::Rc, time::Duration};

use anyhow::ensure;

use super::Figure;
use crate::{Plan, domains::HomeDomain, opaque::lane::Lane, people::Person, report, stopwatch::Stopwatch};

/// How long the queue may take.
const BOUND: Duration = Duration::from_secs(10);
/// After this it is given up.
const PATIENCE: Duration = Duration::from_mins(3);
/// Messages of one submit.
const SUBMIT: usize = 125;
/// How often the queue is looked at.
const LOOK: Duration = Duration::from_millis(20);

pub(super) async fn measure(
    plan: &Plan,
    near: &HomeDomain,
    far: &mut HomeDomain,
    senders: &[Person],
    receivers: &[Person],
) -> anyhow::Result<Figure> {
    let count: usize = if plan.quick { 1_000 } else { 10_000 };
    let lanes: Vec<Rc<Lane>> = Lane::between(senders, receivers).await?;
    report::progress(&format!("{count} messages for a peer that is stopped"));
    let name = far.name().clone();
    let mut queued = 0;
    let started = far
        .while_stopped(async |_| {
            for lane in lanes.iter().cycle().take(count / SUBMIT) {
                lane.submit(&lane.write(SUBMIT)?).await?;
            }
            queued = near.queued_for(&name).await?;
            Ok(())
        })
        .await?;
    ensure!(queued >= u64::try_from(count)?, "only {queued} of {count} messages waited");
    let watch = Stopwatch::start();
    while near.queued_for(&name).await? > 0 {
        ensure!(watch.elapsed() < PATIENCE, "{} messages wait still", near.queued_for(&name).await?);
        tokio::time::sleep(LOOK).await;
    }
    let took = watch.elapsed();
    let figure = format!(
        "{:.1} s after it answered (its start took {:.1} s), {:.0} messages per second",
        took.as_secs_f64(),
        started.as_secs_f64(),
        crate::statistics::per_second(queued, took.as_secs_f64().max(0.001)),
    );
    let what = format!(
        "{queued} queued messages of 1 KiB, drained and known to be durable over there; ≤ {} s",
        BOUND.as_secs()
    );
    Ok((what, figure, took <= BOUND))
}
