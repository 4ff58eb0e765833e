//! Who the other side of a link is, what it may claim in `hello`, and which of two links stays.

use qpq_core::{Digest, Domain, ErrorCode, Incarnation, Timestamp};

use crate::{
    backoff::StopReason,
    policy::{PeerState, Policy, Verdict},
};

/// What the certificate of the other side is worth for the domain that it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// Signed by a pinned authority of that domain, and valid now.
    Trusted,
    /// The right name under an authority that is not pinned for it.
    Unpinned,
    /// Signed by a pinned authority, but no longer valid.
    Expired,
    /// Signed by a pinned authority, but not valid yet: somebody's clock is wrong.
    NotYetValid,
    /// It doesn't name the domain, or can't be read.
    WrongDomain,
}

/// Proof that a link may be used: only [`judge_link`] makes one, and every call but `hello` and `acceptInvite`
/// needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedLink {
    domain: Domain,
}

impl TrustedLink {
    /// Who is at the other end.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }
}

/// Why a link has only `hello` and `acceptInvite`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// No record of that domain, and the policy wants one.
    #[error("this domain is no peer here: ask for an invite")]
    Unknown,
    /// Its certificate is not under the authority that is pinned for it.
    #[error("the certificate is not under the authority that is pinned for its domain")]
    Unpinned,
    /// Its certificate has expired.
    #[error("the certificate has expired")]
    CertificateExpired,
    /// Its certificate is not valid yet.
    #[error("the certificate is not valid yet: one of the clocks is wrong")]
    CertificateNotYetValid,
    /// Its certificate doesn't name the domain that it says it is.
    #[error("the certificate doesn't name the domain")]
    WrongDomain,
    /// The admin blocked it.
    #[error("this domain is blocked here")]
    Blocked,
    /// It accepted an invite for anybody and waits for our admin.
    #[error("an admin here has not confirmed this domain's fingerprint yet")]
    AwaitingConfirmation,
    /// The policy is closed.
    #[error("this domain's policy lets nobody in")]
    Policy,
}

impl Untrusted {
    /// The code that the other side gets.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Unknown | Self::Unpinned | Self::CertificateNotYetValid | Self::WrongDomain => {
                ErrorCode::Untrusted
            }
            Self::CertificateExpired => ErrorCode::CertificateExpired,
            Self::Blocked | Self::AwaitingConfirmation | Self::Policy => ErrorCode::PolicyRefused,
        }
    }
}

/// Judges a link from the certificate of its other end, the admin's record of that domain and the policy.
///
/// Who is not pinned learns nothing about records and policy: the certificate is judged first wherever there is
/// something to judge it by. Without a record there is no pin, so even an open policy needs another anchor.
pub fn judge_link(
    domain: &Domain,
    presented: Presented,
    record: Option<PeerState>,
    policy: Policy,
) -> Result<TrustedLink, Untrusted> {
    match presented {
        Presented::WrongDomain => Err(Untrusted::WrongDomain),
        Presented::Unpinned if record.is_none() && !policy.would_allow(None).allows() => {
            Err(Untrusted::Unknown)
        }
        Presented::Unpinned => Err(Untrusted::Unpinned),
        Presented::Expired => Err(Untrusted::CertificateExpired),
        Presented::NotYetValid => Err(Untrusted::CertificateNotYetValid),
        Presented::Trusted => match policy.would_allow(record) {
            Verdict::Peer | Verdict::Open => Ok(TrustedLink { domain: domain.clone() }),
            Verdict::Unknown => Err(Untrusted::Unknown),
            Verdict::AwaitingConfirmation => Err(Untrusted::AwaitingConfirmation),
            Verdict::Blocked => Err(Untrusted::Blocked),
            Verdict::Closed => Err(Untrusted::Policy),
        },
    }
}

/// The protocol versions that one side speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRange {
    /// The oldest.
    pub min: u16,
    /// The newest.
    pub max: u16,
}

/// Both sides speak no common version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this side speaks versions {} to {}, the other {} to {}", ours.min, ours.max, theirs.min, theirs.max)]
pub struct VersionUnsupported {
    /// What we speak.
    pub ours: VersionRange,
    /// What the other side speaks.
    pub theirs: VersionRange,
}

impl VersionRange {
    /// The newest version that both speak.
    pub const fn agree(self, theirs: Self) -> Result<u16, VersionUnsupported> {
        let newest = if self.max < theirs.max { self.max } else { theirs.max };
        if newest < self.min || newest < theirs.min {
            return Err(VersionUnsupported { ours: self, theirs });
        }
        Ok(newest)
    }
}

/// An introduction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// What the sender speaks.
    pub versions: VersionRange,
    /// What it can do besides, in words of the protocol.
    pub features: Vec<String>,
    /// Who it is.
    pub domain: Domain,
    /// Sent and read on trusted links only.
    pub trusted: Option<TrustedClaims>,
}

/// What only a trusted peer says and hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedClaims {
    /// Its own incarnation.
    pub incarnation: Incarnation,
    /// The highest incarnation of ours that it saw.
    pub yours: Option<Incarnation>,
    /// How many of our streams it has applied rows of.
    pub streams: u64,
    /// [`crate::heads_digest`] over those.
    pub heads: Digest,
    /// Its time; skew is shown, never used for order.
    pub clock: Timestamp,
}

/// What a `hello` makes of the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelloVerdict {
    /// It may be served.
    Welcome {
        /// The version to speak.
        version: u16,
        /// Its incarnation, where it is higher than what we knew and must be stored before the link is used.
        remember: Option<Incarnation>,
        /// How far its clock is ahead of ours (negative: behind), in milliseconds.
        skew_ms: i64,
        /// Whether it claims to have seen a later life of ours: it must show a header that proves it
        /// ([`crate::judge_evidence`]), or it alone is stopped.
        challenged: bool,
    },
    /// It alone is stopped; nothing of ours changes.
    Stop(StopReason),
}

/// A trusted peer, as far as `hello` concerns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    link: TrustedLink,
    known: Option<Incarnation>,
}

impl Peer {
    /// A peer behind a trusted link; `known` is the highest incarnation of it that we stored.
    pub const fn new(link: TrustedLink, known: Option<Incarnation>) -> Self {
        Self { link, known }
    }

    /// Judges its `hello`. `ours` is our own incarnation, `versions` what we speak.
    ///
    /// A claim about us (an incarnation of ours that we don't have) changes nothing here: it is for the peer to prove.
    pub fn handle_hello(
        &mut self,
        hello: &Hello,
        ours: Incarnation,
        versions: VersionRange,
        now: Timestamp,
    ) -> HelloVerdict {
        let Ok(version) = versions.agree(hello.versions) else {
            return HelloVerdict::Stop(StopReason::VersionUnsupported);
        };
        if hello.domain != self.link.domain {
            return HelloVerdict::Stop(StopReason::CertificateRefused);
        }
        let Some(claims) = &hello.trusted else {
            // It doesn't trust us: it says what it says to strangers.
            return HelloVerdict::Stop(StopReason::RefusedByPeer);
        };
        let challenged = claims.yours.is_some_and(|claimed| claimed > ours);
        if self.known.is_some_and(|known| known > claims.incarnation) {
            return HelloVerdict::Stop(StopReason::IncarnationWentBack);
        }
        let remember = (self.known != Some(claims.incarnation)).then_some(claims.incarnation);
        self.known = Some(claims.incarnation);
        let signed = |time: Timestamp| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let skew_ms = signed(claims.clock).saturating_sub(signed(now));
        HelloVerdict::Welcome { version, remember, skew_ms, challenged }
    }

    /// Who it is.
    pub const fn domain(&self) -> &Domain {
        self.link.domain()
    }
}

/// Which of two crossed dials between `one` and `other` stays: the one dialled by the smaller name. Both sides
/// come to the same answer without asking.
pub fn dial_that_stays<'a>(one: &'a Domain, other: &'a Domain) -> &'a Domain {
    one.min(other)
}

#[cfg(test)]
mod tests;
