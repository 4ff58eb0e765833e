//! Who is let in, who is not, and which limits bite.

use super::{Area, Metric, Panel};

pub(super) const AREA: Area = Area {
    title: "Access and limits",
    metrics: &[
        Metric::gauge(
            "sessions_live",
            "Sessions that connections hold now",
            Panel::line("Live sessions", "quicproquo_sessions_live{@}", "{{instance}}", "short"),
        ),
        Metric::counter(
            "login_failures",
            "Logins of clients that failed, by reason",
            Panel::line(
                "Failed logins in 5 min",
                "sum by (reason) (increase(quicproquo_login_failures_total{@}[5m]))",
                "{{reason}}",
                "short",
            ),
        )
        .by(&["reason"]),
        Metric::counter(
            "console_sign_in_failures",
            "Sign-ins to the console that failed, by reason",
            Panel::line(
                "Failed console sign-ins in 5 min",
                "sum by (reason) (increase(quicproquo_console_sign_in_failures_total{@}[5m]))",
                "{{reason}}",
                "short",
            )
            .above(3.0, 10.0),
        )
        .by(&["reason"]),
        Metric::counter(
            "limits_hit",
            "How often a limit refused something, by limit",
            Panel::line(
                "Limits that bit in 5 min",
                "sum by (limit) (increase(quicproquo_limits_hit_total{@}[5m]))",
                "{{limit}}",
                "short",
            ),
        )
        .by(&["limit"]),
        Metric::gauge(
            "bans",
            "Bans in force, by what is banned",
            Panel::line("Bans", "sum by (kind) (quicproquo_bans{@})", "{{kind}}", "short"),
        )
        .by(&["kind"]),
    ],
};
