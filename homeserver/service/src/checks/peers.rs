//! Peers: reached, trusted on both sides, and their queues move.

use super::{Check, Facts, Finding, PeerFact, Severity};
use crate::PeerStanding;

pub(super) const CHECK: Check =
    Check { id: "peers", about: "Peers are reached and take what waits for them.", judge };

const RUNBOOK: &str = "runbooks/peer-down.md";
const QUEUE: &str = "runbooks/queue-growing.md";
const DAY_MS: u64 = 86_400_000;
/// Rows older than this deserve a look, and than that: they are near their end.
const OLD_MS: u64 = DAY_MS;
const ANCIENT_MS: u64 = 7 * DAY_MS;
/// A queue is worth a look when so many percent of it are full, and full to those who write at so many.
const FILLED: u64 = 80;
const FULL: u64 = 98;
/// Peers that are named; of more it is said how many.
const NAMED: usize = 20;

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    let mut found: Vec<Finding> = facts.peers.iter().filter_map(standing).collect();
    found.extend(facts.peers.iter().filter_map(waiting));
    found.extend(facts.peers.iter().filter_map(filled));
    let more = found.len().saturating_sub(NAMED);
    found.truncate(NAMED);
    if more > 0 {
        found.push(
            Finding::new("peers.more", Severity::Warning, "peers")
                .because(format!("{more} more findings about peers"))
                .remedy("see `peer list`"),
        );
    }
    if facts.dead_letters > 0 {
        found.push(
            Finding::new("peers.dead-letters", Severity::Warning, "dead letters")
                .because(format!(
                    "{} messages could not be read by the peer that they are for",
                    facts.dead_letters
                ))
                .remedy("see `peer dead-letters list`; replay them when the peer can read them, or drop them")
                .runbook("runbooks/dead-letters.md"),
        );
    }
    findings.append(&mut found);
}

fn standing(peer: &PeerFact) -> Option<Finding> {
    let domain = &peer.domain;
    let new = |id, severity| Finding::new(id, severity, domain.as_str()).runbook(RUNBOOK);
    let trouble = peer.trouble.as_deref().unwrap_or("nobody knows why");
    Some(match peer.standing {
        PeerStanding::Healthy | PeerStanding::Blocked => return None,
        PeerStanding::Degraded => new("peers.degraded", Severity::Info)
            .because(format!("the link to `{domain}` does not work as it should: {trouble}"))
            .remedy("wait: it is tried again by itself"),
        PeerStanding::BackingOff => new("peers.unreachable", Severity::Warning)
            .because(format!("`{domain}` can't be reached: {trouble}; {} messages wait for it", peer.queued))
            .remedy("check the way to it and ask its admin; messages wait and it is tried again by itself"),
        PeerStanding::Paused => new("peers.paused", Severity::Info)
            .because(format!("{trouble}; {} messages wait for `{domain}`", peer.queued))
            .remedy(format!("`peer resume {domain}` when they shall go out"))
            .runbook(QUEUE),
        PeerStanding::Refused => new("peers.refused", Severity::Warning)
            .because(format!("nothing is sent to `{domain}`: {trouble}"))
            .remedy("talk to its admin: one of the two must act before anything is sent again")
            .runbook(QUEUE),
        PeerStanding::AwaitingConfirmation => {
            Finding::new("peers.unconfirmed", Severity::Info, domain.as_str())
                .because(format!("`{domain}` used a token for any domain and waits for a confirmation"))
                .remedy(format!(
                    "compare its pin with its admin, then `peer confirm {domain}` or `peer remove {domain}`"
                ))
                .runbook("runbooks/peering.md")
        }
    })
}

fn waiting(peer: &PeerFact) -> Option<Finding> {
    let oldest = peer.oldest_ms.filter(|oldest| *oldest > OLD_MS)?;
    if peer.standing == PeerStanding::Blocked {
        return None;
    }
    let severity = if oldest > ANCIENT_MS { Severity::Critical } else { Severity::Warning };
    let finding = Finding::new("peers.waiting", severity, peer.domain.as_str())
        .because(format!(
            "the oldest of {} messages for `{}` has waited {} days",
            peer.queued,
            peer.domain,
            oldest / DAY_MS
        ))
        .remedy("messages end after `limits.message-ttl`: reach the peer before, or remove it")
        .runbook(QUEUE);
    Some(finding)
}

fn filled(peer: &PeerFact) -> Option<Finding> {
    let (domain, percent) = (&peer.domain, peer.queue_percent);
    let new = |severity| Finding::new("peers.queue-full", severity, domain.as_str()).runbook(QUEUE);
    let remedy = "reach the peer, or raise `limits.peer-queue-bytes` if the disk has room";
    match percent {
        ..FILLED => None,
        FILLED..FULL => Some(
            new(Severity::Warning)
                .because(format!("what waits for `{domain}` takes {percent} % of what may wait for one peer"))
                .remedy(remedy),
        ),
        FULL.. => Some(
            new(Severity::Critical)
                .because(format!(
                    "hardly anything more is taken for `{domain}`, for which {} messages wait: senders are refused, and its \
                     devices are left behind in larger groups",
                    peer.queued
                ))
                .remedy(remedy),
        ),
    }
}
