//! The typed metrics registry: every number that the homeserver tells, in Prometheus' names and base units.
//!
//! One table ([`METRICS`]) names them all; registration and docs/metrics.md follow it. No label ever names a user, and the
//! values of every label are a short list.

mod labels;
mod table;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Metric as RegistryMetric, Registry, Unit},
};

pub use labels::{CallLabels, Outcome, PeerState};
use labels::{CertificateLabels, OperationLabels, PeerLabels};
pub use table::{METRICS, Metric, MetricKind};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of durations, in seconds: from a cached read to a call that hits its deadline.
const SECONDS: [f64; 12] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// All metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Mutex<Registry>,
    calls: Family<CallLabels, Histogram, fn() -> Histogram>,
    storage: Family<OperationLabels, Histogram, fn() -> Histogram>,
    sessions: Gauge,
    queue_rows: Gauge,
    queue_oldest: Gauge<f64, AtomicU64>,
    peers: Family<PeerLabels, Gauge>,
    certificates: Family<CertificateLabels, Gauge<f64, AtomicU64>>,
    started: Gauge<f64, AtomicU64>,
    scrapes: Counter,
}

/// What is looked at when somebody asks, because it is not counted as it happens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Sessions that connections hold now.
    pub sessions: u64,
    /// Rows that wait for peers.
    pub queue_rows: u64,
    /// How long the oldest of them has waited; zero if none does.
    pub queue_oldest: Duration,
    /// How many peers stand where.
    pub peers: Vec<(PeerState, u64)>,
}

impl Metrics {
    /// Every metric at zero. `version` is the program's.
    pub fn new(version: &str) -> Self {
        let inner = Inner {
            registry: Mutex::default(),
            calls: Family::new_with_constructor(durations),
            storage: Family::new_with_constructor(durations),
            sessions: Gauge::default(),
            queue_rows: Gauge::default(),
            queue_oldest: Gauge::default(),
            peers: Family::default(),
            certificates: Family::default(),
            started: Gauge::default(),
            scrapes: Counter::default(),
        };
        let mut registry = Registry::with_prefix("quicproquo");
        registry.register(
            "build",
            help("build"),
            Info::new(vec![("version".to_owned(), version.to_owned())]),
        );
        plain(&mut registry, "sessions_live", inner.sessions.clone());
        plain(&mut registry, "federation_queue_rows", inner.queue_rows.clone());
        plain(&mut registry, "peers", inner.peers.clone());
        plain(&mut registry, "scrapes", inner.scrapes.clone());
        seconds(&mut registry, "rpc_duration", inner.calls.clone());
        seconds(&mut registry, "storage_duration", inner.storage.clone());
        seconds(&mut registry, "federation_queue_oldest_age", inner.queue_oldest.clone());
        seconds(&mut registry, "certificate_not_after_timestamp", inner.certificates.clone());
        seconds(&mut registry, "process_start_timestamp", inner.started.clone());
        *inner.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        Self(Arc::new(inner))
    }

    /// A call was answered. `method` is the span's name, for example `rpc.mailbox.fetch`.
    pub fn call(&self, method: &'static str, outcome: Outcome, took: Duration) {
        self.0.calls.get_or_create(&CallLabels { method, outcome }).observe(took.as_secs_f64());
    }

    /// The store did something.
    pub fn storage(&self, operation: &'static str, took: Duration) {
        self.0.storage.get_or_create(&OperationLabels { operation }).observe(took.as_secs_f64());
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
        let inner = &self.0;
        inner.scrapes.inc();
        inner.sessions.set(signed(now.sessions));
        inner.queue_rows.set(signed(now.queue_rows));
        inner.queue_oldest.set(now.queue_oldest.as_secs_f64());
        for (state, count) in &now.peers {
            inner.peers.get_or_create(&PeerLabels { state: *state }).set(signed(*count));
        }
        let mut text = String::new();
        // Writing into a string does not fail.
        encode(&mut text, &inner.registry.lock().unwrap_or_else(PoisonError::into_inner)).ok();
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn plain(registry: &mut Registry, name: &str, metric: impl RegistryMetric) {
    registry.register(name, help(name), metric);
}

fn seconds(registry: &mut Registry, name: &str, metric: impl RegistryMetric) {
    registry.register_with_unit(name, help(name), Unit::Seconds, metric);
}

/// What the table says of a metric.
fn help(name: &str) -> &'static str {
    METRICS.iter().find(|metric| metric.name == name).map_or("undocumented", |metric| metric.help)
}

fn durations() -> Histogram {
    Histogram::new(SECONDS)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
