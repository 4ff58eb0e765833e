//! A report as people read it.

use std::fmt::Write as _;

use serde_json::Value;

/// Each finding with its cause and its remedy, what follows from another below it; then one sentence.
pub(super) fn written(report: &Value) -> String {
    let mut text = String::new();
    let findings = report.get("findings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for finding in findings {
        let field = |name: &str| finding.get(name).and_then(Value::as_str).unwrap_or_default();
        let indent = if field("follows_from").is_empty() { "" } else { "  " };
        // Writing into a string does not fail.
        writeln!(text, "{indent}{} {} ({})", field("severity").to_uppercase(), field("subject"), field("id"))
            .ok();
        writeln!(text, "{indent}  {}", field("cause")).ok();
        if !field("follows_from").is_empty() {
            writeln!(text, "{indent}  follows from {}", field("follows_from")).ok();
        }
        writeln!(text, "{indent}  what to do: {}", field("remedy")).ok();
        if !field("runbook").is_empty() {
            writeln!(text, "{indent}  runbook: {}", field("runbook")).ok();
        }
    }
    let checks = report.get("checks").and_then(Value::as_array).map_or(0, Vec::len);
    let at = report.get("at").and_then(Value::as_str).unwrap_or_default();
    let verdict = match report.get("ok").and_then(Value::as_bool) {
        Some(true) => "nothing is wrong",
        Some(false) | None => "something is wrong: begin with the first",
    };
    write!(text, "{checks} checks at {at}: {verdict}").ok();
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_cause_stands_before_what_follows_from_it() {
        let report = json!({ "ok": false, "at": "2026-11-29T20:00:00.000Z", "checks": [{}, {}], "findings": [
            { "id": "disk.full", "severity": "critical", "subject": "/data", "cause": "no room", "remedy": "make room",
              "runbook": "runbooks/disk-full.md", "is_cause": true, "follows_from": null },
            { "id": "jobs.failed", "severity": "warning", "subject": "upkeep", "cause": "it failed", "remedy": "wait",
              "runbook": null, "is_cause": false, "follows_from": "disk.full" },
        ]});
        assert_eq!(
            written(&report),
            "CRITICAL /data (disk.full)\n  no room\n  what to do: make room\n  runbook: runbooks/disk-full.md\n  \
             WARNING upkeep (jobs.failed)\n    it failed\n    follows from disk.full\n    what to do: wait\n\
             2 checks at 2026-11-29T20:00:00.000Z: something is wrong: begin with the first"
        );
        let fine = json!({ "ok": true, "at": "now", "checks": [{}], "findings": [] });
        assert_eq!(written(&fine), "1 checks at now: nothing is wrong");
    }
}
