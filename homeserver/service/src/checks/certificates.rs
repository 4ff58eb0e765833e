//! Certificates' dates: warnings 30 and 14 days before the end, critical from 7 on.

use qpq_core::{Millis, Timestamp};

use super::{CertificateFact, Check, Facts, Finding, Severity};

pub(super) const CHECK: Check =
    Check { id: "certificates", about: "The certificates that others see are valid for some time.", judge };

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    findings.extend(facts.machine.certificates.iter().filter_map(|fact| finding(fact, facts.now)));
}

fn finding(CertificateFact { purpose, validity }: &CertificateFact, now: Timestamp) -> Option<Finding> {
    let critical = |id| Finding::new(id, Severity::Critical, *purpose);
    let (from, until) = match validity {
        Ok(validity) => *validity,
        Err(why) => {
            let finding = critical("certificates.unreadable")
                .because(format!("the certificate of the {purpose} can't be read: {why}"))
                .remedy("restore `keys/tls.crt` and `keys/tls.key` from a copy");
            return Some(finding);
        }
    };
    if now < from {
        let finding = critical("certificates.not-yet-valid")
            .because(format!("the certificate of the {purpose} begins at {from}, and it is {now}"))
            .remedy("set the clock right: others see a certificate that is not valid");
        return Some(finding.preventing_work());
    }
    if until <= now {
        let finding = critical("certificates.expired")
            .because(format!("the certificate of the {purpose} ended at {until}: nobody accepts it"))
            .remedy("check the clock; if it is right, restart the homeserver, which issues a new one (in production mode once with `production` off)");
        return Some(finding.preventing_work());
    }
    let days = until.since(now).0 / Millis::from_days(1).0;
    let severity = match days {
        0..7 => Severity::Critical,
        7..30 => Severity::Warning,
        _ => return None,
    };
    let urgency = if days < 14 { "now" } else { "soon" };
    let finding = Finding::new("certificates.ending", severity, *purpose)
        .because(format!("the certificate of the {purpose} ends in {days} days, at {until}"))
        .remedy(format!("restart the homeserver {urgency}: a start in the last 90 days issues a new one"));
    Some(finding)
}
