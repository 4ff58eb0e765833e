//! Whom this domain lets in: open, allow-listed or closed, and what the admin decided about single domains.
//!
//! An empty allow-list means nobody.

use std::{fmt, str::FromStr};

use qpq_core::Domain;

/// The rule for domains in general.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Every domain whose certificate an anchor vouches for, except blocked ones.
    Open,
    /// Only peers that the admin added.
    #[default]
    AllowListed,
    /// Nobody.
    Closed,
}

/// A text that names no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a federation policy: open, allow-listed or closed")]
pub struct PolicyError(String);

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        match text {
            "open" => Ok(Self::Open),
            "allow-listed" => Ok(Self::AllowListed),
            "closed" => Ok(Self::Closed),
            other => Err(PolicyError(other.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::AllowListed => "allow-listed",
            Self::Closed => "closed",
        })
    }
}

/// Who sees the users of this domain without having been accepted by them. Its own members always do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DirectoryPolicy {
    /// Users of peers that the admin added; all others ask first.
    #[default]
    Peers,
    /// Nobody: whoever it is asks first.
    Consent,
    /// Users of every domain that is let in: who exists is public.
    Open,
}

/// A text that names no directory policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a directory policy: peers, consent or open")]
pub struct DirectoryPolicyError(String);

impl FromStr for DirectoryPolicy {
    type Err = DirectoryPolicyError;

    fn from_str(text: &str) -> Result<Self, DirectoryPolicyError> {
        match text {
            "peers" => Ok(Self::Peers),
            "consent" => Ok(Self::Consent),
            "open" => Ok(Self::Open),
            other => Err(DirectoryPolicyError(other.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for DirectoryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peers => "peers",
            Self::Consent => "consent",
            Self::Open => "open",
        })
    }
}

impl DirectoryPolicy {
    /// Whether users of a domain with this record must be accepted first.
    pub const fn asks_first(self, record: Option<PeerState>) -> bool {
        match self {
            Self::Open => false,
            Self::Consent => true,
            Self::Peers => !matches!(record, Some(PeerState::Allowed)),
        }
    }
}

/// What the admin decided about one domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// Trusted under its pins.
    Allowed,
    /// It accepted an unbound invite; our admin has not confirmed its fingerprint.
    AwaitingConfirmation,
    /// Nothing from it, nothing to it.
    Blocked,
}

/// Whether a domain is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is a peer.
    Peer,
    /// It is no peer, but the policy is open.
    Open,
    /// There is no record of it, and the policy wants one.
    Unknown,
    /// Its record waits for the admin.
    AwaitingConfirmation,
    /// The admin blocked it.
    Blocked,
    /// The policy is closed.
    Closed,
}

impl Verdict {
    /// Whether it may come in.
    pub const fn allows(self) -> bool {
        match self {
            Self::Peer | Self::Open => true,
            Self::Unknown | Self::AwaitingConfirmation | Self::Blocked | Self::Closed => false,
        }
    }

    /// The answer to `peer would-allow DOMAIN`.
    pub fn words(self, domain: &Domain) -> String {
        match self {
            Self::Peer => format!("`{domain}` is allowed: it is a peer"),
            Self::Open => format!("`{domain}` is allowed: the policy is open"),
            Self::Unknown => {
                format!(
                    "`{domain}` is refused: it is no peer, and only peers are let in; `peer invite {domain}` adds it"
                )
            }
            Self::AwaitingConfirmation => {
                format!("`{domain}` is refused until an admin here has confirmed its fingerprint")
            }
            Self::Blocked => format!("`{domain}` is refused: an admin blocked it"),
            Self::Closed => format!("`{domain}` is refused: the policy is closed"),
        }
    }
}

impl Policy {
    /// Whether a domain with this record is let in. A block counts under every policy.
    pub const fn would_allow(self, record: Option<PeerState>) -> Verdict {
        match (record, self) {
            (Some(PeerState::Blocked), _) => Verdict::Blocked,
            (_, Self::Closed) => Verdict::Closed,
            (Some(PeerState::Allowed), Self::Open | Self::AllowListed) => Verdict::Peer,
            (Some(PeerState::AwaitingConfirmation), Self::Open | Self::AllowListed) => {
                Verdict::AwaitingConfirmation
            }
            (None, Self::Open) => Verdict::Open,
            (None, Self::AllowListed) => Verdict::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_allow_list_means_nobody() {
        assert!(!Policy::default().would_allow(None).allows());
        assert_eq!(Policy::default(), Policy::AllowListed);
    }

    #[test]
    fn a_block_counts_under_every_policy_and_closed_means_nobody() {
        for policy in [Policy::Open, Policy::AllowListed, Policy::Closed] {
            assert_eq!(policy.would_allow(Some(PeerState::Blocked)), Verdict::Blocked);
            assert!(!policy.would_allow(Some(PeerState::AwaitingConfirmation)).allows());
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert!(!Policy::Closed.would_allow(Some(PeerState::Allowed)).allows());
        assert!(Policy::AllowListed.would_allow(Some(PeerState::Allowed)).allows());
        assert!(Policy::Open.would_allow(None).allows());
    }

    #[test]
    fn the_directory_is_open_to_peers_unless_the_admin_says_otherwise() {
        let (peer, stranger) = (Some(PeerState::Allowed), None);
        let cases = [
            (DirectoryPolicy::default(), [false, true]),
            (DirectoryPolicy::Consent, [true, true]),
            (DirectoryPolicy::Open, [false, false]),
        ];
        for (policy, [of_peer, of_stranger]) in cases {
            assert_eq!(policy.asks_first(peer), of_peer);
            assert_eq!(policy.asks_first(stranger), of_stranger);
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert!(DirectoryPolicy::Peers.asks_first(Some(PeerState::AwaitingConfirmation)));
    }

    #[test]
    fn a_verdict_says_why_and_what_to_do() {
        let domain = "beta.test".parse().unwrap();
        assert_eq!(
            Policy::AllowListed.would_allow(None).words(&domain),
            "`beta.test` is refused: it is no peer, and only peers are let in; `peer invite beta.test` adds it"
        );
    }
}
