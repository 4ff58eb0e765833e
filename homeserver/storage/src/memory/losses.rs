//! Dead letters, gaps, pauses and the proof of a rollback, in memory.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{Domain, Timestamp};

use super::MemoryTx;
use crate::{
    DeadLetter, LossesRead, LossesWrite, NewOutboxRow, Page, Pause, Rollback, Stored, StreamGap, Window,
};

/// Everything that is lost, or waits for an admin because of it.
#[derive(Clone, Default)]
pub(super) struct Losses {
    letters: BTreeMap<u64, DeadLetter>,
    last_letter: u64,
    /// The latest last.
    gaps: Vec<StreamGap>,
    pauses: BTreeMap<Domain, Pause>,
    rollback: Option<Rollback>,
}

impl Losses {
    pub(super) fn paused(&self, domain: &Domain) -> Option<&Pause> {
        self.pauses.get(domain)
    }
}

#[async_trait]
impl LossesRead for MemoryTx {
    async fn dead_letters(
        &mut self,
        destination: Option<&Domain>,
        window: Window,
    ) -> Stored<Page<DeadLetter>> {
        let letters = self.state.losses.letters.values();
        let wanted =
            letters.filter(|letter| destination.is_none_or(|domain| letter.row.destination == *domain));
        Ok(Page::of(wanted.cloned().collect(), window))
    }

    async fn dead_letter(&mut self, id: u64) -> Stored<Option<DeadLetter>> {
        Ok(self.state.losses.letters.get(&id).cloned())
    }

    async fn gaps(&mut self, domain: &Domain, limit: usize) -> Stored<Vec<StreamGap>> {
        let gaps = self.state.losses.gaps.iter().rev().filter(|gap| gap.domain == *domain);
        Ok(gaps.take(limit).cloned().collect())
    }

    async fn pause(&mut self, domain: &Domain) -> Stored<Option<Pause>> {
        Ok(self.state.losses.paused(domain).cloned())
    }

    async fn rollback(&mut self) -> Stored<Option<Rollback>> {
        Ok(self.state.losses.rollback.clone())
    }
}

#[async_trait]
impl LossesWrite for MemoryTx {
    async fn dead_letter_add(&mut self, row: &NewOutboxRow, reason: &str, now: Timestamp) -> Stored<u64> {
        let losses = Arc::make_mut(&mut self.state.losses);
        losses.last_letter += 1;
        let id = losses.last_letter;
        let letter = DeadLetter { id, row: row.clone(), reason: reason.to_owned(), at: now };
        losses.letters.insert(id, letter);
        Ok(id)
    }

    async fn dead_letter_take(&mut self, id: u64) -> Stored<Option<DeadLetter>> {
        Ok(Arc::make_mut(&mut self.state.losses).letters.remove(&id))
    }

    async fn dead_letters_expire(&mut self, now: Timestamp, limit: usize) -> Stored<Vec<DeadLetter>> {
        let losses = Arc::make_mut(&mut self.state.losses);
        let over = |letter: &&DeadLetter| letter.row.expires_at.is_some_and(|end| end <= now);
        let due: Vec<u64> =
            losses.letters.values().filter(over).take(limit).map(|letter| letter.id).collect();
        Ok(due.iter().filter_map(|id| losses.letters.remove(id)).collect())
    }

    async fn gap_note(&mut self, gap: &StreamGap, most: usize) -> Stored<()> {
        let losses = Arc::make_mut(&mut self.state.losses);
        losses.gaps.push(gap.clone());
        let of = |known: &StreamGap| known.domain == gap.domain;
        let mut surplus = losses.gaps.iter().filter(|known| of(known)).count().saturating_sub(most);
        losses.gaps.retain(|known| {
            let goes = surplus > 0 && of(known);
            surplus -= usize::from(goes);
            !goes
        });
        Ok(())
    }

    async fn pause_set(&mut self, domain: &Domain, pause: &Pause) -> Stored<()> {
        Arc::make_mut(&mut self.state.losses).pauses.insert(domain.clone(), pause.clone());
        Ok(())
    }

    async fn pause_end(&mut self, domain: &Domain) -> Stored<bool> {
        Ok(Arc::make_mut(&mut self.state.losses).pauses.remove(domain).is_some())
    }

    async fn rollback_note(&mut self, rollback: &Rollback) -> Stored<()> {
        Arc::make_mut(&mut self.state.losses).rollback.get_or_insert_with(|| rollback.clone());
        Ok(())
    }

    async fn rollback_clear(&mut self) -> Stored<()> {
        Arc::make_mut(&mut self.state.losses).rollback = None;
        Ok(())
    }
}
