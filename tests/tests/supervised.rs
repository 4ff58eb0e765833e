//! What a supervisor is told over `NOTIFY_SOCKET`, and what a second signal does.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use qpq_tests::{HomeDomain, World, eventually, story};
use rustix::process::Signal;
use tokio::net::UnixDatagram;

const SOON: Duration = Duration::from_secs(20);

/// A supervisor's socket.
struct Supervisor(UnixDatagram);

impl Supervisor {
    /// Supervises a domain from its next start on.
    fn of(world: &World, domain: &HomeDomain) -> anyhow::Result<Self> {
        let path = world.path().join("notify");
        let socket = UnixDatagram::bind(&path).context("could not bind the supervisor's socket")?;
        domain.set("NOTIFY_SOCKET", &path.to_string_lossy());
        domain.set("WATCHDOG_USEC", "400000");
        Ok(Self(socket))
    }

    /// Hears until a message has this line; returns the whole message.
    async fn hears(&self, line: &str) -> anyhow::Result<String> {
        let hearing = async {
            let mut buffer = [0; 4_096];
            loop {
                let length = self.0.recv(&mut buffer).await?;
                let message = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
                if message.lines().any(|said| said == line) {
                    return anyhow::Ok(message);
                }
            }
        };
        tokio::time::timeout(SOON, hearing).await.with_context(|| format!("`{line}` was never said"))?
    }
}

#[test]
fn a_supervisor_hears_of_readiness_reloads_life_and_the_stop() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.dormant("alpha", &[]).await?;
        let supervisor = Supervisor::of(world, &alpha)?;
        alpha.start().await?;
        supervisor.hears("READY=1").await?;
        supervisor.hears("WATCHDOG=1").await?;
        supervisor.hears("WATCHDOG=1").await?;
        alpha.signal(Signal::HUP)?;
        let reloading = supervisor.hears("RELOADING=1").await?;
        let since = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        let since: u64 = since.with_context(|| format!("no time in {reloading:?}"))?.parse()?;
        ensure!(since > 0);
        supervisor.hears("READY=1").await?;
        alpha.signal(Signal::TERM)?;
        supervisor.hears("STOPPING=1").await?;
        ensure!(alpha.ended().await?.code() == Some(0));
        Ok(())
    })
}

#[test]
fn a_second_signal_ends_at_once_with_another_code() -> anyhow::Result<()> {
    story(async |world| {
        // Long enough that only the second signal can end it in time.
        let alpha = world.domain_with("alpha", &[("QPQ_DRAIN_NOTICE", "10m")]).await?;
        alpha.signal(Signal::TERM)?;
        eventually("the drain begins", SOON, async || {
            let asked = alpha.server(&["healthcheck"])?.run().await?;
            Ok((asked.code == Some(1) && asked.stderr.contains("draining")).then_some(()))
        })
        .await?;
        alpha.signal(Signal::TERM)?;
        ensure!(alpha.ended().await?.code() == Some(1), "a stop that was cut short is no success");
        // What was kept is kept: it starts as after any other end.
        alpha.start().await
    })
}
