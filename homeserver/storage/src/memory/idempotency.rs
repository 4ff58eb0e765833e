//! What was submitted before, in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use qpq_core::{DeviceAddress, Digest, Domain, MessageId, Timestamp};

use super::MemoryTx;
use crate::{IdempotencyRead, IdempotencyWrite, ReceiptsWrite, SeenSubmit, Stored};

type OfOneSender = BTreeMap<MessageId, Submit>;

/// A submit, until when it is remembered, and who has proven to have stored it.
#[derive(Clone)]
struct Submit {
    seen: SeenSubmit,
    until: Timestamp,
    proven: BTreeSet<Domain>,
}

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
        let seen = |id| known.and_then(|submits| submits.get(id)).map(|submit| submit.seen.clone());
        Ok(ids.iter().map(seen).collect())
    }

    async fn submitters(&mut self, ids: &[MessageId]) -> Stored<Vec<(MessageId, DeviceAddress, Digest)>> {
        let mut found = Vec::new();
        for (sender, submits) in &self.state.submits.0 {
            let theirs = ids.iter().filter_map(|id| Some((*id, submits.get(id)?.seen.payload)));
            found.extend(theirs.map(|(id, payload)| (id, sender.clone(), payload)));
        }
        found.sort();
        Ok(found)
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
            let submit = Submit { seen: seen.clone(), until, proven: BTreeSet::new() };
            if known.insert(*id, submit).is_some() {
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
            known.retain(|_, submit| submit.until > now);
            gone += before - known.len();
        }
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }
}

#[async_trait]
impl ReceiptsWrite for MemoryTx {
    async fn receipts_note(
        &mut self,
        domain: &Domain,
        submits: &[(DeviceAddress, MessageId)],
    ) -> Stored<Vec<bool>> {
        let mut news = Vec::with_capacity(submits.len());
        for (sender, id) in submits {
            let all = Arc::make_mut(&mut self.state.submits);
            let Some(submit) = all.0.get_mut(sender).and_then(|known| Arc::make_mut(known).get_mut(id))
            else {
                return Err(self.conflict("receipts_note"));
            };
            news.push(submit.proven.insert(domain.clone()));
        }
        Ok(news)
    }
}
