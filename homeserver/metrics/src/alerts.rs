//! When somebody must look: each alert has a sentence and a runbook.

/// How soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Somebody loses something, or soon will: look now.
    Critical,
    /// It will become a problem: look today.
    Warning,
}

impl Severity {
    /// Its name in the label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// One alert rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its name.
    pub name: &'static str,
    /// What is asked of Prometheus; it fires for every series of the answer.
    pub query: &'static str,
    /// How long it must hold, in minutes.
    pub minutes: u32,
    /// How soon somebody must look.
    pub severity: Severity,
    /// What is wrong, in one sentence; labels of the answer as `{{ $labels.x }}`.
    pub sentence: &'static str,
    /// The file in `runbooks/` that says what to do.
    pub runbook: &'static str,
}

/// Every alert.
pub const ALERTS: &[Alert] = &[
    Alert {
        name: "QuicproquoDown",
        query: "up{job=\"quicproquo\"} == 0",
        minutes: 2,
        severity: Severity::Critical,
        sentence: "The homeserver {{ $labels.instance }} does not answer: it is stopped, or its admin listener can't be reached.",
        runbook: "first-install.md",
    },
    Alert {
        name: "QuicproquoWritesFail",
        query: "sum by (instance) (increase(quicproquo_rpc_duration_seconds_count{outcome=\"failed\"}[5m])) > 5",
        minutes: 1,
        severity: Severity::Critical,
        sentence: "{{ $labels.instance }} refuses calls because of its own trouble: most often the disk is full.",
        runbook: "disk-full.md",
    },
    Alert {
        name: "QuicproquoWritesSlow",
        query: "histogram_quantile(0.99, sum by (instance, le) \
                (rate(quicproquo_storage_duration_seconds_bucket{operation=\"write-commit\"}[10m]))) > 1",
        minutes: 10,
        severity: Severity::Warning,
        sentence: "Commits of {{ $labels.instance }} take longer than a second: the disk is slow or nearly full.",
        runbook: "disk-full.md",
    },
    Alert {
        name: "QuicproquoWalGrows",
        query: "quicproquo_database_wal_bytes > 1073741824",
        minutes: 10,
        severity: Severity::Warning,
        sentence: "The write-ahead log of {{ $labels.instance }} is larger than 1 GiB and is not written back.",
        runbook: "disk-full.md",
    },
    Alert {
        name: "QuicproquoPeerDown",
        query: "sum by (instance) (quicproquo_peers{state=~\"backing-off|refused\"}) > 0",
        minutes: 15,
        severity: Severity::Warning,
        sentence: "{{ $labels.instance }} can't deliver to {{ $value }} of its peers: `peer list` names them.",
        runbook: "peer-down.md",
    },
    Alert {
        name: "QuicproquoQueueOld",
        query: "quicproquo_federation_queue_oldest_age_seconds > 3600",
        minutes: 5,
        severity: Severity::Warning,
        sentence: "A message has waited at {{ $labels.instance }} for more than an hour for its peer.",
        runbook: "queue-growing.md",
    },
    Alert {
        name: "QuicproquoQueueVeryOld",
        query: "quicproquo_federation_queue_oldest_age_seconds > 7 * 86400",
        minutes: 5,
        severity: Severity::Critical,
        sentence: "A message has waited at {{ $labels.instance }} for more than a week for its peer: messages expire after 30 days.",
        runbook: "queue-growing.md",
    },
    Alert {
        name: "QuicproquoDeadLetters",
        query: "quicproquo_federation_dead_letters > 0",
        minutes: 5,
        severity: Severity::Warning,
        sentence: "{{ $value }} messages of {{ $labels.instance }} could not be read by the peer that they are for.",
        runbook: "dead-letters.md",
    },
    Alert {
        name: "QuicproquoPeerUnconfirmed",
        query: "quicproquo_peers{state=\"awaiting-confirmation\"} > 0",
        minutes: 60,
        severity: Severity::Warning,
        sentence: "A peering of {{ $labels.instance }} waits for an admin to confirm a fingerprint.",
        runbook: "peering.md",
    },
    Alert {
        name: "QuicproquoCertificateEnds",
        query: "quicproquo_certificate_not_after_timestamp_seconds - time() < 14 * 86400",
        minutes: 5,
        severity: Severity::Warning,
        sentence: "The certificate of {{ $labels.purpose }} at {{ $labels.instance }} ends in less than 14 days: a restart renews it.",
        runbook: "peering.md",
    },
    Alert {
        name: "QuicproquoGuessing",
        query: "sum by (instance) (increase(quicproquo_login_failures_total{reason=~\"credentials|unfinished\"}[10m])) > 100",
        minutes: 0,
        severity: Severity::Warning,
        sentence: "More than 100 logins with a wrong name or password in 10 minutes at {{ $labels.instance }}: somebody guesses.",
        runbook: "abuse.md",
    },
    Alert {
        name: "QuicproquoConsoleGuessing",
        query: "sum by (instance) (increase(quicproquo_console_sign_in_failures_total[10m])) > 10",
        minutes: 0,
        severity: Severity::Critical,
        sentence: "More than 10 failed sign-ins to the console of {{ $labels.instance }} in 10 minutes.",
        runbook: "abuse.md",
    },
    Alert {
        name: "QuicproquoLimitsBite",
        query: "sum by (instance, limit) (increase(quicproquo_limits_hit_total[15m])) > 500",
        minutes: 15,
        severity: Severity::Warning,
        sentence: "The limit on {{ $labels.limit }} refuses more than 500 times in 15 minutes at {{ $labels.instance }}.",
        runbook: "abuse.md",
    },
    Alert {
        name: "QuicproquoCheckFails",
        query: "quicproquo_check_findings{severity=\"error\"} > 0",
        minutes: 10,
        severity: Severity::Warning,
        sentence: "Checks of {{ $labels.instance }} find {{ $value }} faults: `doctor` names each with its remedy.",
        runbook: "first-install.md",
    },
    Alert {
        name: "QuicproquoJobFails",
        query: "quicproquo_job_last_succeeded == 0",
        minutes: 15,
        severity: Severity::Warning,
        sentence: "The job {{ $labels.job_name }} of {{ $labels.instance }} failed; its log says why.",
        runbook: "disk-full.md",
    },
];
