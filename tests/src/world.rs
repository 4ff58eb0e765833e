//! One story's world: its directory, its domains, its clock, and what is printed when it fails.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{task::LocalSet, time::Instant};

use crate::{HomeDomain, Person, hosts::Host, ports::Ports};

/// How long a story may take unless it says otherwise. Two cores build and test at the same time.
const STORY: Duration = Duration::from_mins(4);
/// How much of each log is printed when a story fails.
const LOG_BYTES: usize = 12_000;

/// Where one story happens. Everything it started ends with it.
#[derive(Debug)]
pub struct World {
    directory: tempfile::TempDir,
    ports: Ports,
    logs: RefCell<Vec<PathBuf>>,
}

/// Tells a story: runs it on one thread where Cap'n Proto capabilities may live, with the usual deadline.
pub fn story<F>(story: F) -> anyhow::Result<()>
where
    F: AsyncFnOnce(&World) -> anyhow::Result<()>,
{
    told(STORY, story)
}

/// Tells a story that takes longer.
pub fn told<F>(deadline: Duration, story: F) -> anyhow::Result<()>
where
    F: AsyncFnOnce(&World) -> anyhow::Result<()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let world = World::new()?;
    let local = LocalSet::new();
    let outcome = local.block_on(&runtime, async {
        tokio::time::timeout(deadline, story(&world))
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the story did not end within {} s", deadline.as_secs())))
    });
    if outcome.is_err() {
        world.print_logs();
    }
    // Tasks that still hold capabilities end before the runtime that drives them.
    drop(local);
    outcome
}

impl World {
    /// An empty world.
    pub fn new() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("qpq-world-")
            .tempdir()
            .context("could not make a directory for the world")?;
        Ok(Self { directory, ports: Ports::default(), logs: RefCell::default() })
    }

    /// Where its files are.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A running domain `NAME.test` with the default configuration.
    pub async fn domain(&self, name: &str) -> anyhow::Result<HomeDomain> {
        self.domain_with(name, &[]).await
    }

    /// A running domain `NAME.test` with settings from the environment, for example `QPQ_LIMITS_…`.
    pub async fn domain_with(&self, name: &str, settings: &[(&str, &str)]) -> anyhow::Result<HomeDomain> {
        let domain = self.dormant(name, settings).await?;
        domain.start().await?;
        Ok(domain)
    }

    /// A domain that was made but does not run yet.
    pub async fn dormant(&self, name: &str, settings: &[(&str, &str)]) -> anyhow::Result<HomeDomain> {
        Ok(self.known(HomeDomain::init(self, name, settings, None).await?))
    }

    /// A domain on a host of its own that was made but does not run yet.
    pub async fn dormant_on(
        &self,
        host: &Host,
        name: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<HomeDomain> {
        Ok(self.known(HomeDomain::init(self, name, settings, Some(host)).await?))
    }

    /// Its log is shown when the story fails.
    fn known(&self, domain: HomeDomain) -> HomeDomain {
        self.logs.borrow_mut().push(domain.log().to_owned());
        domain
    }

    /// Two running domains that are peers.
    pub async fn two_domains(&self) -> anyhow::Result<(HomeDomain, HomeDomain)> {
        self.two_domains_with(&[]).await
    }

    /// Two running domains that are peers, both with these settings.
    pub async fn two_domains_with(
        &self,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<(HomeDomain, HomeDomain)> {
        let alpha = self.domain_with("alpha", settings).await?;
        let beta = self.domain_with("beta", settings).await?;
        crate::peer(&alpha, &beta).await?;
        Ok((alpha, beta))
    }

    /// A user of `domain`, registered by a `qpq` process.
    pub async fn person(&self, name: &str, domain: &HomeDomain) -> anyhow::Result<Person> {
        let person = Person::new(self, name, domain)?;
        person.register(domain).await?;
        Ok(person)
    }

    /// A UDP port that nobody else in any world uses.
    pub(crate) fn port(&self) -> anyhow::Result<u16> {
        self.ports.take()
    }

    #[expect(clippy::print_stderr, reason = "the test runner shows it beside the failure")]
    fn print_logs(&self) {
        for path in self.logs.borrow().iter() {
            let text = std::fs::read(path).unwrap_or_default();
            let text =
                String::from_utf8_lossy(text.get(text.len().saturating_sub(LOG_BYTES)..).unwrap_or(&text));
            eprintln!("--- {}\n{text}", path.display());
        }
    }
}

/// Asks again and again until the answer is there; for what nobody announces. The deadline is an error.
pub async fn eventually<T, F>(what: &str, within: Duration, mut ask: F) -> anyhow::Result<T>
where
    F: AsyncFnMut() -> anyhow::Result<Option<T>>,
{
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        anyhow::ensure!(Instant::now() < deadline, "did not happen within {} s: {what}", within.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
