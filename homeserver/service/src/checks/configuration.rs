//! The configuration file against what runs.

use super::{Check, Facts, Finding, Severity};

pub(super) const CHECK: Check =
    Check { id: "configuration", about: "The configuration file says what runs.", judge };

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(fact) = &facts.machine.configuration else { return };
    let path = &fact.path;
    if let Some(why) = &fact.unusable {
        findings.push(
            Finding::new("configuration.unusable", Severity::Critical, path)
                .because(format!(
                    "{why}; what runs goes on with the former values, and the next start is refused"
                ))
                .remedy("correct the file; `qpq-server config check` says whether it can be used"),
        );
    }
    if !fact.not_reloaded.is_empty() {
        findings.push(
            Finding::new("configuration.not-reloaded", Severity::Warning, path)
                .because(format!("the file was changed and not read again: {}", fact.not_reloaded.join(", ")))
                .remedy("reload (SIGHUP to the homeserver, `systemctl reload`), or take the change back"),
        );
    }
    if !fact.takes_restart.is_empty() {
        findings.push(
            Finding::new("configuration.takes-restart", Severity::Warning, path)
                .because(format!(
                    "the file was changed, and only a restart makes it count: {}",
                    fact.takes_restart.join(", ")
                ))
                .remedy("restart the homeserver, or take the change back"),
        );
    }
}
