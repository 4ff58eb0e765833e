//! The typed metrics registry: every number that the homeserver tells, in Prometheus' names and base units.
//!
//! One table ([`AREAS`]) names them all, with their panels; [`ALERTS`] says when somebody must look. The reference, the
//! dashboard and the alert rules are generated from both. No label ever names a user or a peer, and the values of every
//! label are a short list.

mod alerts;
mod labels;
mod registry;
mod snapshot;
mod table;

use std::{fmt, sync::Arc, time::Duration};

pub use alerts::{ALERTS, Alert, Severity};
pub use labels::{
    Bans, Direction, DiscoveryFailure, FindingSeverity, JobResult, Limit, Listener, LoginFailure, Outcome,
    PeerState, SignInFailure,
};
use labels::{CallLabels, CertificateLabels, JobLabels, OperationLabels, PeerCallLabels, RequestLabels};
use registry::Inner;
pub use snapshot::{Queue, Snapshot};
pub use table::{AREAS, Area, Draw, Metric, MetricKind, Panel, Thresholds, metrics};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

impl Metrics {
    /// Every metric at zero. `version` is the program's.
    pub fn new(version: &str) -> Self {
        Self(Arc::new(Inner::new(version)))
    }

    /// A call was answered. `method` is the span's name, for example `rpc.mailbox.fetch`.
    pub fn call(&self, method: &'static str, outcome: Outcome, took: Duration) {
        self.0.calls.get_or_create(&CallLabels { method, outcome }).observe(took.as_secs_f64());
    }

    /// A call between domains was answered, or not. `method` is its name in the schema.
    pub fn peer_call(&self, direction: Direction, method: &'static str, outcome: Outcome, took: Duration) {
        let labels = PeerCallLabels { direction, method, outcome };
        self.0.peer_calls.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A request of a TCP listener was answered. `route` is the template of its route, never the path itself.
    pub fn request(&self, listener: Listener, route: &str, status: u16, took: Duration) {
        let status = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        let labels = RequestLabels { listener, route: route.to_owned(), status };
        self.0.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// The store did something.
    pub fn storage(&self, operation: &'static str, took: Duration) {
        self.0.storage.get_or_create(&OperationLabels { operation }).observe(took.as_secs_f64());
    }

    /// A client's login failed.
    pub fn login_failed(&self, reason: LoginFailure) {
        self.0.login_failures.get_or_create(&reason.into()).inc();
    }

    /// A sign-in to the console failed.
    pub fn console_sign_in_failed(&self, reason: SignInFailure) {
        self.0.sign_in_failures.get_or_create(&reason.into()).inc();
    }

    /// A dial found nobody who is the peer.
    pub fn discovery_failed(&self, reason: DiscoveryFailure) {
        self.0.discovery_failures.get_or_create(&reason.into()).inc();
    }

    /// A limit refused something.
    pub fn limit_hit(&self, limit: Limit) {
        self.0.limits.get_or_create(&limit.into()).inc();
    }

    /// What the checks found, each time they ran: how many findings of each severity there are.
    pub fn findings(&self, count: impl Fn(FindingSeverity) -> u64) {
        for severity in FindingSeverity::ALL {
            self.0.findings.get_or_create(&(*severity).into()).set(registry::signed(count(*severity)));
        }
    }

    /// A job's run ended, in seconds since 1970.
    pub fn job(&self, job: &'static str, result: JobResult, ended: f64, took: Duration) {
        let labels = JobLabels { job_name: job };
        self.0.job_succeeded.get_or_create(&labels).set(i64::from(result == JobResult::Succeeded));
        self.0.job_ended.get_or_create(&labels).set(ended);
        self.0.job_took.get_or_create(&labels).set(took.as_secs_f64());
    }

    /// When the process started, in seconds since 1970.
    pub fn started(&self, at: f64) {
        self.0.started.set(at);
    }

    /// When a certificate ends, in seconds since 1970.
    pub fn certificate(&self, purpose: &'static str, not_after: f64) {
        self.0.certificates.get_or_create(&CertificateLabels { purpose }).set(not_after);
    }

    /// Everything as `OpenMetrics` text.
    pub fn render(&self, now: &Snapshot) -> String {
        self.0.take(now);
        self.0.text()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
