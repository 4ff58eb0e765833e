//! Tells the session that holds a device that something waits in one of its feeds.
//!
//! A wake says which feeds to read, never what is in them: the store stays the one source of deliveries, and a lost
//! wake costs time, not messages. What waits for a subscriber is bounded by the number of its feeds.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use qpq_core::DeviceId;
use qpq_storage::Feed;
use tokio::sync::Notify;

/// The subscriptions of all devices.
#[derive(Debug, Default)]
pub struct Wakes {
    slots: Mutex<HashMap<DeviceId, Arc<Slot>>>,
}

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<SlotState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct SlotState {
    feeds: BTreeSet<Feed>,
    replaced: bool,
}

/// One device's subscription; a later one of the same device replaces it.
#[derive(Debug)]
pub struct Subscription {
    device: DeviceId,
    slot: Arc<Slot>,
    wakes: Arc<Wakes>,
}

impl Wakes {
    /// Subscribes a device; a former subscription of it ends.
    pub fn subscribe(self: &Arc<Self>, device: DeviceId) -> Subscription {
        let slot = Arc::new(Slot::default());
        let former = lock(&self.slots).insert(device, Arc::clone(&slot));
        if let Some(former) = former {
            lock(&former.state).replaced = true;
            former.changed.notify_one();
        }
        Subscription { device, slot, wakes: Arc::clone(self) }
    }

    /// Something waits in these feeds of a device.
    pub fn wake(&self, device: &DeviceId, feeds: impl IntoIterator<Item = Feed>) {
        let slot = lock(&self.slots).get(device).map(Arc::clone);
        if let Some(slot) = slot {
            lock(&slot.state).feeds.extend(feeds);
            slot.changed.notify_one();
        }
    }

    /// Ends a device's subscription: it was revoked.
    pub fn end(&self, device: &DeviceId) {
        let slot = lock(&self.slots).remove(device);
        if let Some(slot) = slot {
            lock(&slot.state).replaced = true;
            slot.changed.notify_one();
        }
    }
}

impl Subscription {
    /// Waits until something waits; `None` once the subscription was replaced or ended.
    pub async fn woken(&self) -> Option<BTreeSet<Feed>> {
        loop {
            {
                let mut state = lock(&self.slot.state);
                if state.replaced {
                    return None;
                }
                if !state.feeds.is_empty() {
                    return Some(std::mem::take(&mut state.feeds));
                }
            }
            self.slot.changed.notified().await;
        }
    }

    /// What waits by now, without waiting for it; `None` once the subscription was replaced or ended.
    pub fn woken_already(&self) -> Option<BTreeSet<Feed>> {
        let mut state = lock(&self.slot.state);
        if state.replaced { None } else { Some(std::mem::take(&mut state.feeds)) }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut slots = lock(&self.wakes.slots);
        if slots.get(&self.device).is_some_and(|slot| Arc::ptr_eq(slot, &self.slot)) {
            slots.remove(&self.device);
        }
    }
}

/// A panic while holding one of these locks can't leave a half-done change behind, so poisoning is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_names_the_feeds_once() {
        let wakes = Arc::new(Wakes::default());
        let device = DeviceId::from_bytes([1; 16]);
        let subscription = wakes.subscribe(device);
        wakes.wake(&device, [Feed::Mailbox]);
        wakes.wake(&device, [Feed::Mailbox]);
        assert_eq!(subscription.woken().await, Some(BTreeSet::from([Feed::Mailbox])));
        wakes.end(&device);
        assert_eq!(subscription.woken().await, None);
    }

    #[tokio::test]
    async fn a_second_subscription_replaces_the_first() {
        let wakes = Arc::new(Wakes::default());
        let device = DeviceId::from_bytes([1; 16]);
        let first = wakes.subscribe(device);
        let second = wakes.subscribe(device);
        assert_eq!(first.woken().await, None);
        drop(first);
        wakes.wake(&device, [Feed::Mailbox]);
        assert!(second.woken().await.is_some());
    }
}
