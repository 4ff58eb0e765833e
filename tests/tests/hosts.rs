//! Two homeservers on hosts of their own, with a real link between them: cut, cut one way, flapping, narrow, lossy.
//!
//! Each host is a network namespace (`qpq_tests::hosts`). Where the machine permits none, each story says `SKIPPED` with
//! the reason; the gate shows what these stories print, also when they succeed.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, ensure};
use qpq_core::MessageId;
use qpq_tests::{
    HomeDomain, Resident, World, eventually,
    hosts::{Host, Network},
    lane::{Lane, PAYLOAD},
    peer,
    proxy::{UdpProxy, Weather},
    told,
};
use serde_json::Value;
use tokio::time::Instant;

const STORY: Duration = Duration::from_mins(4);
/// How long something may take that needs no retry.
const SOON: Duration = Duration::from_secs(30);
/// How long an outage may need to be over: a retry that was just missed, with all of its jitter.
const RETRIED: Duration = Duration::from_secs(75);
/// Messages that wait for a peer that is cut off.
const MANY: usize = 10_000;

/// What is raised where thousands of messages wait for one device.
const RAISED: [(&str, &str); 2] =
    [("QPQ_LIMITS_MAILBOX_MESSAGES", "100000"), ("QPQ_LIMITS_SUBMITS_PER_MINUTE", "1000000")];

/// Two domains on two hosts. What is named first here ends first.
struct Two {
    /// Alice and carol at alpha, bob and dora at beta.
    people: [Resident; 4],
    alpha: HomeDomain,
    beta: HomeDomain,
    /// Of the line from alpha to beta and of the one back, if they lead through proxies.
    proxies: Vec<UdpProxy>,
    alpha_host: Host,
    beta_host: Host,
    _network: Network,
}

/// How the two reach each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Direct,
    Proxied,
}

#[expect(clippy::print_stderr, reason = "figures, and why something was skipped, are for people")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Tells a story about two hosts, or says why it can't be told here.
fn on_two_hosts(line: Line, story: impl AsyncFnOnce(&Two) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let network = match Network::open()? {
        Ok(network) => network,
        Err(why) => {
            say(&format!("SKIPPED: no network namespaces can be made here: {why}"));
            return Ok(());
        }
    };
    told(STORY, async |world| {
        let two = Box::pin(Two::begin(world, network, line)).await?;
        story(&two).await
    })
}

impl Two {
    async fn begin(world: &World, network: Network, line: Line) -> anyhow::Result<Self> {
        let (alpha_host, beta_host) = (network.host()?, network.host()?);
        let alpha = world.dormant_on(&alpha_host, "alpha", &RAISED).await?;
        let beta = world.dormant_on(&beta_host, "beta", &RAISED).await?;
        let mut proxies = Vec::new();
        if line == Line::Proxied {
            // Each tells its peer the proxy's address instead of its own.
            let here = IpAddr::from(network.address());
            for (domain, seed) in [(&alpha, 1), (&beta, 2)] {
                let proxy = UdpProxy::start(here, domain.federation_address().parse()?, seed).await?;
                domain.set("QPQ_FEDERATION_ADDRESS", &proxy.address().to_string());
                proxies.push(proxy);
            }
        }
        tokio::try_join!(alpha.start(), beta.start())?;
        peer(&alpha, &beta).await?;
        let (alice, carol, bob, dora) = tokio::try_join!(
            Resident::register(world, "alice", &alpha),
            Resident::register(world, "carol", &alpha),
            Resident::register(world, "bob", &beta),
            Resident::register(world, "dora", &beta),
        )?;
        Ok(Self {
            people: [alice, carol, bob, dora],
            alpha,
            beta,
            proxies,
            alpha_host,
            beta_host,
            _network: network,
        })
    }

    /// A lane in each direction.
    async fn lanes(&self) -> anyhow::Result<(Lane, Lane)> {
        let [alice, carol, bob, dora] = &self.people;
        Ok((Lane::between(alice, bob).await?, Lane::between(dora, carol).await?))
    }

    /// What an admin of `domain` sees of the other.
    async fn sees(&self, domain: &HomeDomain) -> anyhow::Result<Value> {
        let other = if domain.name() == self.alpha.name() { &self.beta } else { &self.alpha };
        domain.admin(&["peer", "show", other.name().as_str()]).await
    }

    async fn queued(&self, domain: &HomeDomain) -> anyhow::Result<u64> {
        self.sees(domain).await?.get("queued").and_then(Value::as_u64).context("`peer show` names no queue")
    }

    /// Waits until nothing waits for the peer any more: what arrived is also known to have arrived.
    async fn drained(&self, domain: &HomeDomain) -> anyhow::Result<()> {
        let what = format!("nothing waits at {}", domain.name());
        eventually(&what, RETRIED, async || Ok((self.queued(domain).await? == 0).then_some(()))).await
    }
}

/// Everything arrived: all of it, once, in order.
fn arrived(lane: &Lane, sent: &[MessageId]) -> anyhow::Result<()> {
    let delivered = lane.receiver().delivered();
    ensure!(delivered.len() == sent.len(), "{} were sent, {} delivered", sent.len(), delivered.len());
    let wrong = delivered.iter().zip(sent).position(|(delivered, sent)| delivered != sent);
    ensure!(wrong.is_none(), "the order breaks at message {wrong:?}");
    Ok(())
}

#[test]
fn ten_thousand_messages_wait_for_a_peer_that_is_cut_off_and_arrive_once_and_in_order() -> anyhow::Result<()>
{
    on_two_hosts(Line::Direct, async |two| {
        let (there, back) = two.lanes().await?;
        two.beta_host.cut()?;
        let accepting = Instant::now();
        let sent = there.submit(MANY).await?;
        let accepted = accepting.elapsed();
        let queued = two.queued(&two.alpha).await?;
        ensure!(queued >= u64::try_from(MANY)?, "{queued} of {MANY} wait for the peer");
        eventually("alpha knows that beta is away", SOON, async || {
            let seen = two.sees(&two.alpha).await?;
            Ok((seen.get("state").and_then(Value::as_str) == Some("backing-off")).then_some(()))
        })
        .await?;
        ensure!(there.receiver().count() == 0, "something crossed a link that is cut");

        two.beta_host.mend()?;
        // The peer is back when it speaks: that ends alpha's backoff.
        let (returned, spoken) = (Instant::now(), back.submit(1).await?);
        there.receiver().until(MANY, RETRIED).await?;
        let first = there.receiver().delivered_at(0).context("the first message")?;
        let last = there.receiver().delivered_at(MANY - 1).context("the last message")?;
        say(&format!(
            "{MANY} messages of {PAYLOAD} bytes: accepted in {:.1} s while the peer was cut off; delivered {:.1} s after its \
             return, {:.1} s from the first to the last. Raised: {RAISED:?}",
            accepted.as_secs_f64(),
            (last - returned).as_secs_f64(),
            (last - first).as_secs_f64(),
        ));
        two.drained(&two.alpha).await?;
        two.drained(&two.beta).await?;
        arrived(&there, &sent)?;
        arrived(&back, &spoken)
    })
}

#[test]
fn a_link_that_is_cut_one_way_delays_both_directions_and_loses_nothing() -> anyhow::Result<()> {
    on_two_hosts(Line::Direct, async |two| {
        let (there, back) = two.lanes().await?;
        // Beta hears nothing of alpha any more, alpha hears beta.
        two.alpha_host.mute_towards(&two.beta_host)?;
        let (sent, answered) = (there.submit(300).await?, back.submit(300).await?);
        eventually("alpha knows that beta does not answer", SOON, async || {
            let seen = two.sees(&two.alpha).await?;
            Ok((seen.get("state").and_then(Value::as_str) != Some("healthy")).then_some(()))
        })
        .await?;
        ensure!(there.receiver().count() == 0, "something crossed the direction that is cut");
        two.alpha_host.unmute_towards(&two.beta_host)?;
        there.receiver().until(300, RETRIED).await?;
        back.receiver().until(300, RETRIED).await?;
        two.drained(&two.alpha).await?;
        two.drained(&two.beta).await?;
        arrived(&there, &sent)?;
        arrived(&back, &answered)
    })
}

#[test]
fn a_flapping_link_delivers_everything_once_and_in_order() -> anyhow::Result<()> {
    on_two_hosts(Line::Direct, async |two| {
        let (there, back) = two.lanes().await?;
        let flapping = async {
            // The times are the story: shorter and longer than the timers of QUIC.
            for (down, up) in
                [(40, 200), (150, 80), (400, 300), (900, 100), (60, 500), (1_500, 250), (300, 0)]
            {
                two.beta_host.cut()?;
                tokio::time::sleep(Duration::from_millis(down)).await;
                two.beta_host.mend()?;
                tokio::time::sleep(Duration::from_millis(up)).await;
            }
            anyhow::Ok(())
        };
        let talking = async |lane: &Lane| {
            let mut sent = Vec::new();
            for _ in 0..60 {
                sent.extend(lane.submit(10).await?);
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
            anyhow::Ok(sent)
        };
        let ((), sent, answered) = tokio::try_join!(flapping, talking(&there), talking(&back))?;
        there.receiver().until(sent.len(), RETRIED).await?;
        back.receiver().until(answered.len(), RETRIED).await?;
        two.drained(&two.alpha).await?;
        two.drained(&two.beta).await?;
        arrived(&there, &sent)?;
        arrived(&back, &answered)
    })
}

#[test]
fn a_narrow_link_takes_its_time_and_drains_all_the_same() -> anyhow::Result<()> {
    on_two_hosts(Line::Direct, async |two| {
        let (there, back) = two.lanes().await?;
        // A call with as many rows as may go into one would not get through here within its deadline.
        let kilobits = 100;
        two.alpha_host.narrow(kilobits)?;
        let since = Instant::now();
        let sent = there.submit(300).await?;
        let answered = back.submit(20).await?;
        there.receiver().until(sent.len(), RETRIED).await?;
        let took = since.elapsed();
        back.receiver().until(answered.len(), RETRIED).await?;
        let bytes = u32::try_from(sent.len() * PAYLOAD)?;
        let least = f64::from(bytes) * 8.0 / 1_000.0 / f64::from(kilobits);
        say(&format!(
            "{} messages of {PAYLOAD} bytes through {kilobits} kbit/s: {:.1} s, at least {least:.1} s for their bytes",
            sent.len(),
            took.as_secs_f64()
        ));
        ensure!(took.as_secs_f64() >= least * 0.9, "the link was not narrow");
        ensure!(took.as_secs_f64() <= least * 2.0 + 5.0, "half of the link was wasted");
        two.drained(&two.alpha).await?;
        arrived(&there, &sent)?;
        arrived(&back, &answered)
    })
}

#[test]
fn five_percent_loss_with_delay_and_reordering_delivers_everything_once_and_in_order() -> anyhow::Result<()> {
    on_two_hosts(Line::Proxied, async |two| {
        let (there, back) = two.lanes().await?;
        for proxy in &two.proxies {
            proxy.set(Weather {
                lost_per_mille: 50,
                doubled_per_mille: 20,
                held_back_per_mille: 30,
                delay: Duration::from_millis(20),
                jitter: Duration::from_millis(10),
            });
        }
        let since = Instant::now();
        let (sent, answered) = tokio::try_join!(there.submit(1_000), back.submit(1_000))?;
        there.receiver().until(sent.len(), RETRIED).await?;
        back.receiver().until(answered.len(), RETRIED).await?;
        let took = since.elapsed();
        let counts: Vec<_> = two.proxies.iter().map(UdpProxy::counts).collect();
        say(&format!("1000 messages each way in bad weather: {:.1} s; {counts:?}", took.as_secs_f64()));
        ensure!(
            counts.iter().any(|counts| counts.lost > 20 && counts.held_back > 10),
            "the weather was good"
        );
        two.drained(&two.alpha).await?;
        two.drained(&two.beta).await?;
        arrived(&there, &sent)?;
        arrived(&back, &answered)
    })
}
