//! Room on the disk. The limits: full is less than what a checkpoint of the write-ahead log needs; the others leave a
//! person time to act. A share of a large disk is much, so shares count only below 20 GiB.

use super::{Check, DiskFact, Facts, Finding, Room, Severity};

pub(super) const CHECK: Check =
    Check { id: "disk", about: "There is room on the file system of the data directory.", judge };

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const RUNBOOK: &str = "runbooks/disk-full.md";
/// Below this nothing can be relied on to be written.
const FULL: u64 = 8 * MIB;
/// Shares count below this.
const MUCH: u64 = 20 * GIB;

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(DiskFact { path, bytes, inodes }) = &facts.machine.disk else { return };
    let share = percent(*bytes);
    let scarce = |limit: u64, least: u64| bytes.free < least || (share < limit && bytes.free < MUCH);
    let level = if bytes.free < FULL || inodes.is_some_and(|inodes| inodes.free == 0) {
        Some(("disk.full", Severity::Critical))
    } else if scarce(2, 128 * MIB) || inodes.is_some_and(|inodes| percent(inodes) < 2) {
        Some(("disk.nearly-full", Severity::Critical))
    } else if scarce(10, GIB) || inodes.is_some_and(|inodes| percent(inodes) < 10) {
        Some(("disk.low", Severity::Warning))
    } else {
        None
    };
    let Some((id, severity)) = level else { return };
    let inodes = inodes.map_or_else(String::new, |inodes| format!(", and {} inodes", inodes.free));
    let finding = Finding::new(id, severity, path)
        .because(format!("the file system has {} MiB left ({share} %){inodes}", bytes.free / MIB))
        .remedy("make room or grow the volume; never delete `homeserver.db` or its `-wal`")
        .runbook(RUNBOOK);
    findings.push(if id == "disk.full" { finding.preventing_work() } else { finding });
}

/// Whole percents that are free.
fn percent(room: Room) -> u64 {
    room.free.saturating_mul(100).checked_div(room.total).unwrap_or(100)
}
