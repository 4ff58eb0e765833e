//! The registry says what its table says, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use qpq_core::ErrorCode;

use super::{
    ALERTS, Bans, Direction, DiscoveryFailure, FindingSeverity, JobResult, Limit, Listener, LoginFailure,
    MetricKind, Metrics, Outcome, PeerState, Queue, SignInFailure, Snapshot, metrics,
};

/// Everything happened once.
fn busy() -> Metrics {
    let (metrics, took) = (Metrics::new("1.2.3"), Duration::from_millis(3));
    metrics.call("rpc.mailbox.fetch", Outcome::Ok, took);
    metrics.peer_call(Direction::Sent, "relayEnqueue", Outcome::Later, took);
    metrics.request(Listener::Admin, "/users/{name}", 404, took);
    metrics.storage("write-commit", took);
    metrics.certificate("listeners", 2.0);
    metrics.login_failed(LoginFailure::Credentials);
    metrics.console_sign_in_failed(SignInFailure::Code);
    metrics.discovery_failed(DiscoveryFailure::Bogus);
    metrics.limit_hit(Limit::Mailbox);
    metrics.findings(|severity| u64::from(severity == FindingSeverity::Warning));
    metrics.job("lift-bans", JobResult::Succeeded, 7.0, took);
    metrics
}

/// The kind and the labels of every family in the text.
fn told(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut told = BTreeMap::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            name.clone_into(&mut family);
            told.insert(family.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((_, labels)) = line.split_once('{')
            && let Some((labels, _)) = labels.rsplit_once('}')
            && let Some((_, found)) = told.get_mut(&family)
        {
            let labels = labels.split(',').filter_map(|pair| pair.split_once('='));
            // The bounds of buckets are the format's, not ours.
            found.extend(labels.map(|(name, _)| name.to_owned()).filter(|name| name != "le"));
        }
    }
    told
}

#[test]
fn the_table_and_the_registry_name_the_same_metrics_with_the_same_kinds_and_labels() {
    let text = busy().render(&Snapshot::default());
    let table: BTreeMap<_, _> = metrics()
        .map(|metric| {
            let labels = metric.labels.iter().map(|label| (*label).to_owned()).collect();
            (metric.family(), (metric.kind.name().to_owned(), labels))
        })
        .collect();
    assert_eq!(told(&text), table, "{text}");
    assert!(!text.contains("undocumented"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_list_of_metrics() {
    let line = |metric: &super::Metric| {
        format!("{} ({}) {:?}", metric.full_name(), metric.kind.name(), metric.labels)
    };
    insta::assert_snapshot!(metrics().map(line).collect::<Vec<_>>().join("\n"));
}

#[test]
fn what_was_looked_at_is_told_and_what_could_not_be_stays() {
    let metrics = Metrics::new("1.2.3");
    let seen = Snapshot {
        queue: Some(Queue { rows: 5, oldest: Duration::from_secs(9) }),
        peers: vec![(PeerState::BackingOff, 2)],
        bans: vec![(Bans::Users, 3)],
        dead_letters: Some(2),
        audit_rows: Some(41),
        log_entries: Some(7),
        log_cosigned_entries: Some(6),
        database_bytes: Some(8_192),
        ..Snapshot::default()
    };
    for snapshot in [seen, Snapshot::default()] {
        let text = metrics.render(&snapshot);
        for line in [
            "quicproquo_federation_queue_rows 5",
            "quicproquo_federation_queue_oldest_age_seconds 9.0",
            "quicproquo_peers{state=\"backing-off\"} 2",
            "quicproquo_peers{state=\"healthy\"} 0",
            "quicproquo_federation_dead_letters 2",
            "quicproquo_bans{kind=\"user\"} 3",
            "quicproquo_audit_rows 41",
            "quicproquo_log_entries 7",
            "quicproquo_log_cosigned_entries 6",
            "quicproquo_database_bytes 8192",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
        }
    }
}

#[test]
fn a_first_failure_is_seen_as_one_because_counters_begin_at_zero() {
    let text = Metrics::new("1.2.3").render(&Snapshot::default());
    for line in [
        "quicproquo_login_failures_total{reason=\"credentials\"} 0",
        "quicproquo_console_sign_in_failures_total{reason=\"password\"} 0",
        "quicproquo_limits_hit_total{limit=\"mailbox\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn names_and_units_are_prometheus_own() {
    for metric in metrics() {
        let name = metric.full_name();
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        assert!(["", "seconds", "bytes"].contains(&metric.unit), "{name}: `{}` is no base unit", metric.unit);
        assert!(metric.kind != MetricKind::Histogram || metric.unit == "seconds", "{name}");
        assert!(metric.help.len() > 10 && !metric.help.ends_with('.'), "{name}");
        assert!(metric.panel.query.contains(&name), "the panel of {name} draws something else");
        assert!(
            metric.panel.query.contains("{@}"),
            "the panel of {name} can't be narrowed to one homeserver"
        );
        for label in metric.labels {
            assert!(
                !["user", "account", "device", "peer", "job", "instance"].contains(label),
                "{name}: {label}"
            );
        }
    }
}

#[test]
fn alerts_are_about_metrics_that_exist_and_name_runbooks_that_exist() {
    let runbooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runbooks");
    for alert in ALERTS {
        let known = metrics().any(|metric| alert.query.contains(&metric.full_name()));
        assert!(known || alert.query.contains("up{"), "{}: {}", alert.name, alert.query);
        assert!(runbooks.join(alert.runbook).is_file(), "{} names no runbook", alert.name);
        assert!(alert.sentence.ends_with('.'), "{}", alert.sentence);
    }
}

#[test]
fn outcomes_follow_the_classes_of_codes() {
    for (code, outcome) in [
        (None, Outcome::Ok),
        (Some(ErrorCode::Malformed), Outcome::Refused),
        (Some(ErrorCode::Banned), Outcome::Refused),
        (Some(ErrorCode::RateLimited), Outcome::Later),
        (Some(ErrorCode::WrongEpoch), Outcome::Refused),
        (Some(ErrorCode::NotStored), Outcome::Failed),
    ] {
        assert_eq!(Outcome::of(code), outcome);
    }
}
