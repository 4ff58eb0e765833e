//! Jobs: the last run of each did what it should.

use super::{Check, Facts, Finding, Severity};

pub(super) const CHECK: Check =
    Check { id: "jobs", about: "What runs by itself does what it should.", judge };

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    let failed = facts.jobs.iter().filter(|run| !run.ok);
    findings.extend(failed.map(|run| {
        Finding::new("jobs.failed", Severity::Warning, &run.job)
            .because(format!("the job `{}` failed at {}: {}", run.job, run.started, run.result))
            .remedy("it is tried again by itself; if it stays so, see what the log says of it")
    }));
}
