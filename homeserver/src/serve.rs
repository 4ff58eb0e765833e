//! `qpq-server serve`: puts the rooms together, runs until SIGTERM or SIGINT, and stops in order.

mod start;
mod stop;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::{
    cli::Serve,
    config::{Config, Layers},
    data_dir::DataDir,
    environment::Environment,
    logging,
};

/// Runs the homeserver; everything that can be refused is refused before anything binds.
pub(crate) fn run(directory: &DataDir, flags: &Serve, environment: &Environment) -> anyhow::Result<()> {
    directory.check()?;
    let mut layers = Layers::read(&directory.config(), environment.settings.iter().cloned())?;
    layers.add_flag("client.listen", flags.client_listen.clone());
    layers.add_flag("client.address", flags.client_address.clone());
    layers.add_flag("federation.listen", flags.federation_listen.clone());
    layers.add_flag("federation.address", flags.federation_address.clone());
    let config = Config::parse(&layers)?;
    logging::start(config.log_format, &config.log_filter).map_err(anyhow::Error::msg)?;
    let _lock = directory.lock()?;

    // Sessions and links live on worker threads of their own; this runtime carries what is shared below them.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    runtime.block_on(async {
        let mut stopping = Signals::listen()?;
        let running = start::start(directory, &config, environment).await?;
        info!(
            domain = %config.domain,
            client = %running.facts.client_address,
            federation = %running.facts.federation_address,
            "serving"
        );
        let signal = stopping.first().await;
        info!(signal, "stopping");
        tokio::select! {
            () = stop::stop(running) => {}
            signal = stopping.first() => warn!(signal, "asked twice: stopping at once"),
        }
        Ok(())
    })
}

/// The signals that stop us.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("can't listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("can't listen for SIGINT")?,
        })
    }

    async fn first(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
