//! What admins did: an append-only log in which every row's hash covers the row before it.
//!
//! `hash(n) = SHA-256("quicproquo audit 1" || hash(n-1) || seq || at || for each text: length || UTF-8 || request)`, where
//! `hash(0)` is 32 zero bytes, numbers are 64-bit big-endian, `at` is milliseconds since 1970 and the texts are actor,
//! action, target and reason in this order. Whoever has an export can compute it again
//! (docs/decisions/0018-the-audit-chain.md).

use async_trait::async_trait;
use qpq_core::{Digest, RequestId, Seq, Timestamp};

use crate::Stored;

/// Keeps a chain's hashes apart from all other hashes.
const LABEL: &[u8] = b"quicproquo audit 1";

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

impl AuditEntry {
    /// The hash of this entry at position `seq`, behind the row with the hash `previous`.
    pub fn chained(&self, seq: Seq, previous: &Digest) -> Digest {
        let mut bytes = LABEL.to_vec();
        bytes.extend_from_slice(previous.as_bytes());
        bytes.extend_from_slice(&seq.0.to_be_bytes());
        bytes.extend_from_slice(&self.at.as_millis().to_be_bytes());
        for text in [&self.actor, &self.action, &self.target, &self.reason] {
            bytes.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(self.request.as_bytes());
        Digest::of(&[&bytes])
    }
}

/// A stored entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its position; the first is 1, and none is left out.
    pub seq: Seq,
    /// What was done.
    pub entry: AuditEntry,
    /// Covers the entry and everything before it.
    pub hash: Digest,
}

/// Which entries are wanted; what is `None` matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Exactly this actor.
    pub actor: Option<String>,
    /// Exactly this action, or all of an area if it ends with a dot: `peer.`.
    pub action: Option<String>,
    /// Targets with this text in them.
    pub target: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Not at or after.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether an entry is wanted.
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        let action = |wanted: &String| {
            if wanted.ends_with('.') {
                entry.action.starts_with(wanted.as_str())
            } else {
                entry.action == *wanted
            }
        };
        self.actor.as_ref().is_none_or(|actor| entry.actor == *actor)
            && self.action.as_ref().is_none_or(action)
            && self.target.as_ref().is_none_or(|target| entry.target.contains(target.as_str()))
            && self.from.is_none_or(|from| entry.at >= from)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

/// Reads the audit log.
#[async_trait]
pub trait AuditRead: Send {
    /// Entries after a position, oldest first, at most `limit`.
    async fn audit_after(
        &mut self,
        filter: &AuditFilter,
        after: Seq,
        limit: usize,
    ) -> Stored<Vec<AuditRecord>>;
    /// Entries before a position, or from the newest on, newest first, at most `limit`.
    async fn audit_before(
        &mut self,
        filter: &AuditFilter,
        before: Option<Seq>,
        limit: usize,
    ) -> Stored<Vec<AuditRecord>>;
    /// How many entries there are.
    async fn audit_count(&mut self, filter: &AuditFilter) -> Stored<u64>;
}

/// Writes the audit log.
#[async_trait]
pub trait AuditWrite: Send {
    /// Appends an entry to the chain, in the transaction of what it tells.
    async fn audit_append(&mut self, entry: &AuditEntry) -> Stored<Seq>;
}
