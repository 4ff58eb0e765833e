//! The homeservers under load: real `qpq-server` processes, made, started, peered, looked at and stopped.

use std::{
    fs::OpenOptions,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use qpq_client::{Server, Trust};
use qpq_core::{Address, Domain, Pin};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{machine, ports, stopwatch::Stopwatch};

/// How long a homeserver may take until it answers.
const READY: Duration = Duration::from_secs(30);
/// How often it is asked until then.
const ASK: Duration = Duration::from_millis(50);
/// How long one verb may take.
const VERB: Duration = Duration::from_mins(1);
/// How long a clean stop may take.
const STOP: Duration = Duration::from_secs(40);
/// How much of a homeserver's log is shown when it failed.
const LOG_BYTES: usize = 4_000;

/// What is raised, so that the load meets the machine and not a limit against abuse.
const SETTINGS: [(&str, &str); 6] = [
    ("QPQ_REGISTRATION_POLICY", "open"),
    ("QPQ_LIMITS_ATTEMPTS_BURST", "100000"),
    ("QPQ_LIMITS_SUBMITS_PER_MINUTE", "100000000"),
    ("QPQ_LIMITS_MAILBOX_MESSAGES", "100000000"),
    ("QPQ_LIMITS_CLAIM_BURST", "100000"),
    ("QPQ_LOG_FILTER", "warn"),
];

/// The raised limits, in words.
pub(crate) fn settings() -> String {
    SETTINGS.map(|(name, value)| format!("`{name}={value}`")).join(", ")
}

/// The homeserver's program, beside this one.
pub(crate) fn server_binary() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("could not find the path of this program")?;
    let beside = own.with_file_name("qpq-server");
    let flag = if cfg!(debug_assertions) { "" } else { " --release" };
    ensure!(beside.is_file(), "`qpq-server` is not built: run `cargo build{flag}` first, then this again");
    Ok(beside)
}

/// A domain and the process that serves it; the process ends with this value at the latest.
#[derive(Debug)]
pub(crate) struct HomeDomain {
    name: Domain,
    program: PathBuf,
    directory: PathBuf,
    log: PathBuf,
    address: String,
    pin: Pin,
    process: Child,
}

impl HomeDomain {
    /// Makes `NAME.test` and starts it.
    pub(crate) async fn start(program: &Path, place: &Path, name: &str) -> anyhow::Result<Self> {
        let directory = place.join(name);
        let name: Domain = format!("{name}.test").parse()?;
        let log = place.join(format!("{name}.log"));
        let listen = |port: u16| format!("127.0.0.1:{port}");
        let (client, federation) = (listen(ports::free()?), listen(ports::free()?));
        let init = [
            "init",
            "--domain",
            name.as_str(),
            "--client-listen",
            &client,
            "--federation-listen",
            &federation,
        ];
        run(program, &directory, &init).await?;
        let mut process = serve(program, &directory, &log)?;
        let info = answer(program, &directory, &log, &mut process).await?;
        let pin = text(&info, "client_pin")?.parse()?;
        Ok(Self { name, program: program.to_owned(), directory, log, address: client, pin, process })
    }

    /// Stops it cleanly and starts it again: what it had allocated before is gone.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        self.while_stopped(async |_| Ok(())).await.map(drop)
    }

    /// Stops it cleanly, does something in its data directory, and starts it again; says how long it took to answer.
    pub(crate) async fn while_stopped(
        &mut self,
        work: impl AsyncFnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Duration> {
        self.terminate().await?;
        work(&self.directory).await?;
        let watch = Stopwatch::start();
        self.process = serve(&self.program, &self.directory, &self.log)?;
        answer(&self.program, &self.directory, &self.log, &mut self.process).await?;
        Ok(watch.elapsed())
    }

    /// Messages that wait for a peer.
    pub(crate) async fn queued_for(&self, peer: &Domain) -> anyhow::Result<u64> {
        let shown = self.admin(&["peer", "show", peer.as_str()]).await?;
        shown.get("queued").and_then(Value::as_u64).context("`peer show` names no queue")
    }

    /// Where its admin listener is.
    pub(crate) fn admin_address(&self) -> anyhow::Result<SocketAddr> {
        let told = std::fs::read_to_string(self.directory.join("run/admin-address"))?;
        Ok(told.trim().parse()?)
    }

    /// Stops it cleanly.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.terminate().await
    }

    async fn terminate(&mut self) -> anyhow::Result<()> {
        kill_process(self.pid()?, Signal::TERM).context("could not send the signal")?;
        let status = tokio::time::timeout(STOP, self.process.wait())
            .await
            .with_context(|| format!("{} still runs {} s after SIGTERM", self.name, STOP.as_secs()))??;
        ensure!(status.success(), "{} ended with {status}:\n{}", self.name, said(&self.log));
        Ok(())
    }

    /// Its name.
    pub(crate) const fn name(&self) -> &Domain {
        &self.name
    }

    /// An address at this domain.
    pub(crate) fn user(&self, name: &str) -> anyhow::Result<Address> {
        Ok(format!("{name}@{}", self.name).parse()?)
    }

    /// As the client library names it.
    pub(crate) fn server(&self) -> anyhow::Result<Server> {
        Ok(Server { address: self.address.parse()?, trust: Trust::Pin(self.pin) })
    }

    /// How long it has been on a processor.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        machine::processor_time(u32::try_from(self.pid()?.as_raw_nonzero().get())?)
    }

    /// Its resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?.as_raw_nonzero()))?;
        machine::field(&status, "VmRSS:")
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        let id =
            self.process.id().with_context(|| format!("{} has ended:\n{}", self.name, said(&self.log)))?;
        Pid::from_raw(i32::try_from(id)?).context("a process id of 0")
    }

    async fn admin(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        run(&self.program, &self.directory, arguments).await
    }
}

/// Makes two running domains peers, by the two commands of their admins.
pub(crate) async fn peer(inviting: &HomeDomain, accepting: &HomeDomain) -> anyhow::Result<()> {
    let invite = inviting.admin(&["peer", "invite", accepting.name.as_str()]).await?;
    accepting.admin(&["peer", "accept", &text(&invite, "token")?]).await.map(drop)
}

fn serve(program: &Path, directory: &Path, log: &Path) -> anyhow::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = command(program, directory);
    command.arg("serve").stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
    command.spawn().context("could not start qpq-server")
}

/// Waits until the homeserver answers, and says what it is.
async fn answer(program: &Path, directory: &Path, log: &Path, process: &mut Child) -> anyhow::Result<Value> {
    let watch = Stopwatch::start();
    loop {
        if let Some(status) = process.try_wait()? {
            anyhow::bail!("qpq-server ended at its start with {status}:\n{}", said(log));
        }
        match run(program, directory, &["info"]).await {
            Ok(info) => return Ok(info),
            Err(error) if watch.elapsed() > READY => {
                return Err(error.context(format!("it does not answer:\n{}", said(log))));
            }
            Err(_) => tokio::time::sleep(ASK).await,
        }
    }
}

/// Runs one verb to its end and reads its JSON.
async fn run(program: &Path, directory: &Path, arguments: &[&str]) -> anyhow::Result<Value> {
    let mut command = command(program, directory);
    command.args(arguments).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
    let what = arguments.join(" ");
    let child = command.spawn().context("could not start qpq-server")?;
    let output = tokio::time::timeout(VERB, child.wait_with_output())
        .await
        .with_context(|| format!("`qpq-server {what}` still runs after {} s", VERB.as_secs()))??;
    let heard = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`qpq-server {what}`: {}", heard.trim());
    serde_json::from_slice(&output.stdout).with_context(|| format!("`qpq-server {what}` printed no JSON"))
}

/// `qpq-server` on a data directory, with our settings and none of the caller's.
fn command(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("QPQ_") {
            command.env_remove(variable);
        }
    }
    command.envs(SETTINGS).env("QPQ_DATA_DIR", directory).stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn said(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(bytes.get(bytes.len().saturating_sub(LOG_BYTES)..).unwrap_or(&bytes)).into_owned()
}

fn text(answer: &Value, field: &str) -> anyhow::Result<String> {
    let found = answer.get(field).and_then(Value::as_str);
    Ok(found.with_context(|| format!("no `{field}` in {answer}"))?.to_owned())
}
