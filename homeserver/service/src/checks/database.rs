//! The database: it can be read, it is whole, and its write-ahead log is emptied.

use super::{Check, Facts, Finding, Integrity, Severity};

pub(super) const CHECK: Check =
    Check { id: "database", about: "The database can be read and is whole, and its log is emptied.", judge };

/// The writer empties the log every 16 MiB; this much means that something keeps it from doing so.
const LOG_LARGE: u64 = 512 << 20;
const SUBJECT: &str = "homeserver.db";

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    let critical = |id| Finding::new(id, Severity::Critical, SUBJECT);
    if let Some(why) = &facts.store {
        findings.push(
            critical("database.failing")
                .because(format!("the database can't be read: {why}"))
                .remedy("see what the log says of it; if nothing else is found here, look at the disk and its kernel messages")
                .preventing_work(),
        );
    }
    match facts.database.as_ref().map(|fact| (&fact.integrity, fact.at)) {
        None | Some((Integrity::Whole, _)) => {}
        Some((Integrity::Damaged(faults), at)) => findings.push(
            critical("database.damaged")
                .because(format!("the database is damaged (looked at {at}): {}", faults.join("; ")))
                .remedy("stop the homeserver, copy the data directory as it is, look at the disk, and go back to a good copy of the whole directory")
                .preventing_work(),
        ),
        Some((Integrity::Closed(why), _)) => findings.push(
            critical("database.closed")
                .because(why)
                .remedy("give the key that the domain was made with (QPQ_DATABASE_KEY_FILE, the credential `database-key`, or keys/database)"),
        ),
        Some((Integrity::Unknown(why), _)) => findings.push(
            Finding::new("database.unknown", Severity::Info, SUBJECT)
                .because(format!("nobody could tell whether the database is whole: {why}"))
                .remedy("wait for the job `check-database`, which has more time, and look at its result"),
        ),
    }
    if let Some(peer) = &facts.rolled_back_by {
        findings.push(
            critical("database.rolled-back")
                .because(format!(
                    "`{peer}` has shown a message that this domain signed and the database doesn't hold: it is older than what \
                     was sent from it"
                ))
                .remedy("find out which copy is the one to keep; then `qpq-server incarnation begin`")
                .runbook("runbooks/rolled-back-server.md")
                .preventing_work(),
        );
    }
    if let Some(bytes) = facts.machine.log_bytes.filter(|bytes| *bytes > LOG_LARGE) {
        findings.push(
            Finding::new("database.log-large", Severity::Warning, "homeserver.db-wal")
                .because(format!("the write-ahead log has {} MiB and is not emptied", bytes >> 20))
                .remedy(
                    "restart the homeserver: something has been reading for too long; never delete the file",
                ),
        );
    }
}
