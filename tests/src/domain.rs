//! One domain as a real `qpq-server` process: made, started, killed, started again.

use std::{
    cell::{Cell, RefCell},
    fs::OpenOptions,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use qpq_core::{Address, Domain, Pin};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    process::Child,
    time::Instant,
};

use crate::{Program, World, eventually, hosts::Host};

/// How long a server may take until it answers.
const READY: Duration = Duration::from_secs(30);
/// How long a clean stop may take: in-flight calls have 30 s.
const STOP: Duration = Duration::from_secs(40);

/// What `qpq-server info --json` prints.
#[derive(Clone, Debug, Deserialize)]
pub struct Info {
    /// The domain.
    pub domain: String,
    /// The program's version.
    pub version: String,
    /// What clients dial.
    pub client_address: String,
    /// What peers dial.
    pub federation_address: String,
    /// What clients pin.
    pub client_pin: Pin,
}

/// A domain and the process that serves it.
#[derive(Debug)]
pub struct HomeDomain {
    name: Domain,
    directory: PathBuf,
    log: PathBuf,
    client: SocketAddr,
    federation: SocketAddr,
    /// The namespace of its host, if that is not this one.
    namespace: Option<String>,
    pin: Pin,
    settings: RefCell<Vec<(String, String)>>,
    process: RefCell<Option<Child>>,
    starts: Cell<usize>,
}

impl HomeDomain {
    /// Makes `NAME.test` by `qpq-server init`, on this host or another; nothing runs yet.
    pub(crate) async fn init(
        world: &World,
        name: &str,
        settings: &[(&str, &str)],
        host: Option<&Host>,
    ) -> anyhow::Result<Self> {
        let directory = world.path().join(name);
        let client_place = host.map_or(Ipv4Addr::LOCALHOST, Host::client_address);
        let client = SocketAddr::from((client_place, world.port()?));
        let federation_place = host.map_or(Ipv4Addr::LOCALHOST, Host::address);
        let federation = SocketAddr::from((federation_place, world.port()?));
        let name: Domain = format!("{name}.test").parse()?;
        let made: Value = Program::new("qpq-server")?
            .args(["init", "--json", "--domain", name.as_str()])
            .args(["--client-listen", &client.to_string()])
            .args(["--federation-listen", &federation.to_string()])
            .arg("--data-dir")
            .arg(&directory)
            .succeed()
            .await?
            .json()?;
        let pin =
            made.get("client_pin").and_then(Value::as_str).context("`init` names no client_pin")?.parse()?;
        Ok(Self {
            log: world.path().join(format!("{name}.log")),
            name,
            directory,
            client,
            federation,
            namespace: host.map(|host| host.namespace().to_owned()),
            pin,
            settings: RefCell::new(
                settings.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            ),
            process: RefCell::default(),
            starts: Cell::new(0),
        })
    }

    /// Its name.
    pub const fn name(&self) -> &Domain {
        &self.name
    }

    /// Its data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the server's output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What the server has said so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// What clients dial.
    pub fn client_address(&self) -> String {
        self.client.to_string()
    }

    /// What peers dial.
    pub fn federation_address(&self) -> String {
        self.federation.to_string()
    }

    /// What clients pin.
    pub const fn pin(&self) -> Pin {
        self.pin
    }

    /// An address at this domain.
    pub fn address(&self, user: &str) -> anyhow::Result<Address> {
        Ok(format!("{user}@{}", self.name).parse()?)
    }

    /// Sets a variable for the next start.
    pub fn set(&self, name: &str, value: &str) {
        let mut settings = self.settings.borrow_mut();
        settings.retain(|(known, _)| known != name);
        settings.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a variable away for the next start.
    pub fn unset(&self, name: &str) {
        self.settings.borrow_mut().retain(|(known, _)| known != name);
    }

    /// `qpq-server` on this data directory, with this domain's settings.
    pub fn server(&self, arguments: &[&str]) -> anyhow::Result<Program> {
        let program = match &self.namespace {
            Some(namespace) => Program::on(namespace, "qpq-server")?,
            None => Program::new("qpq-server")?,
        };
        let mut program = program.args(arguments).arg("--data-dir").arg(&self.directory);
        for (name, value) in self.settings.borrow().iter() {
            program = program.env(name, value);
        }
        Ok(program)
    }

    /// Starts the server and waits until it answers.
    pub async fn start(&self) -> anyhow::Result<()> {
        self.launch()?;
        self.listens().await?;
        eventually(&format!("{} answers", self.name), READY, async || {
            // Without the domain's settings: a preloaded library is the server's matter only.
            let asked =
                Program::new("qpq-server")?.args(["info", "--json", "--data-dir"]).arg(&self.directory);
            Ok(asked.run().await?.code.filter(|code| *code == 0).map(drop))
        })
        .await
    }

    /// Starts the server and waits for nothing.
    pub fn launch(&self) -> anyhow::Result<()> {
        ensure!(self.process.borrow().is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = self.server(&["serve"])?.into_command();
        command.stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
        let child = command.spawn().context("could not start qpq-server")?;
        *self.process.borrow_mut() = Some(child);
        self.starts.set(self.starts.get() + 1);
        Ok(())
    }

    /// Waits until the server that was launched has opened its database and listens.
    pub async fn listens(&self) -> anyhow::Result<()> {
        let socket = self.directory.join("run/admin.sock");
        let deadline = Instant::now() + READY;
        loop {
            if let Some(status) =
                self.process.borrow_mut().as_mut().map(Child::try_wait).transpose()?.flatten()
            {
                anyhow::bail!("{} ended at its start with {status}:\n{}", self.name, self.said());
            }
            // It is the last thing that is bound; the file of a killed server refuses.
            if UnixStream::connect(&socket).await.is_ok() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{} does not listen after {} s", self.name, READY.as_secs());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The process id of the running server.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.process
            .borrow()
            .as_ref()
            .and_then(Child::id)
            .with_context(|| format!("{} does not run", self.name))
    }

    /// Ends the server with `kill -9`.
    pub async fn kill(&self) -> anyhow::Result<()> {
        let child = self.process.borrow_mut().take();
        let mut child = child.with_context(|| format!("{} does not run", self.name))?;
        child.kill().await.context("could not kill the server")
    }

    /// Kills the server and starts it again.
    pub async fn crash(&self) -> anyhow::Result<()> {
        self.kill().await?;
        self.start().await
    }

    /// Asks the server to stop, and expects exit code 0.
    pub async fn stop_by(&self, signal: Signal) -> anyhow::Result<()> {
        self.signal(signal)?;
        let status = self.ended().await?;
        ensure!(status.code() == Some(0), "{} ended with {status} after {signal:?}", self.name);
        Ok(())
    }

    /// Waits until the server has ended by itself.
    pub async fn ended(&self) -> anyhow::Result<ExitStatus> {
        let child = self.process.borrow_mut().take();
        let mut child = child.with_context(|| format!("{} does not run", self.name))?;
        Ok(tokio::time::timeout(STOP, child.wait())
            .await
            .with_context(|| format!("{} still runs after {} s", self.name, STOP.as_secs()))??)
    }

    /// Sends the server a signal: `STOP` freezes it, `CONT` lets it go on.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid()?)?).context("no process has the id 0")?;
        kill_process(pid, signal).context("could not send the signal")
    }

    /// Stops the server cleanly.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.stop_by(Signal::TERM).await
    }

    /// Stops the server cleanly and starts it again.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.stop().await?;
        self.start().await
    }

    /// Performs an admin verb and reads its JSON.
    pub async fn admin(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let program =
            Program::new("qpq-server")?.args(arguments).arg("--json").arg("--data-dir").arg(&self.directory);
        program.succeed().await?.json()
    }

    /// Waits until the log has witnesses, and as many of them as it needs have signed all of it.
    pub async fn witnessed(&self) -> anyhow::Result<()> {
        eventually("the log is witnessed", Duration::from_secs(30), async || {
            let status = self.admin(&["log", "status"]).await?;
            Ok((status["level"] != "logged" && status["cosigned"] == status["size"]).then_some(()))
        })
        .await
    }

    /// What the running server says of itself.
    pub async fn info(&self) -> anyhow::Result<Info> {
        Ok(serde_json::from_value(self.admin(&["info"]).await?)?)
    }

    /// What its admin listener answers to a request for a path, head and body.
    pub async fn asked(&self, path: &str) -> anyhow::Result<String> {
        let address = std::fs::read_to_string(self.directory.join("run/admin-address"))?;
        let mut connection = TcpStream::connect(address.trim()).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// A fresh registration token.
    pub async fn token(&self) -> anyhow::Result<String> {
        text(&self.admin(&["token", "create"]).await?, "token")
    }

    /// The server's resident memory, in bytes.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in status")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }
}

/// Makes two running domains peers, by the two commands of their admins.
pub async fn peer(inviting: &HomeDomain, accepting: &HomeDomain) -> anyhow::Result<()> {
    let invite = inviting.admin(&["peer", "invite", accepting.name().as_str()]).await?;
    accepting.admin(&["peer", "accept", &text(&invite, "token")?]).await?;
    Ok(())
}

/// A text field of a JSON answer.
fn text(answer: &Value, field: &str) -> anyhow::Result<String> {
    let found = answer.get(field).and_then(Value::as_str);
    Ok(found.with_context(|| format!("no `{field}` in {answer}"))?.to_owned())
}
