//! The groups that this hub holds in memory: one lock each, so that one commit at a time is judged, and a bound.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use qpq_core::{ErrorCode, GroupId, Millis, limits};
use qpq_hub::HubGroup;
use tokio::sync::OwnedMutexGuard;

use crate::{Answered, Refusal};

/// The most groups held; others are loaded again when they are needed.
const MOST: usize = 64;

/// The state of one group, if it is in memory. Whoever changes it takes it out first and puts it back only when the
/// store has granted the change: a caller that goes away in between leaves nothing wrong behind.
pub(crate) type Held = OwnedMutexGuard<Option<HubGroup>>;

#[derive(Debug, Default)]
struct Slot {
    state: Arc<tokio::sync::Mutex<Option<HubGroup>>>,
    used: u64,
}

/// Groups by id.
#[derive(Debug, Default)]
pub(crate) struct HubCache {
    slots: Mutex<(u64, BTreeMap<GroupId, Slot>)>,
}

impl HubCache {
    /// Waits for a group's turn, in the order of asking.
    pub(crate) async fn lock(&self, group: &GroupId) -> Answered<Held> {
        let state = self.state(group);
        tokio::time::timeout(limits::INTERACTIVE.to_duration(), state.lock_owned()).await.map_err(|_| {
            let text = "too many commits for this group are waiting";
            Refusal::retry(ErrorCode::Overloaded, text, Millis::from_secs(1))
        })
    }

    fn state(&self, group: &GroupId) -> Arc<tokio::sync::Mutex<Option<HubGroup>>> {
        let mut held = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let (clock, slots) = &mut *held;
        *clock = clock.saturating_add(1);
        if slots.len() >= MOST && !slots.contains_key(group) {
            // Only one that nobody uses or waits for may go, or two callers would hold two locks of one group.
            let idle = slots.iter().filter(|(_, slot)| Arc::strong_count(&slot.state) == 1);
            if let Some(oldest) = idle.min_by_key(|(_, slot)| slot.used).map(|(id, _)| id.clone()) {
                slots.remove(&oldest);
            }
        }
        let slot = slots.entry(group.clone()).or_default();
        slot.used = *clock;
        Arc::clone(&slot.state)
    }
}
