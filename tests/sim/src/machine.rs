//! The machines that play a seed.

use std::{fmt, str::FromStr};

use crate::{bug::Bug, cores, faults::Fault, full, run::Run};

/// A machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// The pure cores.
    Core,
    /// The whole protocol.
    Full,
}

impl Machine {
    /// Plays a seed, with a bug in it or without.
    pub fn play(self, seed: u64, bug: Option<Bug>, traced: bool) -> Run {
        match self {
            Self::Core => cores::play(seed, bug, traced),
            Self::Full => full::play(seed, bug, traced),
        }
    }

    /// Whether this machine can cause a fault.
    pub const fn knows(self, fault: Fault) -> bool {
        match self {
            Self::Core => true,
            Self::Full => match fault {
                Fault::Loss
                | Fault::Reordering
                | Fault::Latency
                | Fault::OneWayPartition
                | Fault::TwoWayPartition
                | Fault::Crash
                | Fault::SlowDisk
                | Fault::DiskError
                | Fault::DiskLied
                | Fault::ClockSkew
                | Fault::ClockJump
                | Fault::Restore
                | Fault::HostileReplay
                | Fault::HostileGap
                | Fault::HostileHeader
                | Fault::HostileHello => true,
                Fault::CrashAfterCommit | Fault::CallerGone | Fault::Repeated | Fault::HostileAnswer => false,
            },
        }
    }
}

impl Machine {
    /// Whether a bug can be planted in what this machine plays.
    pub const fn can_have(self, bug: Bug) -> bool {
        match (self, bug) {
            (
                Self::Full,
                // Groups and rows that expire are not among what it plays.
                Bug::CheckThenWrite
                | Bug::LosersWelcome
                | Bug::SilentExpiry
                // The driver mends both: it reads the heads once more at start, and releases the queue on a new link.
                | Bug::TruncatedAtStart
                | Bug::BackoffNeverCleared,
            ) => false,
            (Self::Core, _)
            | (
                Self::Full,
                Bug::AnswerBeforeCommit
                | Bug::NoDedup
                | Bug::DedupOutside
                | Bug::AckOneTooMany
                | Bug::IncarnationIgnored,
            ) => true,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Core => "core",
            Self::Full => "full",
        })
    }
}

/// One seed of one machine, as `--replay` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// The machine.
    pub machine: Machine,
    /// The seed.
    pub seed: u64,
}

impl FromStr for Replay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no seed of a machine: write core:SEED or full:SEED");
        let (machine, seed) = text.split_once(':').ok_or_else(wrong)?;
        let machine = match machine {
            "core" => Machine::Core,
            "full" => Machine::Full,
            _ => return Err(wrong()),
        };
        Ok(Self { machine, seed: seed.parse().map_err(|_| wrong())? })
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.machine, self.seed)
    }
}
