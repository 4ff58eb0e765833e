//! A domain of the demo: a child process `qpq-server serve`.

use std::{
    net::UdpSocket,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::Programs;
use crate::admin;

/// How long a homeserver may take to answer its first `info`, and to stop.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often a starting homeserver is asked.
const POLL: Duration = Duration::from_millis(50);

/// A running domain; killed when it is dropped.
#[derive(Debug)]
pub(super) struct RunningDomain {
    name: String,
    program: PathBuf,
    data_dir: PathBuf,
    child: Child,
    info: Value,
}

impl RunningDomain {
    /// `init`, `serve`, and the first answer.
    pub(super) async fn start(programs: &Programs, place: &Path, name: &str) -> anyhow::Result<Self> {
        let data_dir = place.join(name);
        let (client, federation) = (free_port()?, free_port()?);
        let init = Command::new(&programs.server)
            .arg("--data-dir")
            .arg(&data_dir)
            .args(["init", "--domain", name])
            .args(["--client-listen", &format!("127.0.0.1:{client}")])
            .args(["--federation-listen", &format!("127.0.0.1:{federation}")])
            .output()
            .await?;
        if !init.status.success() {
            bail!("`init` of {name} failed: {}", String::from_utf8_lossy(&init.stderr).trim());
        }
        let log_path = data_dir.join("server.log");
        let log = std::fs::File::create(&log_path)?;
        let mut child = Command::new(&programs.server)
            .arg("--data-dir")
            .arg(&data_dir)
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C goes to the whole group; the demo itself says when its domains stop.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start the homeserver of {name}"))?;
        let socket = data_dir.join("run").join("admin.sock");
        let ready = async {
            loop {
                if let Ok(info) = admin::perform(&socket, "info", &json!({})).await {
                    return Ok(info);
                }
                if let Some(status) = child.try_wait()? {
                    let log = std::fs::read_to_string(&log_path).unwrap_or_default();
                    bail!("the homeserver of {name} ended with {status}:\n{log}");
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let info = tokio::time::timeout(PATIENCE, ready).await.with_context(|| {
            format!("the homeserver of {name} did not answer within {} s", PATIENCE.as_secs())
        })??;
        Ok(Self { name: name.to_owned(), program: programs.server.clone(), data_dir, child, info })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// One field of `info`.
    pub(super) fn info(&self, field: &str) -> &str {
        self.info[field].as_str().unwrap_or("?")
    }

    /// A verb of the command line, typed as an admin would, with `--json`.
    pub(super) async fn admin(&self, verb: &[&str]) -> anyhow::Result<Value> {
        let output = Command::new(&self.program)
            .arg("--data-dir")
            .arg(&self.data_dir)
            .arg("--json")
            .args(verb)
            .output()
            .await?;
        if !output.status.success() {
            bail!(
                "`qpq-server {}` on {} failed: {}",
                verb.join(" "),
                self.name,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// SIGTERM; the homeserver must end with status 0.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(id) =
            self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        }
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .with_context(|| format!("the homeserver of {} did not stop", self.name))??;
        if !status.success() {
            bail!("the homeserver of {} ended with {status}", self.name);
        }
        Ok(())
    }
}

/// A UDP port that nobody uses now.
fn free_port() -> std::io::Result<u16> {
    Ok(UdpSocket::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
