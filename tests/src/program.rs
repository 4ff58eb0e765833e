//! One run of one of our programs: with a deadline, its output kept, and nothing of the caller's settings inherited.

use std::{ffi::OsStr, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use serde::de::DeserializeOwned;
use tokio::{io::AsyncWriteExt as _, process::Command};

/// How long one command may take; Argon2 with 64 MiB on a busy machine is the slowest part.
const DEADLINE: Duration = Duration::from_secs(90);

/// The path of one of our programs, beside the test that runs.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("could not find the path of the running test")?;
    let candidates = own.ancestors().skip(1).take(2).map(|directory| directory.join(name));
    candidates.into_iter().find(|path| path.is_file()).with_context(|| {
        format!("`{name}` is not built: run the suites by `cargo xtask test`, or first `cargo build --bins`")
    })
}

/// A command about to run.
#[derive(Debug)]
pub struct Program {
    command: Command,
    deadline: Duration,
    input: Option<String>,
}

impl Program {
    /// One of our programs, without any `QPQ_*` variable of the caller.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        Ok(Self::of(Command::new(binary(name)?)))
    }

    /// One of our programs on a host of its own (`hosts.rs`). Its process is the program's, as everywhere.
    pub fn on(namespace: &str, name: &str) -> anyhow::Result<Self> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(binary(name)?);
        Ok(Self::of(command))
    }

    fn of(mut command: Command) -> Self {
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("QPQ_") {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        Self { command, deadline: DEADLINE, input: None }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// One variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Another deadline.
    #[must_use]
    pub const fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What it reads from its standard input, which is no terminal.
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        self.input = Some(text.to_owned());
        self
    }

    /// The command itself, for a process that is going to be killed: what it prints goes to a file beside `near`.
    pub fn into_file_output(mut self, near: &std::path::Path) -> anyhow::Result<(Command, PathBuf)> {
        let path = near.with_extension("printed");
        let file =
            std::fs::File::create(&path).with_context(|| format!("could not make {}", path.display()))?;
        self.command.stdout(Stdio::from(file)).stderr(Stdio::null());
        Ok((self.command, path))
    }

    /// The command itself, for a process that stays.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    /// Runs it to its end.
    pub async fn run(mut self) -> anyhow::Result<Finished> {
        let shown = format!("{:?}", self.command.as_std());
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if self.input.is_some() {
            self.command.stdin(Stdio::piped());
        }
        let mut child = self.command.spawn().with_context(|| format!("could not start {shown}"))?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), &self.input) {
            stdin.write_all(input.as_bytes()).await?;
        }
        let output = tokio::time::timeout(self.deadline, child.wait_with_output())
            .await
            .with_context(|| format!("still running after {} s: {shown}", self.deadline.as_secs()))??;
        Ok(Finished {
            shown,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it and expects success.
    pub async fn succeed(self) -> anyhow::Result<Finished> {
        let finished = self.run().await?;
        ensure!(finished.code == Some(0), "{finished}");
        Ok(finished)
    }

    /// Runs it and expects a failure with this exit code whose words contain each of `words`.
    pub async fn refuse(self, code: i32, words: &[&str]) -> anyhow::Result<Finished> {
        let finished = self.run().await?;
        ensure!(finished.code == Some(code), "exit code {code} was expected: {finished}");
        let said = finished.stderr.to_lowercase();
        for word in words {
            ensure!(said.contains(&word.to_lowercase()), "`{word}` was expected in the words of: {finished}");
        }
        ensure!(!said.contains("panicked"), "it panicked: {finished}");
        Ok(finished)
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    shown: String,
    /// Its exit code; absent when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said to people.
    pub stderr: String,
}

impl Finished {
    /// Its output as one JSON value.
    pub fn json<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_str(&self.stdout).with_context(|| format!("the output has another form: {self}"))
    }

    /// Its output as one JSON value a line.
    pub fn json_lines<T: DeserializeOwned>(&self) -> anyhow::Result<Vec<T>> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line).with_context(|| format!("a line has another form: {self}"))
            })
            .collect()
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { shown, code, stdout, stderr } = self;
        write!(f, "{shown}\nended with {code:?}\nstdout: {stdout}\nstderr: {stderr}")
    }
}
