//! What can go wrong in a run, and how often it did. A fault that never occurred was not tested, so a campaign in which
//! one stayed at zero fails.

use std::fmt;

/// Something that went wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A packet or message never arrived.
    Loss,
    /// Something arrived after what was sent later.
    Reordering,
    /// Something took far longer than usual.
    Latency,
    /// One domain didn't hear another, which heard it.
    OneWayPartition,
    /// Two domains didn't hear each other.
    TwoWayPartition,
    /// A domain crashed and came back with what it had committed.
    Crash,
    /// A crash hit a transaction that was already durable: nobody heard of it.
    CrashAfterCommit,
    /// A disk took seconds for a transaction.
    SlowDisk,
    /// A transaction failed and left nothing.
    DiskError,
    /// A transaction was reported as failed although it took effect.
    DiskLied,
    /// A domain's clock was wrong by more than a minute.
    ClockSkew,
    /// A running domain's clock jumped, forward or back.
    ClockJump,
    /// A domain came back from an older backup, in a new life.
    Restore,
    /// A client went away in the middle of a commit, which went on without it.
    CallerGone,
    /// A call arrived once more, long after it was answered.
    Repeated,
    /// The hostile peer sent old batches again.
    HostileReplay,
    /// The hostile peer sent a batch that skips rows.
    HostileGap,
    /// The hostile peer sent a header of another origin, destination, content or key.
    HostileHeader,
    /// The hostile peer acknowledged what it was not sent, or answered with another chain.
    HostileAnswer,
    /// The hostile peer claimed things about us, or an older life, in `hello`.
    HostileHello,
}

/// Every fault, in the order in which they are printed.
pub const FAULTS: [Fault; 20] = [
    Fault::Loss,
    Fault::Reordering,
    Fault::Latency,
    Fault::OneWayPartition,
    Fault::TwoWayPartition,
    Fault::Crash,
    Fault::CrashAfterCommit,
    Fault::SlowDisk,
    Fault::DiskError,
    Fault::DiskLied,
    Fault::ClockSkew,
    Fault::ClockJump,
    Fault::Restore,
    Fault::CallerGone,
    Fault::Repeated,
    Fault::HostileReplay,
    Fault::HostileGap,
    Fault::HostileHeader,
    Fault::HostileAnswer,
    Fault::HostileHello,
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "loss",
            Self::Reordering => "reordering",
            Self::Latency => "latency",
            Self::OneWayPartition => "one-way partition",
            Self::TwoWayPartition => "two-way partition",
            Self::Crash => "crash and restart",
            Self::CrashAfterCommit => "crash between commit and answer",
            Self::SlowDisk => "slow disk",
            Self::DiskError => "failed transaction",
            Self::DiskLied => "transaction kept although it was reported as failed",
            Self::ClockSkew => "clock skew",
            Self::ClockJump => "clock jump",
            Self::Restore => "restore with a new incarnation",
            Self::CallerGone => "caller gone during a commit",
            Self::Repeated => "call repeated late",
            Self::HostileReplay => "hostile: replayed batches",
            Self::HostileGap => "hostile: gapped batch",
            Self::HostileHeader => "hostile: wrong header",
            Self::HostileAnswer => "hostile: false acknowledgement",
            Self::HostileHello => "hostile: false hello",
        })
    }
}

/// How often each fault occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts([u64; FAULTS.len()]);

impl Counts {
    /// It occurred.
    pub(crate) fn add(&mut self, fault: Fault) {
        if let Some(count) = Self::place(fault).and_then(|place| self.0.get_mut(place)) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds another run's.
    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(count);
        }
    }

    /// How often a fault occurred.
    pub fn of(&self, fault: Fault) -> u64 {
        Self::place(fault).and_then(|place| self.0.get(place)).copied().unwrap_or(0)
    }

    fn place(fault: Fault) -> Option<usize> {
        FAULTS.iter().position(|known| *known == fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_place_of_its_own() {
        let mut counts = Counts::default();
        for fault in FAULTS {
            assert_eq!(counts.of(fault), 0, "{fault}");
            counts.add(fault);
        }
        counts.merge(&counts.clone());
        assert!(FAULTS.iter().all(|fault| counts.of(*fault) == 2));
    }
}
