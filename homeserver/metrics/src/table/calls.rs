//! What clients and admins ask, and how fast the store follows.

use super::{Area, Metric, Panel};

pub(super) const AREA: Area = Area {
    title: "Calls and storage",
    metrics: &[
        Metric::durations(
            "rpc_duration",
            "How long calls of clients and on the admin socket took",
            Panel::line(
                "Calls, 99 %",
                "histogram_quantile(0.99, sum by (le, method) (rate(quicproquo_rpc_duration_seconds_bucket{@}[5m])))",
                "{{method}}",
                "s",
            )
            .above(1.0, 5.0),
        )
        .by(&["method", "outcome"]),
        Metric::durations(
            "storage_duration",
            "How long the store took: to open a view, for a batch of writes, and for the commit and its flush in it",
            Panel::line(
                "Storage, 99 %",
                "histogram_quantile(0.99, sum by (le, operation) \
                 (rate(quicproquo_storage_duration_seconds_bucket{@}[5m])))",
                "{{operation}}",
                "s",
            )
            .above(0.1, 1.0),
        )
        .by(&["operation"]),
        Metric::gauge(
            "write_queue_jobs",
            "Writes that wait for the next batch; the queue is full at 1,024",
            Panel::line("Writes that wait", "quicproquo_write_queue_jobs{@}", "{{instance}}", "short")
                .above(512.0, 1_000.0),
        ),
        Metric::durations(
            "http_request_duration",
            "How long requests of the TCP listeners took, by the template of their route and the class of their status",
            Panel::line(
                "HTTP requests",
                "sum by (listener, route, status) (rate(quicproquo_http_request_duration_seconds_count{@}[5m]))",
                "{{listener}} {{route}} {{status}}",
                "reqps",
            ),
        )
        .by(&["listener", "route", "status"]),
    ],
};
