//! What was submitted before, so that a repeat gets the same answer and nothing is applied twice.

use async_trait::async_trait;
use qpq_core::{DeviceAddress, Digest, MessageId, Seq, Timestamp};

use crate::Stored;

/// What became of a submit, as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// In the group's log here, at this position and time.
    AtHub {
        /// Its position.
        seq: Seq,
        /// When.
        at: Timestamp,
    },
    /// Durable here at this time, on its way to the hub.
    AtHome {
        /// When.
        at: Timestamp,
    },
}

/// A submit that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSubmit {
    /// SHA-256 over the payload: the same id with another one is an error.
    pub payload: Digest,
    /// What was answered.
    pub outcome: SubmitOutcome,
}

/// Reads submits.
#[async_trait]
pub trait IdempotencyRead: Send {
    /// Which of these ids the device submitted before, in the order asked.
    async fn submits_seen(
        &mut self,
        sender: &DeviceAddress,
        ids: &[MessageId],
    ) -> Stored<Vec<Option<SeenSubmit>>>;
    /// Who submitted these ids, and with which payload: (id, sender, SHA-256). Several devices may have used one id.
    async fn submitters(&mut self, ids: &[MessageId]) -> Stored<Vec<(MessageId, DeviceAddress, Digest)>>;
}

/// Writes submits.
#[async_trait]
pub trait IdempotencyWrite: Send {
    /// Remembers submits until `until`; an id that is remembered already is a `Conflict`: look first.
    async fn submits_remember(
        &mut self,
        sender: &DeviceAddress,
        submits: &[(MessageId, SeenSubmit)],
        until: Timestamp,
    ) -> Stored<()>;
    /// Forgets one: the hub refused it, and the device may submit the id again with another payload.
    async fn submit_forget(&mut self, sender: &DeviceAddress, id: &MessageId) -> Stored<()>;
    /// Forgets those whose time is over; returns how many.
    async fn submits_expire(&mut self, now: Timestamp) -> Stored<u64>;
}
