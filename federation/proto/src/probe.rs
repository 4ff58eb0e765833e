//! Step by step to a peer: what was seen becomes a judgement, and the step that fails names its cause and a remedy.
//!
//! The driver looks (name servers, a connection of its own, `hello`, `federationHealth`) and tells what it saw;
//! [`Probe`] judges. After a failed step the later ones are skipped, except where they were seen all the same.

mod dial;
mod names;
mod talk;

use qpq_core::{Domain, Millis};

pub use dial::{CertificateSeen, DialSeen};
pub use talk::{HealthSeen, HelloSeen, OwnView, PeersView};

/// The feature that a hello names when it only looks.
pub const PROBE_FEATURE: &str = "probe";

/// What happens on the way to a peer, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeStep {
    /// Name servers say where it is.
    Dns,
    /// What they say may be dialled.
    Addresses,
    /// Something answers there over UDP.
    Quic,
    /// It speaks our protocol.
    Alpn,
    /// It shows a certificate of the peer, under the pinned authority, that is valid now.
    Certificate,
    /// Both introduce themselves.
    Hello,
    /// Neither holds anything back from the other.
    Health,
    /// Both clocks agree.
    Clock,
}

impl ProbeStep {
    /// All, in order.
    pub const ALL: [Self; 8] = [
        Self::Dns,
        Self::Addresses,
        Self::Quic,
        Self::Alpn,
        Self::Certificate,
        Self::Hello,
        Self::Health,
        Self::Clock,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Addresses => "addresses",
            Self::Quic => "quic",
            Self::Alpn => "alpn",
            Self::Certificate => "certificate",
            Self::Hello => "hello",
            Self::Health => "health",
            Self::Clock => "clock",
        }
    }
}

/// Why a step failed and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// What is wrong.
    pub cause: String,
    /// What to do.
    pub remedy: String,
    /// The runbook that has more.
    pub runbook: Option<&'static str>,
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// As it should; what was seen, in words.
    Passed {
        /// What was seen.
        seen: String,
        /// How long it took.
        took: Millis,
    },
    /// It didn't.
    Failed {
        /// Why.
        diagnosis: Diagnosis,
        /// How long it took.
        took: Millis,
    },
    /// An earlier one failed.
    Skipped,
}

/// The judgement on the way to one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// Which peer.
    pub domain: Domain,
    /// All steps, in order.
    pub steps: Vec<(ProbeStep, StepOutcome)>,
    /// How long all of it took.
    pub took: Millis,
    /// What the peer says about us, if it got so far.
    pub theirs: Option<PeersView>,
    /// How far its clock is ahead of ours (negative: behind), if it got so far.
    pub skew_ms: Option<i64>,
}

impl ProbeReport {
    /// Whether every step went as it should.
    pub fn is_fine(&self) -> bool {
        self.steps.iter().all(|(_, outcome)| matches!(outcome, StepOutcome::Passed { .. }))
    }

    /// The first step that failed.
    pub fn failed(&self) -> Option<(ProbeStep, &Diagnosis)> {
        self.steps.iter().find_map(|(step, outcome)| match outcome {
            StepOutcome::Failed { diagnosis, .. } => Some((*step, diagnosis)),
            StepOutcome::Passed { .. } | StepOutcome::Skipped => None,
        })
    }
}

/// One probe.
#[derive(Debug)]
pub struct Probe {
    us: Domain,
    peer: Domain,
    steps: Vec<(ProbeStep, StepOutcome)>,
    theirs: Option<PeersView>,
    skew_ms: Option<i64>,
}

impl Probe {
    /// Begins.
    pub const fn new(us: Domain, peer: Domain) -> Self {
        Self { us, peer, steps: Vec::new(), theirs: None, skew_ms: None }
    }

    /// Whether nothing further needs to be looked at.
    pub fn is_over(&self) -> bool {
        self.steps.iter().any(|(_, outcome)| matches!(outcome, StepOutcome::Failed { .. }))
    }

    /// The time is over: the step that comes next didn't end.
    pub fn handle_timeout(&mut self, took: Millis) {
        let next = ProbeStep::ALL.into_iter().find(|step| !self.steps.iter().any(|(done, _)| done == step));
        if let Some(step) = next.filter(|_| !self.is_over()) {
            self.fail(
                step,
                took,
                "it did not end in time".to_owned(),
                "try again; if it stays so, something between both domains drops packets",
            );
        }
    }

    /// The report; what was not reached is skipped.
    pub fn finish(mut self, took: Millis) -> ProbeReport {
        let steps = ProbeStep::ALL.map(|step| {
            let seen = self.steps.iter().position(|(done, _)| *done == step);
            (step, seen.map_or(StepOutcome::Skipped, |index| self.steps.swap_remove(index).1))
        });
        ProbeReport {
            domain: self.peer,
            steps: steps.to_vec(),
            took,
            theirs: self.theirs,
            skew_ms: self.skew_ms,
        }
    }

    fn pass(&mut self, step: ProbeStep, took: Millis, seen: impl Into<String>) {
        self.steps.push((step, StepOutcome::Passed { seen: seen.into(), took }));
    }

    fn fail(&mut self, step: ProbeStep, took: Millis, cause: impl Into<String>, remedy: impl Into<String>) {
        self.fail_with(step, took, cause, remedy, None);
    }

    fn fail_with(
        &mut self,
        step: ProbeStep,
        took: Millis,
        cause: impl Into<String>,
        remedy: impl Into<String>,
        runbook: Option<&'static str>,
    ) {
        let diagnosis = Diagnosis { cause: cause.into(), remedy: remedy.into(), runbook };
        self.steps.push((step, StepOutcome::Failed { diagnosis, took }));
    }
}

#[cfg(test)]
mod tests;
