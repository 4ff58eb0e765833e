//! Nothing is answered before it is on the disk: each flush takes 300 ms longer, and no answer overtakes it.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::time::Duration;

use anyhow::ensure;
use qpq_core::{Clock as _, Millis, SystemClock, Timestamp};
use qpq_tests::{HomeDomain, Resident, eventually, preload::SlowFlush, story};

const DELAY_MS: u64 = 300;
const REPEATS: usize = 4;
const SOON: Duration = Duration::from_mins(1);

async fn restart_slowly(domain: &HomeDomain, slow: &SlowFlush) -> anyhow::Result<()> {
    domain.stop().await?;
    for (name, value) in slow.settings() {
        domain.set(name, &value);
    }
    domain.start().await
}

/// Waits until a client that is awake has its connection back.
async fn connected(resident: &Resident) -> anyhow::Result<()> {
    eventually("the client reconnects", SOON, async || Ok(resident.client().session().ok().map(drop))).await
}

/// An answer that came at `answered` to what was asked at `asked` waited for its flush.
fn waited(slow: &SlowFlush, what: &str, asked: Timestamp, answered: Timestamp) -> anyhow::Result<()> {
    let Millis(took) = answered.since(asked);
    let flush = slow.between(asked, answered)?;
    ensure!(flush.is_some(), "{what} was answered after {took} ms, before any flush had returned");
    ensure!(took >= slow.delay_ms(), "{what} was answered after {took} ms, faster than a flush");
    Ok(())
}

#[test]
fn no_submit_is_answered_before_its_flush_has_returned() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &alpha).await?;
        alice.say("bob@alpha.test", "the group is made").await?;
        alice.sleep().await;
        bob.sleep().await;
        let slow = SlowFlush::compile(world, DELAY_MS)?;
        restart_slowly(&alpha, &slow).await?;
        alice.wake();
        connected(&alice).await?;
        for n in 0..REPEATS {
            let asked = SystemClock.now();
            alice.say("bob@alpha.test", &n.to_string()).await?;
            waited(&slow, "a submit", asked, SystemClock.now())?;
        }
        Ok(())
    })
}

#[test]
fn no_submit_for_another_domain_is_answered_before_its_flush_has_returned() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &beta).await?;
        alice.say("bob@beta.test", "the group is made").await?;
        bob.wake();
        bob.hear(1, SOON).await?;
        bob.sleep().await;
        let slow = SlowFlush::compile(world, DELAY_MS)?;
        restart_slowly(&beta, &slow).await?;
        bob.wake();
        connected(&bob).await?;
        for n in 0..REPEATS {
            let asked = SystemClock.now();
            bob.say("alice@alpha.test", &n.to_string()).await?;
            waited(&slow, "a submit for another domain's hub", asked, SystemClock.now())?;
        }
        Ok(())
    })
}

#[test]
fn no_relay_is_answered_and_no_delivery_pushed_before_its_flush_has_returned() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &beta).await?;
        alice.wake();
        alice.say("bob@beta.test", "the group is made").await?;
        bob.wake();
        bob.hear(1, SOON).await?;
        let slow = SlowFlush::compile(world, DELAY_MS)?;
        restart_slowly(&beta, &slow).await?;
        connected(&bob).await?;
        // The link is up again and idle.
        alice.say("bob@beta.test", "warm").await?;
        bob.hear(1, SOON).await?;
        queue_is_empty(&alpha).await?;
        for n in 0..REPEATS {
            let asked = SystemClock.now();
            alice.say("bob@beta.test", &n.to_string()).await?;
            let (drained, heard) = tokio::join!(queue_is_empty(&alpha), async {
                bob.hear(1, SOON).await?;
                anyhow::Ok(SystemClock.now())
            });
            waited(&slow, "a relay", asked, drained?)?;
            waited(&slow, "a delivery", asked, heard?)?;
        }
        Ok(())
    })
}

/// Waits until the peer has acknowledged everything, and says when that was seen.
async fn queue_is_empty(domain: &HomeDomain) -> anyhow::Result<Timestamp> {
    eventually("the queue drains", SOON, async || {
        let peer = domain.admin(&["peer", "show", "beta.test"]).await?;
        let queued = peer.get("queued").and_then(serde_json::Value::as_u64);
        ensure!(queued.is_some(), "`peer show` tells no queue: {peer}");
        Ok((queued == Some(0)).then(|| SystemClock.now()))
    })
    .await
}
