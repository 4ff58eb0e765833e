//! What happened in a run, as far as a promise speaks of it: the words that both machines tell their story in, and the
//! checker that judges it.
//!
//! Durable things are told at the moment in which their transaction took effect, answers at the moment in which the
//! other side heard them. Times are those of an observer outside, in milliseconds; no domain sees them.

mod checker;

use qpq_federation_proto::StreamId;

pub use checker::{Violation, check};

/// A domain, by its number in the run.
pub type DomainNo = usize;
/// A group, by its number in the run.
pub type GroupNo = usize;
/// A message or commit, by its number in the run.
pub type Id = u64;

/// What an entry of a group's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A message.
    Message,
    /// The commit that ended this epoch.
    Commit {
        /// Which.
        epoch: u64,
    },
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client heard that its message is safe.
    Accepted {
        /// Its homeserver.
        domain: DomainNo,
        /// For which group.
        group: GroupNo,
        /// The message.
        id: Id,
    },
    /// A client heard that its commit is the one of its epoch.
    Granted {
        /// In which group.
        group: GroupNo,
        /// The epoch that it ended.
        epoch: u64,
        /// The commit.
        id: Id,
    },
    /// A client heard, durably, that its message will not arrive.
    Failed {
        /// The message.
        id: Id,
    },
    /// A domain gave a row for a peer its number.
    Numbered {
        /// Who.
        origin: DomainNo,
        /// For whom.
        destination: DomainNo,
        /// In which stream.
        stream: StreamId,
        /// In which of the origin's lives.
        life: u64,
        /// The number.
        seq: u64,
        /// What it is about.
        id: Id,
        /// When.
        at: u64,
    },
    /// A domain noted that a peer has rows up to here.
    Kept {
        /// Who.
        origin: DomainNo,
        /// Whose acknowledgement it is.
        destination: DomainNo,
        /// In which stream.
        stream: StreamId,
        /// In which of the origin's lives.
        life: u64,
        /// Up to and including this row.
        through: u64,
        /// When.
        at: u64,
    },
    /// A domain noted that a peer has lost rows after this one: they wait again.
    Rewound {
        /// Who.
        origin: DomainNo,
        /// Who has lost them.
        destination: DomainNo,
        /// In which stream.
        stream: StreamId,
        /// In which of the origin's lives.
        life: u64,
        /// The last row that the peer still has.
        to: u64,
    },
    /// A domain applied a row of a peer.
    Applied {
        /// Who.
        domain: DomainNo,
        /// Whose row.
        origin: DomainNo,
        /// In which stream.
        stream: StreamId,
        /// Which of the origin's lives numbered it, in their order.
        life: u64,
        /// Its number.
        seq: u64,
        /// What it is about.
        id: Id,
    },
    /// An entry became durable in a domain's copy of a group's log (the hub's is the original).
    Logged {
        /// Who.
        domain: DomainNo,
        /// In which group.
        group: GroupNo,
        /// The message or commit.
        id: Id,
        /// Which of the two.
        entry: Entry,
    },
    /// A Welcome of a commit became durable at the domain of those whom it invites.
    Welcomed {
        /// Who.
        domain: DomainNo,
        /// To which group.
        group: GroupNo,
        /// The commit that it belongs to.
        commit: Id,
    },
    /// After the faults a domain heard from a peer over an authenticated link.
    Contact {
        /// Who.
        domain: DomainNo,
        /// From whom.
        from: DomainNo,
        /// When.
        at: u64,
    },
    /// A domain stopped a peer, or one of its streams, until an admin acts.
    Alarm {
        /// Who.
        domain: DomainNo,
        /// Whom.
        peer: DomainNo,
        /// Why.
        why: String,
    },
    /// The most that a domain's queue to a peer held in memory.
    Held {
        /// Who.
        domain: DomainNo,
        /// Things held.
        held: usize,
        /// What its limits allow.
        bound: usize,
    },
    /// Somebody copied a domain's database as it is now.
    Snapshot {
        /// Whose.
        domain: DomainNo,
    },
    /// A domain came back from its last snapshot, in a new life.
    Restored {
        /// Who.
        domain: DomainNo,
    },
    /// Both consoles show that rows of this domain, or for it, are gone for good.
    GapShown {
        /// Who.
        domain: DomainNo,
        /// In which group.
        group: GroupNo,
    },
    /// The last fault is over.
    Healed {
        /// When.
        at: u64,
    },
}

/// Who takes part, and what may be expected of them.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// How many domains there are.
    pub domains: usize,
    /// The one that lies, if there is one. Nothing is promised to it.
    pub hostile: Option<DomainNo>,
    /// For each group its hub, which is one of its members.
    pub hubs: Vec<DomainNo>,
    /// For each group the domains that have members in it.
    pub members: Vec<Vec<DomainNo>>,
    /// After contact, what waits for a peer is acknowledged within this time, in milliseconds.
    pub prompt_ms: u64,
}

impl Setting {
    /// Whether something is promised between the two.
    pub fn is_honest(&self, one: DomainNo, other: DomainNo) -> bool {
        self.hostile.is_none_or(|hostile| hostile != one && hostile != other)
    }
}

#[cfg(test)]
mod tests;
