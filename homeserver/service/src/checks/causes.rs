//! Which finding follows from which: one table, so that an admin mends the cause and not its effects.

use std::cmp::Reverse;

use super::{Finding, Severity};

/// How a cause is recognised.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// Whatever the two are about.
    Anything,
    /// Only if they are about the same subject.
    TheSame,
}

/// Effect and cause, for each effect the likeliest cause first.
const FOLLOWS: &[(&str, &str, About)] = &[
    ("database.closed", "keys.missing", About::Anything),
    ("database.closed", "keys.malformed", About::Anything),
    ("database.closed", "keys.foreign", About::Anything),
    ("database.closed", "database.damaged", About::Anything),
    ("database.failing", "disk.full", About::Anything),
    ("database.failing", "database.damaged", About::Anything),
    ("database.unknown", "database.failing", About::Anything),
    ("database.log-large", "disk.full", About::Anything),
    ("certificates.unreadable", "keys.missing", About::Anything),
    ("certificates.unreadable", "keys.malformed", About::Anything),
    ("certificates.expired", "clocks.ours", About::Anything),
    ("certificates.ending", "clocks.ours", About::Anything),
    ("certificates.not-yet-valid", "clocks.ours", About::Anything),
    ("clocks.skew", "clocks.ours", About::Anything),
    ("peers.refused", "certificates.expired", About::Anything),
    ("peers.refused", "certificates.not-yet-valid", About::Anything),
    ("peers.refused", "clocks.ours", About::Anything),
    ("peers.refused", "clocks.skew", About::TheSame),
    ("peers.unreachable", "certificates.expired", About::Anything),
    ("peers.unreachable", "clocks.ours", About::Anything),
    ("peers.waiting", "peers.unreachable", About::TheSame),
    ("peers.waiting", "peers.refused", About::TheSame),
    ("peers.waiting", "peers.unconfirmed", About::TheSame),
    ("jobs.failed", "disk.full", About::Anything),
    ("jobs.failed", "database.damaged", About::Anything),
    ("jobs.failed", "database.failing", About::Anything),
    ("server.silent", "disk.full", About::Anything),
];

/// Longer chains than this are no chains.
const DEPTH: usize = 8;

/// Names what each finding follows from, and sorts: the worst cause, what follows from it, the next cause.
pub(super) fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    let parents: Vec<Option<usize>> = findings.iter().map(|finding| parent(finding, &findings)).collect();
    let root_of = |place: usize| {
        let mut at = place;
        for _ in 0..DEPTH {
            match parents.get(at).copied().flatten() {
                Some(up) => at = up,
                None => break,
            }
        }
        at
    };
    let severity_of = |place: usize| findings.get(place).map_or(Severity::Info, |finding| finding.severity);
    // A cause is as bad as the worst that follows from it.
    let weight = |root: usize| {
        let family = (0..findings.len()).filter(|place| root_of(*place) == root);
        family
            .fold((Severity::Info, 0_usize), |(worst, size), place| (worst.max(severity_of(place)), size + 1))
    };
    let mut order: Vec<usize> = (0..findings.len()).collect();
    order.sort_by_key(|place| {
        let root = root_of(*place);
        let (worst, size) = weight(root);
        (Reverse(worst), Reverse(size), root, *place != root, Reverse(severity_of(*place)), *place)
    });
    let names: Vec<Option<&'static str>> =
        parents.iter().map(|parent| parent.and_then(|up| findings.get(up)).map(|up| up.id)).collect();
    for (finding, name) in findings.iter_mut().zip(names) {
        finding.follows_from = name;
        finding.is_cause = name.is_none();
    }
    let mut places: Vec<Option<Finding>> = findings.into_iter().map(Some).collect();
    order.into_iter().filter_map(|place| places.get_mut(place).and_then(Option::take)).collect()
}

fn parent(effect: &Finding, all: &[Finding]) -> Option<usize> {
    let causes = FOLLOWS.iter().filter(|(id, ..)| *id == effect.id);
    causes.into_iter().find_map(|(_, cause, about)| {
        all.iter().position(|candidate| {
            candidate.id == *cause && (*about == About::Anything || candidate.subject == effect.subject)
        })
    })
}
