//! A probe of a peer as people read it.

use std::fmt::Write as _;

use serde_json::Value;

/// One line for each step, with its remedy below where it failed; then what the peer says, and one sentence.
pub(crate) fn written(report: &Value) -> String {
    let mut text = String::new();
    let steps = report.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for step in steps {
        let field = |name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default();
        let took = step.get("took_ms").and_then(Value::as_u64).map(|took| format!("{took} ms"));
        let took = took.unwrap_or_default();
        // Writing into a string does not fail.
        let line = format!("{:<7} {:<11} {took:>8}  {}", field("outcome"), field("step"), field("said"));
        writeln!(text, "{}", line.trim_end()).ok();
        if !field("remedy").is_empty() {
            writeln!(text, "        what to do: {}", field("remedy")).ok();
        }
        if !field("runbook").is_empty() {
            writeln!(text, "        runbook: {}", field("runbook")).ok();
        }
    }
    let domain = report.get("domain").and_then(Value::as_str).unwrap_or_default();
    if let Some(state) = report.pointer("/theirs/state").and_then(Value::as_str) {
        writeln!(text, "`{domain}` says: {state}").ok();
    }
    let took = report.get("took_ms").and_then(Value::as_u64).unwrap_or_default();
    let verdict = match report.get("ok").and_then(Value::as_bool) {
        Some(true) => "nothing is wrong",
        Some(false) | None => "something is wrong",
    };
    writeln!(text, "`{domain}` in {took} ms: {verdict}").ok();
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_failed_step_says_what_to_do() {
        let report = json!({ "domain": "beta.test", "ok": false, "took_ms": 812, "theirs": null, "steps": [
            { "step": "dns", "outcome": "passed", "took_ms": 12, "said": "beta.test: 1 addresses", "remedy": null,
              "runbook": null },
            { "step": "quic", "outcome": "failed", "took_ms": 800, "said": "nobody answers", "remedy": "look there",
              "runbook": "runbooks/peer-down.md" },
            { "step": "alpn", "outcome": "skipped", "took_ms": null, "said": "", "remedy": null, "runbook": null },
        ]});
        assert_eq!(
            written(&report),
            "passed  dns            12 ms  beta.test: 1 addresses\n\
             failed  quic          800 ms  nobody answers\n        what to do: look there\n        \
             runbook: runbooks/peer-down.md\nskipped alpn\n`beta.test` in 812 ms: something is wrong\n"
        );
    }
}
