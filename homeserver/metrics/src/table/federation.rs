//! Other domains: where they stand, what waits for them, what is asked.

use super::{Area, Metric, Panel};

/// An hour and a day: what waits so long is noticed by people.
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

pub(super) const AREA: Area = Area {
    title: "Federation",
    metrics: &[
        Metric::gauge(
            "peers",
            "Peers by where they stand",
            Panel::line("Peers", "sum by (state) (quicproquo_peers{@})", "{{state}}", "short"),
        )
        .by(&["state"]),
        Metric::gauge(
            "federation_queue_rows",
            "Rows that wait for peers",
            Panel::line("Waiting for peers", "quicproquo_federation_queue_rows{@}", "{{instance}}", "short"),
        ),
        Metric::gauge(
            "federation_queue_oldest_age",
            "How long the oldest row for a peer has waited; 0 if none waits",
            Panel::line(
                "Oldest undelivered",
                "quicproquo_federation_queue_oldest_age_seconds{@}",
                "{{instance}}",
                "s",
            )
            .above(HOUR, DAY),
        )
        .in_unit("seconds"),
        Metric::gauge(
            "federation_dead_letters",
            "Messages that peers could not read, until they are replayed, dropped or expire",
            Panel::line("Dead letters", "quicproquo_federation_dead_letters{@}", "{{instance}}", "short")
                .above(1.0, 100.0),
        ),
        Metric::durations(
            "federation_call_duration",
            "How long calls between domains took, sent ones and received ones",
            Panel::line(
                "Calls between domains, 99 %",
                "histogram_quantile(0.99, sum by (le, direction, method) \
                 (rate(quicproquo_federation_call_duration_seconds_bucket{@}[5m])))",
                "{{direction}} {{method}}",
                "s",
            )
            .above(1.0, 5.0),
        )
        .by(&["direction", "method", "outcome"]),
        Metric::counter(
            "federation_discovery_failures",
            "Dials that found nobody who is the peer: DNS, its records, or who answered there",
            Panel::line(
                "Peers not found, per hour",
                "sum by (reason) (increase(quicproquo_federation_discovery_failures_total{@}[1h]))",
                "{{reason}}",
                "short",
            ),
        )
        .by(&["reason"]),
    ],
};
