//! The ten mistakes of the federation design: each is put into a run on purpose, and each must be found.
//!
//! Some sit in the protocol's own code (feature `planted`), the others in what a machine's driver does around it.

use std::fmt;

/// A mistake somebody could make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// A write is answered before it is durable.
    AnswerBeforeCommit,
    /// A batch that comes twice is applied twice.
    NoDedup,
    /// Whether a batch is new is decided before the transaction that stores it.
    DedupOutside,
    /// One row more than the peer stored is marked as acknowledged.
    AckOneTooMany,
    /// A backoff goes on although the peer was heard from.
    BackoffNeverCleared,
    /// The queue is forgotten at start.
    TruncatedAtStart,
    /// The epoch is compared when a commit is checked, and not when it is written.
    CheckThenWrite,
    /// Welcomes go out when a commit is offered, not when it has won.
    LosersWelcome,
    /// A batch is judged as if its origin had never begun a new life.
    IncarnationIgnored,
    /// A row expires, and nobody tells its sender.
    SilentExpiry,
}

/// All of them.
pub const BUGS: [Bug; 10] = [
    Bug::AnswerBeforeCommit,
    Bug::NoDedup,
    Bug::DedupOutside,
    Bug::AckOneTooMany,
    Bug::BackoffNeverCleared,
    Bug::TruncatedAtStart,
    Bug::CheckThenWrite,
    Bug::LosersWelcome,
    Bug::IncarnationIgnored,
    Bug::SilentExpiry,
];

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnswerBeforeCommit => "answer before commit",
            Self::NoDedup => "no dedup",
            Self::DedupOutside => "dedup outside the transaction",
            Self::AckOneTooMany => "ack one too many",
            Self::BackoffNeverCleared => "backoff never cleared",
            Self::TruncatedAtStart => "outbox truncated at start",
            Self::CheckThenWrite => "epoch check then write",
            Self::LosersWelcome => "loser's Welcome sent",
            Self::IncarnationIgnored => "incarnation ignored",
            Self::SilentExpiry => "silent expiry",
        })
    }
}

/// Puts the part of a bug that sits in the protocol's own code into what this thread runs; `None` takes it out.
#[cfg(feature = "planted")]
pub(crate) fn plant(bug: Option<Bug>) {
    use qpq_federation_proto::PlantedBug as Proto;
    use qpq_service::PlantedBug as Service;
    let (mut proto, mut service) = (None, None);
    match bug {
        Some(Bug::NoDedup) => proto = Some(Proto::NoDedup),
        Some(Bug::AckOneTooMany) => proto = Some(Proto::AckOneTooMany),
        Some(Bug::BackoffNeverCleared) => proto = Some(Proto::ContactIgnored),
        Some(Bug::TruncatedAtStart) => proto = Some(Proto::TruncatedAtStart),
        Some(Bug::AnswerBeforeCommit) => service = Some(Service::AnswerBeforeCommit),
        Some(Bug::DedupOutside) => service = Some(Service::DedupOutside),
        Some(Bug::IncarnationIgnored) => proto = Some(Proto::OriginsLifeIgnored),
        Some(Bug::CheckThenWrite | Bug::LosersWelcome | Bug::SilentExpiry) | None => {}
    }
    qpq_federation_proto::plant(proto);
    qpq_service::plant(service);
}

/// Without the feature nothing can be planted in the protocol's own code.
#[cfg(not(feature = "planted"))]
pub(crate) const fn plant(_: Option<Bug>) {}
