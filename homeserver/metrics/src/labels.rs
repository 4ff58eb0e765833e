//! The labels, each with a short list of values.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was fulfilled.
    Ok,
    /// The caller must change the request (1xx, 2xx, 4xx).
    Refused,
    /// It is to be repeated later (3xx).
    Later,
    /// The homeserver's own trouble (5xx).
    Failed,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Later => "later",
            Self::Failed => "failed",
        }
    }

    /// Of an answer's error code; `None`: there was none.
    pub const fn of(code: Option<qpq_core::ErrorCode>) -> Self {
        match code {
            None => Self::Ok,
            Some(code) => match code.number() / 100 {
                3 => Self::Later,
                5 => Self::Failed,
                _ => Self::Refused,
            },
        }
    }
}

/// Where a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerState {
    /// It is reached, or nothing waits for it.
    Healthy,
    /// It answers, but something is wrong.
    Degraded,
    /// It can't be reached and is tried again later.
    BackingOff,
    /// An admin blocked it.
    Blocked,
    /// Nothing is sent until somebody acts.
    Refused,
    /// No admin here has confirmed its fingerprint.
    AwaitingConfirmation,
}

impl PeerState {
    const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::BackingOff => "backing-off",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::AwaitingConfirmation => "awaiting-confirmation",
        }
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}

impl EncodeLabelValue for PeerState {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}

/// Labels of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// The method, as its span is called.
    pub method: &'static str,
    /// How it ended.
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OperationLabels {
    pub(crate) operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PeerLabels {
    pub(crate) state: PeerState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CertificateLabels {
    pub(crate) purpose: &'static str,
}
