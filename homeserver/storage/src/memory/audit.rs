//! What admins did, in memory.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Digest, Seq};

use super::MemoryTx;
use crate::{AuditEntry, AuditFilter, AuditRead, AuditRecord, AuditWrite, Stored};

/// The entries; the first has position 1.
#[derive(Clone, Default)]
pub(super) struct Audit(Vec<Arc<AuditRecord>>);

impl Audit {
    fn wanted(&self, filter: &AuditFilter) -> impl DoubleEndedIterator<Item = &AuditRecord> {
        self.0.iter().map(AsRef::as_ref).filter(|record| filter.matches(&record.entry))
    }
}

#[async_trait]
impl AuditRead for MemoryTx {
    async fn audit_after(
        &mut self,
        filter: &AuditFilter,
        after: Seq,
        limit: usize,
    ) -> Stored<Vec<AuditRecord>> {
        let wanted = self.state.audit.wanted(filter).filter(|record| record.seq > after);
        Ok(wanted.take(limit).cloned().collect())
    }

    async fn audit_before(
        &mut self,
        filter: &AuditFilter,
        before: Option<Seq>,
        limit: usize,
    ) -> Stored<Vec<AuditRecord>> {
        let wanted = self.state.audit.wanted(filter).rev();
        let wanted = wanted.filter(|record| before.is_none_or(|before| record.seq < before));
        Ok(wanted.take(limit).cloned().collect())
    }

    async fn audit_count(&mut self, filter: &AuditFilter) -> Stored<u64> {
        Ok(u64::try_from(self.state.audit.wanted(filter).count()).unwrap_or(u64::MAX))
    }
}

#[async_trait]
impl AuditWrite for MemoryTx {
    async fn audit_append(&mut self, entry: &AuditEntry) -> Stored<Seq> {
        let records = &mut Arc::make_mut(&mut self.state.audit).0;
        let (last, previous) =
            records.last().map_or((Seq::ZERO, Digest::ZERO), |record| (record.seq, record.hash));
        let seq = Seq(last.0.saturating_add(1));
        let hash = entry.chained(seq, &previous);
        records.push(Arc::new(AuditRecord { seq, entry: entry.clone(), hash }));
        Ok(seq)
    }
}
