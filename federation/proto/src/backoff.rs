//! When to try a destination again, and why it is not tried at all.

use std::{fmt, str::FromStr};

use qpq_core::{Entropy, Millis, Timestamp};

/// The first retry comes within this time, and contact clears a backoff at most this often.
pub(crate) const FIRST: Millis = Millis::from_secs(15);
/// No retry is further away than this.
pub(crate) const LONGEST: Millis = Millis::from_secs(30 * 60);
/// No retry is nearer than this: full jitter may draw 0.
const SHORTEST: Millis = Millis(250);

/// The wait before the next attempt after `failures` failures in a row (at least 1): full jitter below a ceiling
/// that doubles from 15 s to 30 min.
pub fn retry_wait(failures: u32, entropy: &mut dyn Entropy) -> Millis {
    let doubled = FIRST.0.saturating_mul(1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX));
    let ceiling = doubled.min(LONGEST.0);
    Millis(entropy.below(ceiling.saturating_add(1)).max(SHORTEST.0))
}

/// Why a destination is not tried at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It didn't answer.
    Unreachable,
    /// It asked for time.
    Overloaded,
    /// Its answers made no sense.
    Nonsense,
}

/// A destination's state as it is kept over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SavedLink {
    /// Attempts that failed in a row.
    pub failures: u32,
    /// Not before this time.
    pub retry_at: Option<Timestamp>,
    /// Why nothing is sent until somebody acts.
    pub stopped: Option<StopReason>,
}

/// Why nothing is sent to a peer until somebody acts. The text form is stored; [`StopReason::words`] are for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopReason {
    /// It claims something about this domain that it didn't prove: a later life, or rows never sent.
    UnprovenClaim,
    /// Both sides hold different rows of a stream.
    ChainDiffers,
    /// Its own incarnation went back.
    IncarnationWentBack,
    /// No common protocol version.
    VersionUnsupported,
    /// It says that our link is not trusted.
    RefusedByPeer,
    /// It says that our certificate has expired.
    OurCertificateExpired,
    /// Its certificate is not under the pinned authority, or has expired.
    CertificateRefused,
    /// Our policy doesn't allow it.
    Policy,
}

const REASONS: [(StopReason, &str, &str); 8] = [
    (
        StopReason::UnprovenClaim,
        "unprovenClaim",
        "it claims to know rows or a later life of this domain and didn't prove it",
    ),
    (StopReason::ChainDiffers, "chainDiffers", "both sides hold different rows of one stream"),
    (
        StopReason::IncarnationWentBack,
        "incarnationWentBack",
        "its database is older than the one it showed before: was it started twice?",
    ),
    (StopReason::VersionUnsupported, "versionUnsupported", "both sides speak no common protocol version"),
    (
        StopReason::RefusedByPeer,
        "refusedByPeer",
        "it doesn't trust this domain: its admin must add this peer",
    ),
    (
        StopReason::OurCertificateExpired,
        "ourCertificateExpired",
        "it says that this domain's certificate has expired",
    ),
    (
        StopReason::CertificateRefused,
        "certificateRefused",
        "its certificate has expired or isn't under the pinned authority",
    ),
    (StopReason::Policy, "policy", "this domain's policy doesn't allow it"),
];

impl StopReason {
    fn row(self) -> Option<&'static (Self, &'static str, &'static str)> {
        REASONS.iter().find(|(reason, ..)| *reason == self)
    }

    /// The reason as people read it.
    pub fn words(self) -> &'static str {
        self.row().map_or("", |(_, _, words)| words)
    }

    /// Whether the peer said it: then contact from the peer is a reason to try again. What *we* hold against a
    /// peer is lifted by our admin alone.
    pub(crate) const fn is_the_peers(self) -> bool {
        match self {
            Self::RefusedByPeer | Self::OurCertificateExpired | Self::VersionUnsupported => true,
            Self::UnprovenClaim
            | Self::ChainDiffers
            | Self::IncarnationWentBack
            | Self::CertificateRefused
            | Self::Policy => false,
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().map_or("", |(_, name, _)| name))
    }
}

/// A stored text that is no stop reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a reason to stop a peer")]
pub struct StopReasonError(String);

impl FromStr for StopReason {
    type Err = StopReasonError;

    fn from_str(text: &str) -> Result<Self, StopReasonError> {
        let found = REASONS.iter().find(|(_, name, _)| *name == text);
        found.map(|(reason, ..)| *reason).ok_or_else(|| StopReasonError(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use qpq_core::SeededEntropy;

    use super::*;

    #[test]
    fn waits_double_under_full_jitter_up_to_half_an_hour() {
        let mut entropy = SeededEntropy::new(3);
        let mut longest = Vec::new();
        for failures in 1..=40 {
            let drawn: Vec<u64> = (0..400).map(|_| retry_wait(failures, &mut entropy).0).collect();
            let ceiling = 15_000_u64.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(1_800_000);
            assert!(drawn.iter().all(|wait| (250..=ceiling).contains(wait)));
            assert!(drawn.iter().any(|wait| *wait < ceiling / 4), "no jitter");
            longest.push(drawn.into_iter().max().unwrap());
        }
        assert!(longest[0] <= 15_000);
        assert!(longest[39] > 1_500_000);
    }

    #[test]
    fn every_reason_has_words_and_is_read_back() {
        for (reason, name, words) in REASONS {
            assert_eq!(name.parse(), Ok(reason));
            assert_eq!(reason.to_string(), name);
            assert_eq!(reason.words(), words);
        }
        assert!("else".parse::<StopReason>().is_err());
    }
}
