//! The program itself: which one, since when, and what it keeps on the disk.

use super::{Area, Metric, MetricKind, Panel};

/// Above it the write-ahead log is not being written back: a reader holds it, or the disk can't follow.
const WAL_YELLOW: f64 = 268_435_456.0;
const WAL_RED: f64 = 1_073_741_824.0;

pub(super) const AREA: Area = Area {
    title: "Process and disk",
    metrics: &[
        Metric::new(
            MetricKind::Info,
            "build",
            "The program's version",
            Panel::now("Version", "quicproquo_build_info{@}", "{{version}}", "none"),
        )
        .by(&["version"]),
        Metric::gauge(
            "process_start_timestamp",
            "When the process started, in seconds since 1970",
            Panel::now(
                "Running for",
                "time() - quicproquo_process_start_timestamp_seconds{@}",
                "{{instance}}",
                "dtdurations",
            ),
        )
        .in_unit("seconds"),
        Metric::gauge(
            "database",
            "Size of the database file",
            Panel::line("Database", "quicproquo_database_bytes{@}", "{{instance}}", "bytes"),
        )
        .in_unit("bytes"),
        Metric::gauge(
            "database_wal",
            "Size of the database's write-ahead log",
            Panel::line("Write-ahead log", "quicproquo_database_wal_bytes{@}", "{{instance}}", "bytes")
                .above(WAL_YELLOW, WAL_RED),
        )
        .in_unit("bytes"),
        Metric::gauge(
            "certificate_not_after_timestamp",
            "When a certificate ends, in seconds since 1970",
            Panel::now(
                "Certificates: days left",
                "(quicproquo_certificate_not_after_timestamp_seconds{@} - time()) / 86400",
                "{{purpose}}",
                "none",
            )
            .below(30.0, 7.0),
        )
        .in_unit("seconds")
        .by(&["purpose"]),
        Metric::counter(
            "scrapes",
            "How often these metrics were asked for",
            Panel::line("Scrapes", "rate(quicproquo_scrapes_total{@}[5m])", "{{instance}}", "reqps"),
        ),
    ],
};
