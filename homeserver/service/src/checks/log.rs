//! The key-transparency log: it is what it signed.

use super::{Check, Facts, Finding, Severity};

pub(super) const CHECK: Check =
    Check { id: "log", about: "The key-transparency log is what it signed.", judge };

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    if let Some(why) = &facts.log_damaged {
        findings.push(
            Finding::new("log.damaged", Severity::Critical, "the key-transparency log")
                .because(format!("the log is not what it signed: {why}"))
                .remedy("stop the homeserver and keep a copy of the data directory as it is; an older copy put back would sign a second history of what came after it, so go back only to one in which nothing is missing")
                .preventing_work(),
        );
    }
}
