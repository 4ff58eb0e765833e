//! One user as `qpq` processes: each command is a process of its own, as for a person at a terminal.

use std::{cell::RefCell, path::PathBuf, time::Duration};

use qpq_core::{Address, Pin};
use serde::Deserialize;
use serde_json::Value;

use crate::{HomeDomain, Program, World};

/// What `qpq send --json` prints.
#[derive(Clone, Debug, Deserialize)]
pub struct Sent {
    /// The message's id.
    pub message_id: String,
    /// The group it went to; absent while a first message waits for the homeserver.
    pub group: Option<String>,
    /// `queued`, `requested` or `accepted`.
    pub state: String,
}

/// One line of `qpq recv --json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Received {
    /// The sender's address.
    pub from: String,
    /// The group.
    pub group: String,
    /// The message's id.
    pub message_id: String,
    /// The text.
    pub text: String,
    /// When it was sent.
    pub sent_at: Value,
    /// The epoch it was encrypted in.
    pub epoch: u64,
}

/// A user with a home directory, a passphrase and a password.
#[derive(Debug)]
pub struct Person {
    address: Address,
    home: PathBuf,
    passphrase: PathBuf,
    password: PathBuf,
    server: RefCell<String>,
    pin: Pin,
}

impl Person {
    /// A person of `domain` who has no account yet.
    pub fn new(world: &World, name: &str, domain: &HomeDomain) -> anyhow::Result<Self> {
        Self::with_home(world, name, domain, name)
    }

    /// The same person on another machine: a home directory of its own.
    pub fn with_home(world: &World, name: &str, domain: &HomeDomain, home: &str) -> anyhow::Result<Self> {
        let base = world.path().join("people").join(format!("{home}.{}", domain.name()));
        std::fs::create_dir_all(&base)?;
        let (passphrase, password) = (base.join("passphrase"), base.join("password"));
        std::fs::write(&passphrase, format!("passphrase of {home}\n"))?;
        std::fs::write(&password, format!("password of {name}\n"))?;
        Ok(Self {
            address: domain.address(name)?,
            home: base.join("home"),
            passphrase,
            password,
            server: RefCell::new(domain.client_address()),
            pin: domain.pin(),
        })
    }

    /// The address.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// The home directory.
    pub const fn home(&self) -> &PathBuf {
        &self.home
    }

    /// The file with the passphrase of the store.
    pub const fn passphrase_file(&self) -> &PathBuf {
        &self.passphrase
    }

    /// The file with the account's password.
    pub const fn password_file(&self) -> &PathBuf {
        &self.password
    }

    /// `qpq` in this person's home.
    pub fn qpq(&self, arguments: &[&str]) -> anyhow::Result<Program> {
        Ok(Program::new("qpq")?
            .arg("--home")
            .arg(&self.home)
            .arg("--passphrase-file")
            .arg(&self.passphrase)
            .args(arguments))
    }

    /// `qpq register` with a token, not run yet.
    pub fn registering(&self, token: Option<&str>) -> anyhow::Result<Program> {
        let program = self.account("register")?;
        Ok(match token {
            Some(token) => program.args(["--registration-token", token]),
            None => program,
        })
    }

    /// `qpq login`, not run yet.
    pub fn logging_in(&self) -> anyhow::Result<Program> {
        self.account("login")
    }

    fn account(&self, verb: &str) -> anyhow::Result<Program> {
        let (address, server, pin) =
            (self.address.to_string(), self.server.borrow().clone(), self.pin.to_string());
        Ok(self
            .qpq(&[verb, &address, "--server", &server, "--pin", &pin, "--password-file"])?
            .arg(&self.password))
    }

    /// Makes the account with a fresh token.
    pub async fn register(&self, domain: &HomeDomain) -> anyhow::Result<()> {
        self.registering(Some(&domain.token().await?))?.succeed().await?;
        Ok(())
    }

    /// Sends a text to a user or a group.
    pub async fn send(&self, target: &str, text: &str) -> anyhow::Result<Sent> {
        self.qpq(&["send", target, text, "--json"])?.succeed().await?.json()
    }

    /// Sends a text and expects that the domain has it.
    pub async fn say(&self, target: &str, text: &str) -> anyhow::Result<Sent> {
        let sent = self.send(target, text).await?;
        anyhow::ensure!(
            sent.state == "accepted",
            "{} could not say `{text}` to {target}: {sent:?}",
            self.address
        );
        Ok(sent)
    }

    /// Prints what has come, waiting up to `wait` until `max` messages are there.
    pub async fn recv(&self, wait: Duration, max: usize) -> anyhow::Result<Vec<Received>> {
        let (seconds, max) = (wait.as_secs().to_string(), max.to_string());
        let program = self.qpq(&["recv", "--wait", &seconds, "--max", &max, "--json"])?;
        program.within(wait + Duration::from_mins(1)).succeed().await?.json_lines()
    }

    /// Waits for exactly these texts, in order.
    pub async fn hears(&self, texts: &[&str]) -> anyhow::Result<Vec<Received>> {
        let received = self.recv(Duration::from_secs(40), texts.len()).await?;
        let heard: Vec<_> = received.iter().map(|message| message.text.as_str()).collect();
        anyhow::ensure!(heard == texts, "{} heard {heard:?} instead of {texts:?}", self.address);
        Ok(received)
    }

    /// Everything that is there now; nothing more is waited for.
    pub async fn reads(&self) -> anyhow::Result<Vec<Received>> {
        self.qpq(&["recv", "--json"])?.succeed().await?.json_lines()
    }

    /// Makes a group.
    pub async fn creates_group(&self, name: &str) -> anyhow::Result<()> {
        self.qpq(&["group", "create", name])?.succeed().await?;
        Ok(())
    }

    /// Adds people to a group.
    pub async fn adds(&self, group: &str, others: &[&Self]) -> anyhow::Result<()> {
        let addresses: Vec<_> = others.iter().map(|other| other.address.to_string()).collect();
        self.qpq(&["group", "add", group])?.args(addresses).succeed().await?;
        Ok(())
    }
}
