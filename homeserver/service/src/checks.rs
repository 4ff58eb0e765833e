//! The check engine: what is wrong with this homeserver, what caused it, and what to do about it.
//!
//! Judging is a pure function from [`Facts`] to a [`Report`]: [`judge`]. Gathering the facts is another matter: those of
//! the store and the peers are gathered by [`Checks`], those that only the binary can see come through
//! [`Machine`](crate::Machine), and `doctor` without a running server gathers its own. A check has an id and says what
//! it looks at; a finding has an id below it (`disk.full`), a severity, a cause, a remedy, and often a runbook. One
//! finding may follow from another: the root is marked as the cause and comes first.

mod causes;
mod certificates;
mod clocks;
mod configuration;
mod database;
mod disk;
mod facts;
mod gather;
mod jobs;
mod keys;
mod log;
mod network;
mod peers;
mod server;

use qpq_core::Timestamp;
use serde::Serialize;

pub use facts::{
    CertificateFact, ConfigurationFact, DatabaseFact, DiskFact, Facts, FileFact, FileState, Integrity,
    MachineFacts, PeerFact, Room, ServerFact, SocketFact, SocketState, WitnessingFact,
};
pub use gather::{Checks, Depth};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should act soon.
    Warning,
    /// Somebody must act now.
    Critical,
}

impl Severity {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Something that is looked at.
#[derive(Clone, Copy)]
pub struct Check {
    /// Its name; its findings' ids begin with it.
    pub id: &'static str,
    /// What it looks at.
    pub about: &'static str,
    judge: fn(&Facts, &mut Vec<Finding>),
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's id and the kind of fault: `keys.loose`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: a file, a peer, a socket.
    pub subject: String,
    /// What is wrong, in a sentence.
    pub cause: String,
    /// What to do, in a sentence.
    pub remedy: String,
    /// Where the steps are.
    pub runbook: Option<&'static str>,
    /// Whether it follows from nothing else that was found.
    pub is_cause: bool,
    /// The id of the finding that it follows from.
    pub follows_from: Option<&'static str>,
    /// Whether the homeserver can't do its work because of it: then `/readyz` says so.
    #[serde(skip)]
    pub prevents_work: bool,
}

impl Finding {
    fn new(id: &'static str, severity: Severity, subject: impl Into<String>) -> Self {
        Self {
            id,
            severity,
            subject: subject.into(),
            cause: String::new(),
            remedy: String::new(),
            runbook: None,
            is_cause: true,
            follows_from: None,
            prevents_work: false,
        }
    }

    fn because(self, cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), ..self }
    }

    fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    fn runbook(self, runbook: &'static str) -> Self {
        Self { runbook: Some(runbook), ..self }
    }

    fn preventing_work(self) -> Self {
        Self { prevents_work: true, ..self }
    }
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The check.
    pub id: &'static str,
    /// What it looked at.
    pub about: &'static str,
    /// Whether it found nothing worse than an information.
    pub ok: bool,
}

/// What all checks together found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether there is neither a warning nor anything critical.
    pub ok: bool,
    /// The worst severity.
    pub worst: Option<Severity>,
    /// What was found: causes first, the worst first.
    pub findings: Vec<Finding>,
    /// Every check.
    pub checks: Vec<Checked>,
    /// When.
    pub at: Timestamp,
}

/// Every check, in the order in which findings of the same weight are told.
pub const CHECKS: [Check; 11] = [
    keys::CHECK,
    disk::CHECK,
    database::CHECK,
    log::CHECK,
    clocks::CHECK,
    certificates::CHECK,
    configuration::CHECK,
    peers::CHECK,
    jobs::CHECK,
    server::CHECK,
    network::CHECK,
];

/// Judges the facts.
pub fn judge(facts: &Facts) -> Report {
    let mut findings = Vec::new();
    let mut checks = Vec::with_capacity(CHECKS.len());
    for check in CHECKS {
        let before = findings.len();
        (check.judge)(facts, &mut findings);
        let found = findings.iter().skip(before);
        let ok = found.map(|finding| finding.severity).all(|severity| severity < Severity::Warning);
        checks.push(Checked { id: check.id, about: check.about, ok });
    }
    let findings = causes::sorted(findings);
    let worst = findings.iter().map(|finding| finding.severity).max();
    Report { ok: worst.is_none_or(|worst| worst < Severity::Warning), worst, findings, checks, at: facts.now }
}

#[cfg(test)]
mod tests;
