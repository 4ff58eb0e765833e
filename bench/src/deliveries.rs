//! How many, and how fast.

use std::{collections::HashMap, time::Duration};

use anyhow::Context as _;
use futures::future::try_join_all;
use tokio::time::{Instant, MissedTickBehavior};

use crate::{pair::Pair, report::Latency, session::submit};

/// Messages in one call.
const BATCH: usize = 64;
/// Calls of one sender under way.
const CALLS: usize = 2;
/// Until the last message has come.
const PATIENCE: Duration = Duration::from_mins(2);
/// 50 messages per second.
const TICK: Duration = Duration::from_millis(20);

fn id(pair: usize, n: usize, run: u8) -> [u8; 16] {
    let mut id = [run; 16];
    for (place, byte) in id.iter_mut().zip(pair.to_be_bytes().iter().chain(&n.to_be_bytes()[1..])) {
        *place = *byte;
    }
    id
}

/// Deliveries per second: all pairs at once, as fast as they go.
pub(crate) async fn throughput(pairs: &[Pair], messages: usize) -> anyhow::Result<f64> {
    let each = (messages / pairs.len().max(1)).next_multiple_of(BATCH * CALLS);
    let begin = Instant::now();
    let work = pairs.iter().enumerate().map(|(number, pair)| async move {
        let sends = (0..CALLS).map(|lane| async move {
            let groups = pair.sender.groups();
            let mut n = lane * BATCH;
            while n < each {
                let ids: Vec<_> = (n..n + BATCH).map(|n| id(number, n, 0xaa)).collect();
                submit(&groups, &pair.group, &pair.message, &ids).await?;
                n += BATCH * CALLS;
            }
            anyhow::Ok(())
        });
        let receive = async {
            let mut delivered = pair.delivered.lock().await;
            for _ in 0..each {
                delivered.recv().await.context("the receiver ended")?;
            }
            anyhow::Ok(())
        };
        tokio::try_join!(try_join_all(sends), receive)?;
        anyhow::Ok(())
    });
    tokio::time::timeout(PATIENCE, try_join_all(work)).await.context("not everything was delivered")??;
    let total = u32::try_from(each * pairs.len())?;
    Ok(f64::from(total) / begin.elapsed().as_secs_f64())
}

/// From the submit to the acknowledged delivery, at 50 messages per second in all.
pub(crate) async fn steady(pairs: &[Pair], seconds: u64) -> anyhow::Result<Latency> {
    let count = usize::try_from(seconds * 50)?;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = Vec::with_capacity(count);
    let mut begun = HashMap::with_capacity(count);
    for n in 0..count {
        ticks.tick().await;
        let number = n % pairs.len();
        let pair = pairs.get(number).context("no pairs")?;
        let (groups, group, message) = (pair.sender.groups(), pair.group.clone(), pair.message.clone());
        let id = id(number, n, 0xbb);
        begun.insert(id, Instant::now());
        under_way
            .push(tokio::task::spawn_local(async move { submit(&groups, &group, &message, &[id]).await }));
    }
    for call in under_way {
        call.await??;
    }
    let mut took = Vec::with_capacity(count);
    for (number, pair) in pairs.iter().enumerate() {
        let mut delivered = pair.delivered.lock().await;
        for _ in (number..count).step_by(pairs.len()) {
            let next =
                tokio::time::timeout(PATIENCE, delivered.recv()).await.context("a delivery is missing")?;
            let next = next.context("the receiver ended")?;
            let begun = begun.get(&next.id).context("an id that nobody sent")?;
            took.push(next.at.duration_since(*begun));
        }
    }
    Ok(Latency::of(took))
}
