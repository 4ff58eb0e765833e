//! What admins did, written in the transaction that did it.

use async_trait::async_trait;
use qpq_storage::{AuditEntry, Stored, WriteTx};

use crate::{Caller, Effects, Ground, WriteJob};

impl Caller {
    /// An entry about what this caller does now.
    pub(crate) fn entry(&self, ground: &Ground, action: &str, target: String, reason: String) -> AuditEntry {
        AuditEntry {
            at: ground.now(),
            actor: self.actor.to_string(),
            action: action.to_owned(),
            target,
            reason,
            request: self.request,
        }
    }
}

/// A job and its audit row: both, or neither.
pub(crate) struct Audited<J: WriteJob> {
    pub(crate) job: J,
    pub(crate) entry: AuditEntry,
    /// Whether the job changed anything; what changed nothing leaves no row.
    pub(crate) changed: fn(&J::Output) -> bool,
}

#[async_trait]
impl<J: WriteJob> WriteJob for Audited<J> {
    type Output = J::Output;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<J::Output> {
        let output = self.job.run(tx).await?;
        if (self.changed)(&output) {
            tx.audit_append(&self.entry).await?;
        }
        Ok(output)
    }

    fn effects(&mut self) -> Effects {
        self.job.effects()
    }
}
