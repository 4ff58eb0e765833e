//! `info`: what this homeserver is and where it is dialled.

use qpq_core::Timestamp;
use serde::Serialize;

use super::{Action, Actions};
use crate::{Answered, Refusal};

/// What the binary knows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DomainFacts {
    /// Our domain.
    pub domain: String,
    /// The program's version.
    pub version: String,
    /// Where clients dial: HOST:PORT.
    pub client_address: String,
    /// Where other domains dial: HOST:PORT.
    pub federation_address: String,
    /// The pin of the CA of the client listener.
    pub client_pin: String,
    /// The key that signs what this domain relays and its delivery proofs, in hexadecimal.
    pub federation_key: String,
    /// Where the admin listener is: health and metrics.
    pub admin_url: String,
    /// When the process started.
    pub since: Timestamp,
}

pub(super) const ACTIONS: &[Action] =
    &[Action::new("info", "Says what this homeserver is and where it is dialled.", &[], |actions, _| {
        Box::pin(async move { json(&actions.facts) })
    })
    .at("/settings/info")];

/// A value that is text, numbers and lists can't fail to become JSON; if it does, it is said.
pub(super) fn json(value: &impl Serialize) -> Answered<serde_json::Value> {
    serde_json::to_value(value)
        .map_err(|error| Refusal::new(qpq_core::ErrorCode::Internal, error.to_string()))
}

impl Actions {
    /// What the binary said of itself.
    pub const fn facts(&self) -> &DomainFacts {
        &self.facts
    }
}
