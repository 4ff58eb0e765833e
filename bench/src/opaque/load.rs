//! The two loads: as fast as it goes, and paced.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use tokio::{task::spawn_local, time::MissedTickBehavior};

use super::{Push, lane::Lane};
use crate::{
    Plan,
    domains::HomeDomain,
    machine,
    statistics::{Latency, LatencyRounds, Rounds, per_second},
    stopwatch::Stopwatch,
};

/// Messages per second of the paced load, all pairs together.
pub(crate) const PER_SECOND: u32 = 50;
/// How long nothing may come while something is under way.
const PATIENCE: Duration = Duration::from_mins(1);

/// What came of pushing.
#[derive(Debug)]
pub(super) struct Pushed {
    /// Deliveries per second.
    pub(super) rounds: Rounds,
    /// How many cores were busy with the load, then with each homeserver.
    pub(super) busy: Vec<f64>,
}

/// Delays of the paced load.
#[derive(Debug, Default)]
pub(crate) struct Delays {
    /// From the submit until the receiver's acknowledgement was answered.
    pub(crate) delivered: LatencyRounds,
    /// From the submit until its answer.
    pub(crate) accepted: LatencyRounds,
}

/// Deliveries per second, all pairs at once, as fast as they go.
pub(super) async fn throughput(
    plan: &Plan,
    lanes: &[Rc<Lane>],
    push: Push,
    domains: &[&HomeDomain],
) -> anyhow::Result<Pushed> {
    let stop = Rc::new(Cell::new(false));
    let senders = lanes.iter().flat_map(|lane| {
        let stop = &stop;
        (0..push.calls).map(move |_| {
            let (lane, stop) = (Rc::clone(lane), Rc::clone(stop));
            async move { spawn_local(async move { send(&lane, push, &stop).await }).await? }
        })
    });
    let measuring = async {
        let delivered = || lanes.iter().map(|lane| lane.receiver.delivered()).sum::<u64>();
        tokio::time::sleep(plan.round()).await;
        let mut rounds = Rounds::default();
        let (whole, busy_before) = (Stopwatch::start(), busy(domains)?);
        for _ in 0..plan.rounds {
            let (watch, before) = (Stopwatch::start(), delivered());
            tokio::time::sleep(plan.round()).await;
            rounds.push(per_second(delivered() - before, watch.seconds()));
        }
        let busy: Vec<_> = busy(domains)?
            .iter()
            .zip(&busy_before)
            .map(|(after, before)| after.saturating_sub(*before).as_secs_f64() / whole.seconds())
            .collect();
        stop.set(true);
        anyhow::Ok(Pushed { rounds, busy })
    };
    let (_, pushed) = tokio::try_join!(try_join_all(senders), measuring)?;
    for lane in lanes {
        until(lane, || lane.under_way() == 0).await?;
    }
    Ok(pushed)
}

/// How long the load and each homeserver have been on a processor.
fn busy(domains: &[&HomeDomain]) -> anyhow::Result<Vec<Duration>> {
    let own = machine::processor_time(std::process::id());
    std::iter::once(own).chain(domains.iter().map(|domain| domain.processor_time())).collect()
}

/// One of a sender's calls, again and again.
async fn send(lane: &Lane, push: Push, stop: &Cell<bool>) -> anyhow::Result<()> {
    let batch = u64::try_from(push.batch)?;
    while !stop.get() {
        until(lane, || stop.get() || lane.under_way() + batch <= push.window).await?;
        let messages = lane.write(push.batch)?;
        lane.submit(&messages).await?;
    }
    Ok(())
}

/// Waits for deliveries until something holds.
async fn until(lane: &Lane, holds: impl Fn() -> bool) -> anyhow::Result<()> {
    loop {
        // Before looking: what comes in between wakes it as well.
        let news = lane.receiver.news();
        if holds() {
            return Ok(());
        }
        tokio::time::timeout(PATIENCE, news).await.with_context(|| {
            format!("{} messages were not delivered within {} s", lane.under_way(), PATIENCE.as_secs())
        })?;
    }
}

/// The paced load: one message a call, the pairs in turn.
pub(crate) async fn latency(plan: &Plan, lanes: &[Rc<Lane>]) -> anyhow::Result<Delays> {
    let mut delays = Delays::default();
    // A round has at least some hundred messages, else its 99th percentile is its worst one.
    let count = usize::try_from(plan.seconds.saturating_mul(u64::from(PER_SECOND)))?.max(100);
    paced(lanes, count / 4).await?;
    for _ in 0..plan.rounds {
        let (delivered, accepted) = paced(lanes, count).await?;
        delays.delivered.push(delivered);
        delays.accepted.push(accepted);
    }
    Ok(delays)
}

async fn paced(lanes: &[Rc<Lane>], count: usize) -> anyhow::Result<(Latency, Latency)> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut calls = Vec::with_capacity(count);
    for lane in lanes.iter().cycle().take(count) {
        ticks.tick().await;
        let lane = Rc::clone(lane);
        calls.push(spawn_local(async move {
            let messages = lane.write(1)?;
            let watch = Stopwatch::start();
            for message in &messages {
                lane.receiver.time(message.id, watch);
            }
            lane.submit(&messages).await?;
            anyhow::Ok(watch.elapsed())
        }));
    }
    let mut accepted = Vec::with_capacity(count);
    for call in calls {
        accepted.push(call.await??);
    }
    let mut delivered = Vec::with_capacity(count);
    for lane in lanes {
        until(lane, || lane.receiver.missing() == 0).await?;
        delivered.extend(lane.receiver.take_times());
    }
    ensure!(delivered.len() == count, "{} of {count} messages were timed", delivered.len());
    Ok((Latency::of(delivered), Latency::of(accepted)))
}
