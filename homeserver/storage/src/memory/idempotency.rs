//! What was submitted before, in memory.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{DeviceAddress, MessageId, Timestamp};

use super::MemoryTx;
use crate::{IdempotencyRead, IdempotencyWrite, SeenSubmit, Stored};

type OfOneSender = BTreeMap<MessageId, (SeenSubmit, Timestamp)>;

/// Submits by sender, so that a write copies one sender's only.
#[derive(Clone, Default)]
pub(super) struct Submits(BTreeMap<DeviceAddress, Arc<OfOneSender>>);

#[async_trait]
impl IdempotencyRead for MemoryTx {
    async fn submits_seen(
        &mut self,
        sender: &DeviceAddress,
        ids: &[MessageId],
    ) -> Stored<Vec<Option<SeenSubmit>>> {
        let known = self.state.submits.0.get(sender);
        let seen = |id| known.and_then(|submits| submits.get(id)).map(|(seen, _)| seen.clone());
        Ok(ids.iter().map(seen).collect())
    }
}

#[async_trait]
impl IdempotencyWrite for MemoryTx {
    async fn submits_remember(
        &mut self,
        sender: &DeviceAddress,
        submits: &[(MessageId, SeenSubmit)],
        until: Timestamp,
    ) -> Stored<()> {
        if self.planted.submits_forgotten() {
            return Ok(());
        }
        let all = Arc::make_mut(&mut self.state.submits);
        let known = Arc::make_mut(all.0.entry(sender.clone()).or_default());
        for (id, seen) in submits {
            if known.insert(*id, (seen.clone(), until)).is_some() {
                return Err(self.conflict("submits_remember"));
            }
        }
        Ok(())
    }

    async fn submit_forget(&mut self, sender: &DeviceAddress, id: &MessageId) -> Stored<()> {
        if let Some(known) = Arc::make_mut(&mut self.state.submits).0.get_mut(sender) {
            Arc::make_mut(known).remove(id);
        }
        Ok(())
    }

    async fn submits_expire(&mut self, now: Timestamp) -> Stored<u64> {
        let mut gone = 0_usize;
        for known in Arc::make_mut(&mut self.state.submits).0.values_mut() {
            let known = Arc::make_mut(known);
            let before = known.len();
            known.retain(|_, (_, until)| *until > now);
            gone += before - known.len();
        }
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }
}
