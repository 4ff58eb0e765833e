//! The registry says what its table says, and nothing else.

use std::{collections::BTreeSet, time::Duration};

use super::{METRICS, Metrics, Outcome, PeerState, Snapshot};

#[test]
fn the_table_and_the_registry_name_the_same_metrics() {
    let metrics = Metrics::new("1.2.3");
    metrics.call("rpc.mailbox.fetch", Outcome::Ok, Duration::from_millis(3));
    metrics.storage("commit", Duration::from_millis(3));
    metrics.certificate("client", 2.0);
    let snapshot = Snapshot { peers: vec![(PeerState::BackingOff, 2)], ..Snapshot::default() };
    let text = metrics.render(&snapshot);
    let told: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    let table: BTreeSet<String> = METRICS
        .iter()
        .map(|metric| metric.full_name().trim_end_matches("_total").trim_end_matches("_info").to_owned())
        .collect();
    assert_eq!(told, table, "{text}");
    assert!(!text.contains("undocumented"), "{text}");
    assert!(text.contains("quicproquo_peers{state=\"backing-off\"} 2"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn outcomes_follow_the_classes_of_codes() {
    use qpq_core::ErrorCode;
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
