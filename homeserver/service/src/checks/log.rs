//! The key-transparency log: it is what it signed, and its witnesses sign it; and nobody's log shows two histories.

use super::{Check, Facts, Finding, Severity, WitnessingFact};

pub(super) const CHECK: Check =
    Check { id: "log", about: "The key-transparency log is what it signed, and is witnessed.", judge };

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    if let Some(why) = &facts.log_damaged {
        findings.push(
            Finding::new("log.damaged", Severity::Critical, "the key-transparency log")
                .because(format!("the log is not what it signed: {why}"))
                .remedy("stop the homeserver and keep a copy of the data directory as it is; an older copy put back would sign a second history of what came after it, so go back only to one in which nothing is missing")
                .preventing_work(),
        );
    }
    let WitnessingFact { halted, silent, two_histories } = &facts.witnessing;
    if let Some(why) = halted {
        findings.push(
            Finding::new("log.halted", Severity::Critical, "the key-transparency log")
                .because(format!("nothing is signed, so no keys can change: {why}"))
                .remedy("if an older copy of the database was put back, put the newer one back in its place; the log can't go on from the older one without showing two histories")
                .runbook("runbooks/split-view.md")
                .preventing_work(),
        );
    }
    for origin in two_histories {
        findings.push(
            Finding::new("log.evidence", Severity::Critical, origin)
                .because("its log has signed two histories that can't both be true, so nothing new begins with its domain")
                .remedy("`qpq-server log evidence list` shows it; ask the other admin what happened, and decide")
                .runbook("runbooks/split-view.md"),
        );
    }
    for (witness, why) in silent {
        findings.push(
            Finding::new("log.witness-silent", Severity::Warning, witness)
                .because(format!("it does not sign our log: {why}"))
                .remedy("people of other domains don't see new keys until enough witnesses sign: see to the link to this peer, or end the peering"),
        );
    }
}
