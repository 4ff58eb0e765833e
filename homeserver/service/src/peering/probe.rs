//! Looking at a peer step by step, for people and programs.

use qpq_core::{Domain, Timestamp};
use qpq_federation_proto::{PeersView, ProbeReport, ProbeStep, StepOutcome};
use serde::Serialize;

use super::{Peering, unknown};
use crate::{Answered, PeerCallError};

/// How a probe went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeView {
    /// Which peer.
    pub domain: Domain,
    /// Whether every step went as it should.
    pub ok: bool,
    /// How long all of it took.
    pub took_ms: u64,
    /// All steps, in order.
    pub steps: Vec<StepView>,
    /// What the peer says about this domain, if it got so far.
    pub theirs: Option<TheirView>,
    /// How far its clock is ahead of ours; negative: behind.
    pub clock_skew_ms: Option<i64>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepView {
    /// Its name: dns, addresses, quic, alpn, certificate, hello, health, clock.
    pub step: &'static str,
    /// passed, failed or skipped.
    pub outcome: &'static str,
    /// How long it took.
    pub took_ms: Option<u64>,
    /// What was seen, or what is wrong.
    pub said: String,
    /// What to do, if it failed.
    pub remedy: Option<String>,
    /// Where there is more about it.
    pub runbook: Option<&'static str>,
}

/// The other side's view of this domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TheirView {
    /// Whether it has a link of its own.
    pub reachable: bool,
    /// In its words.
    pub state: String,
    /// healthy, degraded, backing-off or refused; empty if it is too old to tell.
    pub standing: String,
    /// What is wrong, in its words.
    pub trouble: Option<String>,
    /// When it tries again.
    pub retry_at: Option<Timestamp>,
    /// Rows that wait there.
    pub queued: u64,
    /// How long the oldest of them has waited.
    pub oldest_queued_ms: u64,
}

impl Peering {
    /// Looks at a peer over a connection of its own; its link stays as it is.
    pub async fn probe(&self, domain: &Domain) -> Answered<ProbeView> {
        let probed = self.ground.peers().probe(domain).await;
        probed.map(ProbeView::from).map_err(|error| match error {
            PeerCallError::NotAPeer(domain) => unknown(&domain),
            other => other.into(),
        })
    }
}

impl From<ProbeReport> for ProbeView {
    fn from(report: ProbeReport) -> Self {
        Self {
            ok: report.is_fine(),
            domain: report.domain,
            took_ms: report.took.0,
            steps: report.steps.into_iter().map(step).collect(),
            theirs: report.theirs.map(TheirView::from),
            clock_skew_ms: report.skew_ms,
        }
    }
}

impl From<PeersView> for TheirView {
    fn from(view: PeersView) -> Self {
        Self {
            reachable: view.reachable,
            state: view.state,
            standing: view.standing,
            trouble: Some(view.trouble).filter(|trouble| !trouble.is_empty()),
            retry_at: view.retry_at,
            queued: view.queued,
            oldest_queued_ms: view.oldest_queued.0,
        }
    }
}

fn step((step, outcome): (ProbeStep, StepOutcome)) -> StepView {
    let view = |outcome, took_ms, said| StepView {
        step: step.name(),
        outcome,
        took_ms,
        said,
        remedy: None,
        runbook: None,
    };
    match outcome {
        StepOutcome::Passed { seen, took } => view("passed", Some(took.0), seen),
        StepOutcome::Failed { diagnosis, took } => StepView {
            remedy: Some(diagnosis.remedy),
            runbook: diagnosis.runbook,
            ..view("failed", Some(took.0), diagnosis.cause)
        },
        StepOutcome::Skipped => view("skipped", None, String::new()),
    }
}
