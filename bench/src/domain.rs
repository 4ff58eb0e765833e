//! The two homeservers under load: built, started, peered and stopped.

use std::{
    ffi::OsString,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use qpq_client::{Client, Options, Server, Trust, store::StoreKey, store::Unlock};
use qpq_core::{Address, Domain, Pin, Secret};
use serde_json::Value;
use tokio::time::Instant;

const READY: Duration = Duration::from_secs(30);

/// What is raised, so that the load meets the machine and not a limit.
const RAISED: [(&str, &str); 4] = [
    ("QPQ_LIMITS_MAILBOX_MESSAGES", "10000000"),
    ("QPQ_LIMITS_SUBMITS_PER_MINUTE", "10000000"),
    ("QPQ_LIMITS_CLAIM_BURST", "100000"),
    ("QPQ_REGISTRATION_POLICY", "open"),
];

/// The raised limits, for the report.
pub(crate) fn raised() -> String {
    RAISED.map(|(name, value)| format!("{name}={value}")).join(" ")
}

/// Builds the server in the profile that this program was built in.
pub(crate) fn build() -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "qpq-homeserver", "--bins"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().context("could not start cargo")?;
    ensure!(status.success(), "the server could not be built");
    Ok(())
}

/// Both domains.
#[derive(Debug)]
pub(crate) struct Domains {
    /// Everybody's home in local figures, the senders' home in federated ones.
    pub(crate) alpha: HomeDomain,
    /// The receivers' home in federated figures.
    pub(crate) beta: HomeDomain,
    directory: tempfile::TempDir,
}

/// One domain.
#[derive(Debug)]
pub(crate) struct HomeDomain {
    /// Its name.
    pub(crate) name: Domain,
    /// What its clients dial.
    pub(crate) address: String,
    /// What its clients pin.
    pub(crate) pin: Pin,
    directory: PathBuf,
    process: tokio::process::Child,
}

impl Domains {
    /// Starts both and makes them peers.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let alpha = HomeDomain::start(directory.path(), "alpha").await?;
        let beta = HomeDomain::start(directory.path(), "beta").await?;
        let invite = alpha.admin(&["peer", "invite", beta.name.as_str()])?;
        let token = invite.get("token").and_then(Value::as_str).context("no token")?;
        beta.admin(&["peer", "accept", token])?;
        Ok(Self { alpha, beta, directory })
    }

    /// A registered client with a store of its own.
    pub(crate) async fn user(&self, domain: &HomeDomain, name: &str) -> anyhow::Result<(Client, Address)> {
        let home = self.directory.path().join(format!("{name}.{}", domain.name));
        let address: Address = format!("{name}@{}", domain.name).parse()?;
        let key = StoreKey::from_raw([7; 32]);
        let client = Client::create(&home, Unlock::Key(&key), Options::default()).await?;
        let server = Server { address: domain.address.parse()?, trust: Trust::Pin(domain.pin) };
        let password = Secret::new(format!("password of {name}"));
        loop {
            match client.register(&address, &server, &password, None).await {
                // Many registrations from one address: the door asks for patience.
                Err(error) if error.is_transient() => tokio::time::sleep(Duration::from_secs(1)).await,
                other => break other?,
            }
        }
        Ok((client, address))
    }

    /// Stops both cleanly.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for mut domain in [self.alpha, self.beta] {
            let pid =
                domain.process.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
            rustix::process::kill_process(pid.context("it has ended")?, rustix::process::Signal::TERM)?;
            let status = domain.process.wait().await?;
            ensure!(status.success(), "{} ended with {status}", domain.name);
        }
        Ok(())
    }
}

impl HomeDomain {
    async fn start(place: &Path, name: &str) -> anyhow::Result<Self> {
        let directory = place.join(name);
        let (client, federation) = (free_port()?, free_port()?);
        let name: Domain = format!("{name}.test").parse()?;
        let address = format!("127.0.0.1:{client}");
        let made = run(
            &directory,
            &[
                "init",
                "--domain",
                name.as_str(),
                "--client-listen",
                &address,
                "--federation-listen",
                &format!("127.0.0.1:{federation}"),
            ],
        )?;
        let pin = made.get("client_pin").and_then(Value::as_str).context("no client_pin")?.parse()?;
        let log = std::fs::File::create(place.join(format!("{name}.log")))?;
        let process = tokio::process::Command::new(server()?)
            .arg("serve")
            .arg("--data-dir")
            .arg(&directory)
            .envs(RAISED)
            .env("QPQ_LOG_FILTER", "warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let domain = Self { name, address, pin, directory, process };
        let deadline = Instant::now() + READY;
        while domain.admin(&["info"]).is_err() {
            ensure!(Instant::now() < deadline, "{} does not answer", domain.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(domain)
    }

    /// Performs an admin verb.
    pub(crate) fn admin(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        run(&self.directory, arguments)
    }

    /// The server's resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let pid = self.process.id().context("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1_024)
    }
}

fn server() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().context("a program lies in a directory")?.join("qpq-server"))
}

fn run(directory: &Path, arguments: &[&str]) -> anyhow::Result<Value> {
    let output =
        Command::new(server()?).args(arguments).arg("--json").arg("--data-dir").arg(directory).output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}
