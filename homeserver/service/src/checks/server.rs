//! Whether a server runs, where somebody looks from outside.

use super::{Check, Facts, Finding, ServerFact, Severity};

pub(super) const CHECK: Check = Check { id: "server", about: "A homeserver runs and answers.", judge };

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    match &facts.server {
        ServerFact::Running => {}
        ServerFact::Stopped => findings.push(
            Finding::new("server.stopped", Severity::Info, "qpq-server")
                .because("the server is not running: what needs a running one was not checked")
                .remedy("start it with `qpq-server serve`"),
        ),
        ServerFact::Silent(why) => findings.push(
            Finding::new("server.silent", Severity::Critical, "qpq-server")
                .because(format!("a server holds the data directory and does not answer: {why}"))
                .remedy("see what its log says; it may be starting, stopping or stuck"),
        ),
    }
    findings.extend(facts.machine.unseen.iter().map(|what| {
        Finding::new("server.unseen", Severity::Warning, "this machine")
            .because(format!("{what} could not be looked at"))
            .remedy("is the disk slow or a network file system gone? see the kernel's messages")
    }));
}
