//! Conversations of real clients: they encrypt, store, send, receive, decrypt and store again.

use std::time::Duration;

use anyhow::Context as _;
use qpq_client::{Client, SendState};
use tokio::time::{Instant, MissedTickBehavior};

use crate::{
    domain::Domains,
    report::{Latency, Report},
};

/// Messages for the figure of throughput.
const MESSAGES: usize = 500;
const PATIENCE: Duration = Duration::from_mins(2);
/// 20 messages per second, which one sender with an encrypted store of its own keeps up with.
const TICK: Duration = Duration::from_millis(50);

pub(crate) async fn measure(domains: &Domains, seconds: u64, report: &mut Report) -> anyhow::Result<()> {
    for federated in [false, true] {
        let (home, kind) = if federated { (&domains.beta, "federated") } else { (&domains.alpha, "local") };
        let (alice, _) = domains.user(&domains.alpha, &format!("{kind}-real-alice")).await?;
        let (bob, address) = domains.user(home, &format!("{kind}-real-bob")).await?;
        let target = address.to_string();
        let (alice_lives, bob_lives) = (alice.go_live(), bob.go_live());
        while alice.send(&target, "hello").await?.state != SendState::Accepted {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        hear(&bob, 1).await?;
        while !bob.wait_unread(1, Duration::from_secs(1)).await?.is_empty() {
            hear(&bob, 1).await?;
        }

        let begin = Instant::now();
        let (sent, heard) = tokio::join!(
            async {
                for n in 0..MESSAGES {
                    alice.send(&target, &n.to_string()).await?;
                }
                anyhow::Ok(())
            },
            hear(&bob, MESSAGES)
        );
        sent?;
        heard?;
        let rate = f64::from(u32::try_from(MESSAGES)?) / begin.elapsed().as_secs_f64();
        report.figure(&format!("{kind}: one sender, one receiver, one after the other"), rate, "per second");

        let count = usize::try_from(seconds * 20)?;
        let (begun, heard) = tokio::join!(
            async {
                let mut ticks = tokio::time::interval(TICK);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let mut begun = Vec::with_capacity(count);
                for n in 0..count {
                    ticks.tick().await;
                    begun.push(Instant::now());
                    alice.send(&target, &n.to_string()).await?;
                }
                anyhow::Ok(begun)
            },
            hear(&bob, count)
        );
        let took = begun?.into_iter().zip(heard?).map(|(begun, heard)| heard.duration_since(begun)).collect();
        report.latency(&format!("{kind}, 20 messages per second"), &Latency::of(took), None);
        drop((alice_lives, bob_lives));
        alice.close().await;
        bob.close().await;
    }
    Ok(())
}

/// Takes so many messages, and says when each was stored and shown.
async fn hear(client: &Client, count: usize) -> anyhow::Result<Vec<Instant>> {
    let mut heard = Vec::with_capacity(count);
    while heard.len() < count {
        let messages = client.wait_unread(200, PATIENCE).await?;
        let last = messages.last().context("a message is missing")?;
        client.mark_shown(last).await?;
        heard.extend(std::iter::repeat_n(Instant::now(), messages.len()));
    }
    Ok(heard)
}
