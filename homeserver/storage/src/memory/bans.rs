//! Who is banned from this domain, why, and until when. In memory.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::Timestamp;

use super::MemoryTx;
use crate::{Ban, BanSubject, BansQuery, BansRead, BansWrite, Page, Stored};

/// The bans by their subjects.
#[derive(Clone, Default)]
pub(super) struct Bans(BTreeMap<BanSubject, Ban>);

impl Bans {
    /// The ban that counts now.
    pub(super) fn active(&self, subject: &BanSubject, now: Timestamp) -> Option<Ban> {
        self.0.get(subject).filter(|ban| ban.is_active(now)).cloned()
    }
}

#[async_trait]
impl BansRead for MemoryTx {
    async fn ban(&mut self, subject: &BanSubject) -> Stored<Option<Ban>> {
        Ok(self.state.bans.0.get(subject).cloned())
    }

    async fn bans(&mut self, query: &BansQuery<'_>) -> Stored<Page<Ban>> {
        let wanted = |ban: &&Ban| {
            query.kind.is_none_or(|kind| ban.subject.kind() == kind)
                && ban.subject.to_string().contains(query.search)
        };
        let mut found: Vec<Ban> = self.state.bans.0.values().filter(wanted).cloned().collect();
        found.sort_by_key(|ban| (Reverse(ban.since), ban.subject.to_string()));
        Ok(Page::of(found, query.window))
    }

    async fn bans_due(&mut self, now: Timestamp, limit: usize) -> Stored<Vec<Ban>> {
        let mut due: Vec<Ban> =
            self.state.bans.0.values().filter(|ban| !ban.is_active(now)).cloned().collect();
        due.sort_by_key(|ban| (ban.until, ban.subject.to_string()));
        due.truncate(limit);
        Ok(due)
    }

    async fn next_ban_end(&mut self) -> Stored<Option<Timestamp>> {
        Ok(self.state.bans.0.values().filter_map(|ban| ban.until).min())
    }
}

#[async_trait]
impl BansWrite for MemoryTx {
    async fn ban_store(&mut self, ban: &Ban) -> Stored<()> {
        Arc::make_mut(&mut self.state.bans).0.insert(ban.subject.clone(), ban.clone());
        Ok(())
    }

    async fn ban_lift(&mut self, subject: &BanSubject) -> Stored<bool> {
        Ok(Arc::make_mut(&mut self.state.bans).0.remove(subject).is_some())
    }
}
