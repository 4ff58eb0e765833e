//! The labels, each with a short list of values that is known before the program runs.

mod values;

use prometheus_client::encoding::EncodeLabelSet;

pub use values::{
    Bans, Direction, DiscoveryFailure, FindingSeverity, JobResult, Limit, Listener, LoginFailure, Outcome,
    PeerState, SignInFailure,
};

/// Labels of a call of a client or an admin.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CallLabels {
    /// The method, as its span is called.
    pub(crate) method: &'static str,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// Labels of a call between domains.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PeerCallLabels {
    pub(crate) direction: Direction,
    pub(crate) method: &'static str,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) listener: Listener,
    pub(crate) route: String,
    pub(crate) status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OperationLabels {
    pub(crate) operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StateLabels {
    pub(crate) state: PeerState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CertificateLabels {
    pub(crate) purpose: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct JobLabels {
    pub(crate) job_name: &'static str,
}

/// A label set of one label, whose values are all known.
macro_rules! one_label {
    ($($set:ident { $label:ident: $value:ty })*) => {
        $(
            #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
            pub(crate) struct $set {
                pub(crate) $label: $value,
            }

            impl From<$value> for $set {
                fn from($label: $value) -> Self {
                    Self { $label }
                }
            }
        )*
    };
}

one_label! {
    LoginFailureLabels { reason: LoginFailure }
    SignInFailureLabels { reason: SignInFailure }
    DiscoveryFailureLabels { reason: DiscoveryFailure }
    LimitLabels { limit: Limit }
    BanLabels { kind: Bans }
    SeverityLabels { severity: FindingSeverity }
}
