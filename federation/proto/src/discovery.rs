//! Where a domain's federation listener is: the address in its record, else what DNS says.
//!
//! [`Search`] decides what to ask and what to make of the answers, [`Cache`] what is known without asking. The driver
//! asks name servers and dials. A search begins only because *we* want to send or ask something; nothing that a stranger
//! says starts one. What DNS says is a hint where to knock: who is there is decided by the certificate.

mod cache;
mod search;
mod service;
mod target;

use std::net::{IpAddr, SocketAddr};

use qpq_core::{Domain, Millis};

pub use cache::Cache;
pub use search::{Families, Search, Step};
pub use service::Service;
pub use target::{Forbidden, PrivateTargets};

/// The port of a domain that has no SRV record.
pub const FEDERATION_PORT: u16 = 7_444;

/// What name servers are asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// The SRV records of this domain's federation.
    Service(Domain),
    /// The IPv4 and IPv6 addresses of this host.
    Addresses(Domain),
}

impl Question {
    /// The name that is looked up, as people write it.
    pub fn name(&self) -> String {
        match self {
            Self::Service(domain) => format!("_quicproquo-fed._udp.{domain}"),
            Self::Addresses(host) => host.to_string(),
        }
    }

    /// The host or domain that it is about.
    pub const fn about(&self) -> &Domain {
        match self {
            Self::Service(name) | Self::Addresses(name) => name,
        }
    }
}

/// Ends of names that the public DNS has never given away: nobody could have signed them (RFC 6761, RFC 6762, RFC 8375,
/// and what private networks use besides).
const LOCAL_ENDS: [&str; 12] = [
    "corp",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "private",
    "test",
    "workgroup",
];

impl Question {
    /// Whether the public DNS has this name, or could have: then its root vouches for what is said about it. A name
    /// without a dot and one of a private network are what the local name server says they are.
    pub fn is_public(&self) -> bool {
        self.about().as_str().rsplit_once('.').is_some_and(|(_, end)| !LOCAL_ENDS.contains(&end))
    }
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The answer.
    pub answer: Answer,
    /// How long its records live.
    pub ttl: Millis,
    /// Whether somebody vouches for it.
    pub proof: Vouched,
}

/// Whether an answer is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouched {
    /// Its signatures lead to a trust anchor.
    Signed,
    /// It comes from a zone that is provably not signed, or nobody was to check.
    Unsigned,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// SRV records.
    Services(Vec<Service>),
    /// Addresses.
    Addresses(Vec<IpAddr>),
    /// The name doesn't exist, or has no such records.
    Nothing,
    /// None that could be used.
    Failed(LookupFailure),
}

/// Why a question brought no answer that could be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum LookupFailure {
    /// No name server answered in time.
    #[error("no name server answered in time")]
    NoAnswer,
    /// A name server answered that it can't or won't.
    #[error("the name server could not find out (it says so itself)")]
    ServerFailed,
    /// The answer fails its DNSSEC check.
    #[error(
        "the answer fails its DNSSEC check, so it is not used: its signatures are broken or missing, or the name server \
         drops them (`federation.dns` names another one)"
    )]
    Bogus,
    /// There is nobody to ask.
    #[error("there is no name server to ask: set `federation.dns`")]
    NoNameServer,
    /// The answer can't be read.
    #[error("the answer makes no sense")]
    Malformed,
}

/// Where a domain may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where to knock.
    pub address: SocketAddr,
    /// The name that led there; `None`: the record has the address itself.
    pub host: Option<Domain>,
}

/// Why a domain was not found. The words are for its admin's eyes and ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undiscovered {
    /// A question could not be answered.
    #[error("the name `{}` could not be looked up: {failure}", .question.name())]
    Lookup {
        /// Which.
        question: Question,
        /// Why not.
        failure: LookupFailure,
    },
    /// DNS knows nothing of it.
    #[error(
        "DNS has neither an SRV record `_quicproquo-fed._udp.{domain}` nor an address of `{domain}`: its admin must add \
         one, or give it an address here (`peer address {domain} HOST:PORT`)"
    )]
    NoRecords {
        /// The domain.
        domain: Domain,
    },
    /// Its SRV record says that there is none.
    #[error("the SRV record of `{domain}` says that it offers no federation")]
    NotOffered {
        /// The domain.
        domain: Domain,
    },
    /// A name that we were led to has no address.
    #[error("the name `{host}` has no address")]
    NoAddress {
        /// The name.
        host: Domain,
    },
    /// Every address that we were led to is one that DNS must not lead us to.
    #[error(
        "DNS leads from `{host}` to {address}, {reason}, which is not dialled; if that is right, give it as the peer's \
         address (`peer address`) or set `federation.allow-private`"
    )]
    Refused {
        /// The name that has it.
        host: Domain,
        /// The first such address.
        address: IpAddr,
        /// What is wrong with it.
        reason: Forbidden,
    },
    /// It has addresses of the other IP version only.
    #[error(
        "`{host}` has only addresses that can't be dialled from `federation.listen` (IPv4 and IPv6 don't mix)"
    )]
    OtherFamily {
        /// Its name or address.
        host: String,
    },
    /// Who answered there is somebody else.
    #[error("{address} answered as another domain ({}), not as `{domain}`: the address or the DNS record is wrong", names(.showed))]
    AnotherDomain {
        /// Whom we looked for.
        domain: Domain,
        /// Where.
        address: SocketAddr,
        /// The domains of the certificate that was shown.
        showed: Vec<Domain>,
    },
}

fn names(domains: &[Domain]) -> String {
    let names: Vec<String> = domains.iter().take(3).map(|domain| format!("`{domain}`")).collect();
    if names.is_empty() { "it names none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
