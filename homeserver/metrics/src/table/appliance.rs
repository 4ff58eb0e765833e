//! The appliance looking after itself: checks, jobs, the audit log.

use super::{Area, Metric, Panel};

pub(super) const AREA: Area = Area {
    title: "Checks, jobs, audit",
    metrics: &[
        Metric::gauge(
            "check_findings",
            "Findings of the last run of the checks, by severity",
            Panel::line(
                "Findings of checks",
                "sum by (severity) (quicproquo_check_findings{@})",
                "{{severity}}",
                "short",
            )
            .above(1.0, 5.0),
        )
        .by(&["severity"]),
        Metric::gauge(
            "job_last_succeeded",
            "Whether a job's last run succeeded: 1 or 0",
            Panel::now("Last run of jobs", "quicproquo_job_last_succeeded{@}", "{{job_name}}", "bool_yes_no")
                .below(1.0, 1.0),
        )
        .by(&["job_name"]),
        Metric::gauge(
            "job_last_run_timestamp",
            "When a job's last run ended, in seconds since 1970",
            Panel::line(
                "Jobs ran so long ago",
                "time() - quicproquo_job_last_run_timestamp_seconds{@}",
                "{{job_name}}",
                "s",
            ),
        )
        .in_unit("seconds")
        .by(&["job_name"]),
        Metric::gauge(
            "job_last_duration",
            "How long a job's last run took",
            Panel::line("Jobs took", "quicproquo_job_last_duration_seconds{@}", "{{job_name}}", "s"),
        )
        .in_unit("seconds")
        .by(&["job_name"]),
        Metric::gauge(
            "audit_rows",
            "Rows of the audit log",
            Panel::line("Audit log", "quicproquo_audit_rows{@}", "{{instance}}", "short"),
        ),
        Metric::gauge(
            "log_entries",
            "Entries of the key-transparency log",
            Panel::line("Key-transparency log", "quicproquo_log_entries{@}", "{{instance}}", "short"),
        ),
        Metric::gauge(
            "log_cosigned_entries",
            "Entries of the key-transparency log that as many witnesses have signed as are needed",
            Panel::line(
                "Entries that wait for witnesses",
                "quicproquo_log_entries{@} - quicproquo_log_cosigned_entries{@}",
                "{{instance}}",
                "short",
            ),
        ),
    ],
};
