//! What was measured, printed as it comes.

use std::{
    io::{self, Write as _},
    time::Duration,
};

/// Everything printed so far, and whether the bounds held.
#[derive(Debug)]
pub(crate) struct Report {
    out: io::Stdout,
    broken: usize,
}

/// Latencies in order.
#[derive(Clone, Debug)]
pub(crate) struct Latency(Vec<Duration>);

impl Latency {
    /// Of single measurements.
    pub(crate) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self(all)
    }

    /// A percentile in milliseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let at = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(at).map_or(f64::NAN, |found| found.as_secs_f64() * 1_000.0)
    }
}

impl Report {
    /// Nothing is measured yet.
    pub(crate) fn new() -> Self {
        Self { out: io::stdout(), broken: 0 }
    }

    /// Begins a table.
    pub(crate) fn title(&mut self, text: &str) {
        self.print(&format!("\n{text}\n{}", "-".repeat(text.len())));
    }

    /// A remark.
    pub(crate) fn note(&mut self, text: &str) {
        self.print(&format!("({text})"));
    }

    /// One number.
    pub(crate) fn figure(&mut self, what: &str, value: f64, unit: &str) {
        self.print(&format!("{what:<58} {value:>10.1} {unit}"));
    }

    /// Two percentiles, and a bound for the 99th.
    pub(crate) fn latency(&mut self, what: &str, latency: &Latency, bound_ms: Option<f64>) {
        let (p50, p99) = (latency.percentile(50), latency.percentile(99));
        let verdict = match bound_ms {
            Some(bound) if p99.is_nan() || p99 > bound => {
                self.broken += 1;
                format!("  BROKEN: p99 must be at most {bound} ms")
            }
            Some(bound) => format!("  (bound {bound} ms)"),
            None => String::new(),
        };
        self.print(&format!("{what:<44} p50 {p50:>8.1} ms  p99 {p99:>8.1} ms{verdict}"));
    }

    /// Whether every bound held.
    pub(crate) const fn holds(&self) -> bool {
        self.broken == 0
    }

    /// A reader that has gone away does not stop the measurement.
    fn print(&mut self, line: &str) {
        writeln!(self.out, "{line}").ok();
    }
}
