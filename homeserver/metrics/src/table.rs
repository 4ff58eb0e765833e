//! Every metric: its name without the prefix, what it is, and how the dashboard draws it.

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
    /// Always 1, with labels that say something.
    Info,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name without `quicproquo_` and without the unit.
    pub name: &'static str,
    /// Its unit; empty: a number.
    pub unit: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    /// The expression that the dashboard draws.
    pub panel: &'static str,
}

impl Metric {
    /// Its name as Prometheus shows it, without the endings of buckets.
    pub fn full_name(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!("_{}", self.unit) };
        let ending = match self.kind {
            MetricKind::Counter => "_total",
            MetricKind::Info => "_info",
            MetricKind::Gauge | MetricKind::Histogram => "",
        };
        format!("quicproquo_{}{unit}{ending}", self.name)
    }
}

/// Every metric.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "build",
        unit: "",
        kind: MetricKind::Info,
        labels: &["version"],
        help: "The program's version",
        panel: "quicproquo_build_info",
    },
    Metric {
        name: "process_start_timestamp",
        unit: "seconds",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "When the process started, in seconds since 1970",
        panel: "time() - quicproquo_process_start_timestamp_seconds",
    },
    Metric {
        name: "rpc_duration",
        unit: "seconds",
        kind: MetricKind::Histogram,
        labels: &["method", "outcome"],
        help: "How long calls of clients and on the admin socket took",
        panel: "histogram_quantile(0.99, sum by (le, method) (rate(quicproquo_rpc_duration_seconds_bucket[5m])))",
    },
    Metric {
        name: "storage_duration",
        unit: "seconds",
        kind: MetricKind::Histogram,
        labels: &["operation"],
        help: "How long the store took for a batch of writes",
        panel: "histogram_quantile(0.99, sum by (le, operation) (rate(quicproquo_storage_duration_seconds_bucket[5m])))",
    },
    Metric {
        name: "sessions_live",
        unit: "",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Sessions that connections hold now",
        panel: "quicproquo_sessions_live",
    },
    Metric {
        name: "federation_queue_rows",
        unit: "",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Rows that wait for peers",
        panel: "quicproquo_federation_queue_rows",
    },
    Metric {
        name: "federation_queue_oldest_age",
        unit: "seconds",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "How long the oldest row for a peer has waited; 0 if none waits",
        panel: "quicproquo_federation_queue_oldest_age_seconds",
    },
    Metric {
        name: "peers",
        unit: "",
        kind: MetricKind::Gauge,
        labels: &["state"],
        help: "Peers by where they stand",
        panel: "sum by (state) (quicproquo_peers)",
    },
    Metric {
        name: "certificate_not_after_timestamp",
        unit: "seconds",
        kind: MetricKind::Gauge,
        labels: &["purpose"],
        help: "When a certificate ends, in seconds since 1970",
        panel: "(quicproquo_certificate_not_after_timestamp_seconds - time()) / 86400",
    },
    Metric {
        name: "scrapes",
        unit: "",
        kind: MetricKind::Counter,
        labels: &[],
        help: "How often these metrics were asked for",
        panel: "rate(quicproquo_scrapes_total[5m])",
    },
];
