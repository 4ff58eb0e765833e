//! What admins did. The hash chain over these rows comes with the appliance's frame.

use async_trait::async_trait;
use qpq_core::{RequestId, Seq, Timestamp};

use crate::Stored;

/// One action of an admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: `uid:0` on the admin socket.
    pub actor: String,
    /// The action's verb, for example `peer.remove`.
    pub action: String,
    /// What it was done to; empty if nothing in particular.
    pub target: String,
    /// Why, if the admin said so.
    pub reason: String,
    /// The request it belongs to.
    pub request: RequestId,
}

/// Reads the audit log.
#[async_trait]
pub trait AuditRead: Send {
    /// Entries after a position, oldest first, at most `limit`.
    async fn audit_after(&mut self, after: Seq, limit: usize) -> Stored<Vec<(Seq, AuditEntry)>>;
}

/// Writes the audit log.
#[async_trait]
pub trait AuditWrite: Send {
    /// Appends an entry, in the transaction of what it tells.
    async fn audit_append(&mut self, entry: &AuditEntry) -> Stored<Seq>;
}
