//! Our clock against those of peers, as their `hello` told them. Order never depends on clocks; certificates, bans and
//! expiry do.

use super::{Check, Facts, Finding, PeerFact, Severity};

pub(super) const CHECK: Check = Check { id: "clocks", about: "Our clock agrees with those of peers.", judge };

/// A link's way and a busy moment explain less than this.
const WARNING_MS: u64 = 60_000;
/// Sessions, certificates and one-time codes go wrong from here on.
const CRITICAL_MS: u64 = 600_000;
const REMEDY: &str = "compare with a clock that you trust (`timedatectl`), and switch time synchronisation on where it is wrong";

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    let known: Vec<(&PeerFact, i64)> =
        facts.peers.iter().filter_map(|peer| Some((peer, peer.skew_ms?))).collect();
    let off: Vec<&(&PeerFact, i64)> =
        known.iter().filter(|(_, skew)| skew.unsigned_abs() > WARNING_MS).collect();
    if let Some(skew) = ours(&known, &off) {
        findings.push(
            Finding::new("clocks.ours", severity(skew), "this machine")
                .because(format!("most peers' clocks are {} ours: ours is wrong", words(skew)))
                .remedy(REMEDY),
        );
    }
    findings.extend(off.iter().map(|(peer, skew)| {
        Finding::new("clocks.skew", severity(*skew), peer.domain.as_str())
            .because(format!("the clock of `{}` was {} ours at its last hello", peer.domain, words(*skew)))
            .remedy(REMEDY)
    }));
}

/// The skew that at least two peers and more than half of all agree on, if there is one: then it is our clock.
fn ours(known: &[(&PeerFact, i64)], off: &[&(&PeerFact, i64)]) -> Option<i64> {
    let mut ahead: Vec<i64> = off.iter().map(|(_, skew)| *skew).filter(|skew| *skew > 0).collect();
    let mut behind: Vec<i64> = off.iter().map(|(_, skew)| *skew).filter(|skew| *skew < 0).collect();
    let side = if ahead.len() >= behind.len() { &mut ahead } else { &mut behind };
    if side.len() < 2 || side.len() * 2 <= known.len() {
        return None;
    }
    side.sort_unstable();
    side.get(side.len() / 2).copied()
}

const fn severity(skew_ms: i64) -> Severity {
    if skew_ms.unsigned_abs() > CRITICAL_MS { Severity::Critical } else { Severity::Warning }
}

fn words(skew_ms: i64) -> String {
    let seconds = skew_ms.unsigned_abs() / 1_000;
    let side = if skew_ms > 0 { "ahead of" } else { "behind" };
    format!("{seconds} s {side}")
}
