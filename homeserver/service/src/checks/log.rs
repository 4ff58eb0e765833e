//! The key-transparency log: it is what it signed.

use super::{Check, Facts, Finding, Severity};

pub(super) const CHECK: Check =
    Check { id: "log", about: "The key-transparency log is what it signed.", judge };

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    if let Some(why) = &facts.log_damaged {
        findings.push(
            Finding::new("log.damaged", Severity::Critical, "the key-transparency log")
                .because(format!("the log is not what it signed: {why}"))
                .remedy("stop the homeserver, copy the data directory as it is, and go back to a good copy of the whole directory")
                .preventing_work(),
        );
    }
}
