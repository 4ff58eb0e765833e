//! What admins did, in memory.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::Seq;

use super::MemoryTx;
use crate::{AuditEntry, AuditRead, AuditWrite, Stored};

/// The entries; the first has position 1.
#[derive(Clone, Default)]
pub(super) struct Audit(Vec<Arc<AuditEntry>>);

#[async_trait]
impl AuditRead for MemoryTx {
    async fn audit_after(&mut self, after: Seq, limit: usize) -> Stored<Vec<(Seq, AuditEntry)>> {
        let numbered = self.state.audit.0.iter().zip(1..).map(|(entry, seq)| (Seq(seq), (**entry).clone()));
        Ok(numbered.filter(|(seq, _)| *seq > after).take(limit).collect())
    }
}

#[async_trait]
impl AuditWrite for MemoryTx {
    async fn audit_append(&mut self, entry: &AuditEntry) -> Stored<Seq> {
        let entries = &mut Arc::make_mut(&mut self.state.audit).0;
        entries.push(Arc::new(entry.clone()));
        Ok(Seq(u64::try_from(entries.len()).unwrap_or(u64::MAX)))
    }
}
