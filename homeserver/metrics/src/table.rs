//! Every metric: its name without the prefix, what it is, and how the dashboard draws it.
//!
//! Registration, `docs/reference/metrics.md` and `compose/monitoring/` follow this table; tests hold the rest to it.

mod access;
mod appliance;
mod calls;
mod federation;
mod process;

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

impl MetricKind {
    /// Its name in Prometheus' text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name without `quicproquo_` and without the unit.
    pub name: &'static str,
    /// Its unit; empty: a number.
    pub unit: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says, without a full stop.
    pub help: &'static str,
    /// How the dashboard draws it.
    pub panel: Panel,
}

/// How a metric is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Panel {
    /// Its title.
    pub title: &'static str,
    /// What is asked of Prometheus. `{@}` stands where the dashboard narrows it to one homeserver.
    pub query: &'static str,
    /// What one line is called, with labels as `{{label}}`.
    pub legend: &'static str,
    /// The unit as Grafana names it.
    pub unit: &'static str,
    /// What is drawn.
    pub draw: Draw,
    /// From where on it is coloured.
    pub thresholds: Thresholds,
}

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// A line over time.
    Line,
    /// The value now.
    Now,
}

/// From where on a value is coloured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Thresholds {
    /// It is neither good nor bad.
    None,
    /// Yellow from the first on, red from the second on.
    Above(f64, f64),
    /// Yellow below the first, red below the second.
    Below(f64, f64),
}

/// A row of the dashboard.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    /// Its title.
    pub title: &'static str,
    /// Its metrics.
    pub metrics: &'static [Metric],
}

/// Every metric, area by area.
pub const AREAS: &[Area] = &[process::AREA, federation::AREA, calls::AREA, access::AREA, appliance::AREA];

/// Every metric.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    AREAS.iter().flat_map(|area| area.metrics)
}

impl Metric {
    const fn new(kind: MetricKind, name: &'static str, help: &'static str, panel: Panel) -> Self {
        Self { name, unit: "", kind, labels: &[], help, panel }
    }

    const fn gauge(name: &'static str, help: &'static str, panel: Panel) -> Self {
        Self::new(MetricKind::Gauge, name, help, panel)
    }

    const fn counter(name: &'static str, help: &'static str, panel: Panel) -> Self {
        Self::new(MetricKind::Counter, name, help, panel)
    }

    const fn durations(name: &'static str, help: &'static str, panel: Panel) -> Self {
        Self::new(MetricKind::Histogram, name, help, panel).in_unit("seconds")
    }

    const fn in_unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    /// Its name as the text form declares it.
    pub fn family(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!("_{}", self.unit) };
        format!("quicproquo_{}{unit}", self.name)
    }

    /// Its name as Prometheus shows it, without the endings of buckets.
    pub fn full_name(&self) -> String {
        let ending = match self.kind {
            MetricKind::Counter => "_total",
            MetricKind::Info => "_info",
            MetricKind::Gauge | MetricKind::Histogram => "",
        };
        format!("{}{ending}", self.family())
    }
}

impl Panel {
    const fn line(
        title: &'static str,
        query: &'static str,
        legend: &'static str,
        unit: &'static str,
    ) -> Self {
        Self { title, query, legend, unit, draw: Draw::Line, thresholds: Thresholds::None }
    }

    const fn now(title: &'static str, query: &'static str, legend: &'static str, unit: &'static str) -> Self {
        Self { draw: Draw::Now, ..Self::line(title, query, legend, unit) }
    }

    const fn above(self, yellow: f64, red: f64) -> Self {
        Self { thresholds: Thresholds::Above(yellow, red), ..self }
    }

    const fn below(self, yellow: f64, red: f64) -> Self {
        Self { thresholds: Thresholds::Below(yellow, red), ..self }
    }
}
