//! `qpq-server serve`: puts the rooms together, runs until SIGTERM or SIGINT, and stops in order.

mod certificates;
mod console;
mod log;
mod probe;
mod scheduler;
mod setup_link;
mod start;
mod stop;
mod supervisor;

use std::sync::Arc;

use anyhow::{Context as _, bail};
use qpq_core::{Clock as _, SystemClock};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::{
    cli::Serve,
    config::{Config, ConfigError, Layers},
    data_dir::DataDir,
    environment::Environment,
    logging,
    production::{Facts, Refused},
};

/// Runs the homeserver; everything that can be refused is refused before anything binds.
pub(crate) fn run(directory: &DataDir, flags: &Serve, environment: &Environment) -> anyhow::Result<()> {
    directory.check()?;
    let layers = layers(directory, flags, environment)?;
    let config = Config::parse(&layers)?;
    logging::start(config.log_format, &config.log_filter).map_err(anyhow::Error::msg)?;
    if config.production {
        let found = Facts::gather(directory, &config, environment, SystemClock.now()).violations();
        if !found.is_empty() {
            return Err(Refused(found).into());
        }
    }
    let _lock = directory.lock()?;

    // Sessions and links live on worker threads of their own; this runtime carries what is shared below them.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    runtime.block_on(async {
        let mut stopping = Signals::listen()?;
        let running = start::start(directory, &config, environment, (layers, flag_values(flags))).await?;
        info!(
            domain = %config.domain,
            client = %running.facts.client_address,
            federation = %running.facts.federation_address,
            "serving"
        );
        let keeper = supervisor::ready(&running.tasks, &running.stopping);
        let ground = Arc::clone(&running.ground);
        let halted = tokio::select! {
            signal = stopping.first(|| supervisor::reload(&running.configuration, &running.certificates)) => {
                info!(signal, "stopping");
                None
            }
            why = ground.halted() => {
                error!(why, "this server must not go on: stopping");
                Some(why)
            }
        };
        drop((keeper, ground));
        supervisor::stopping();
        tokio::select! {
            () = stop::stop(running) => halted.map_or(Ok(()), |why| Err(start::rolled_back(&why))),
            signal = stopping.first(|| {}) => {
                warn!(signal, "asked twice: stopping at once");
                bail!("asked twice to stop: what was in flight was not waited for (what was accepted is kept)")
            }
        }
    })
}

/// File and environment with this command line's flags on top.
fn layers(directory: &DataDir, flags: &Serve, environment: &Environment) -> Result<Layers, ConfigError> {
    let mut layers = Layers::read(&directory.config(), environment.settings.iter().cloned())?;
    for (key, value) in flag_values(flags) {
        layers.add_flag(key, value);
    }
    Ok(layers)
}

/// The settings that flags set.
fn flag_values(flags: &Serve) -> Vec<(&'static str, Option<String>)> {
    let values = [
        ("client.listen", &flags.client_listen),
        ("client.address", &flags.client_address),
        ("federation.listen", &flags.federation_listen),
        ("federation.address", &flags.federation_address),
        ("admin.listen", &flags.admin_listen),
        ("public.listen", &flags.public_listen),
    ];
    values.into_iter().map(|(key, value)| (key, value.clone())).collect()
}

/// The signals that stop us.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("can't listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("can't listen for SIGINT")?,
            hangup: signal(SignalKind::hangup()).context("can't listen for SIGHUP")?,
        })
    }

    /// The first signal that stops us; each SIGHUP before it reloads.
    async fn first(&mut self, reload: impl Fn()) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => reload(),
            }
        }
    }
}
