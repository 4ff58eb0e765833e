//! A user of the demo: each command is a child process `qpq`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::process::Command;

use super::{Programs, domains::RunningDomain};
use crate::data_dir::DataDir;

/// Somebody with an account and one device.
#[derive(Debug)]
pub(super) struct Person {
    address: String,
    program: PathBuf,
    home: PathBuf,
    passphrase: PathBuf,
}

impl Person {
    /// Registers with a token of the domain.
    pub(super) async fn register(
        programs: &Programs,
        place: &Path,
        name: &str,
        domain: &RunningDomain,
    ) -> anyhow::Result<Self> {
        let token = domain.admin(&["token", "create", "--uses", "1"]).await?;
        let token = token["token"].as_str().context("`token create` printed no token")?;
        let home = place.join(name);
        let passphrase = place.join(format!("{name}.passphrase"));
        let password = place.join(format!("{name}.password"));
        DataDir::write_new(&passphrase, format!("{name}'s passphrase\n").as_bytes())?;
        DataDir::write_new(&password, format!("{name}'s password\n").as_bytes())?;
        let person = Self {
            address: format!("{name}@{}", domain.name()),
            program: programs.client.clone(),
            home,
            passphrase,
        };
        let password = password.to_str().context("the temporary directory is not UTF-8")?;
        person
            .qpq(&[
                "register",
                &person.address,
                "--server",
                domain.info("client_address"),
                "--pin",
                domain.info("client_pin"),
                "--password-file",
                password,
                "--registration-token",
                token,
            ])
            .await?;
        Ok(person)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The command that the reader can type, without what it shall do.
    pub(super) fn command(&self) -> String {
        format!(
            "{} --home {} --passphrase-file {}",
            self.program.display(),
            self.home.display(),
            self.passphrase.display()
        )
    }

    /// A command of this user, with `--json`; its last line of output.
    pub(super) async fn qpq(&self, words: &[&str]) -> anyhow::Result<Value> {
        let output = Command::new(&self.program)
            .arg("--home")
            .arg(&self.home)
            .arg("--passphrase-file")
            .arg(&self.passphrase)
            .arg("--json")
            .args(words)
            .output()
            .await?;
        let (text, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            bail!("`qpq {}` of {} failed: {}", words.join(" "), self.address, errors.trim());
        }
        let text = text.trim();
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(text)
            .with_context(|| format!("`qpq {}` printed no JSON: {text}", words.join(" ")))
    }

    /// The next message, as `recv --json` prints it.
    pub(super) async fn receive(&self, wait: Duration) -> anyhow::Result<Value> {
        let got = self.qpq(&["recv", "--wait", &wait.as_secs().to_string(), "--max", "1"]).await?;
        if got.is_null() {
            bail!("nothing arrived for {} within {} s", self.address, wait.as_secs());
        }
        Ok(got)
    }
}
