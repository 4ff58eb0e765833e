//! The disk of one domain: transactions take a while, some fail, and an observer looks at the store after each.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use qpq_storage::{
    Vault,
    memory::{Disk, Flushed, MemoryStorage},
};
use tokio::time::sleep;

use super::watch::Watch;
use crate::{
    dice::Dice,
    faults::{Counts, Fault},
    history::DomainNo,
};

/// How a disk behaves at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Well,
    /// Transactions take seconds.
    Slow,
    /// Every second transaction fails.
    Bad,
}

/// A domain's disk.
#[derive(Debug)]
pub(crate) struct SimDisk {
    domain: DomainNo,
    watch: Watch,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    dice: Dice,
    health: Health,
    counts: Counts,
    /// What lies on it; weak, since the store holds the disk.
    store: Option<Weak<MemoryStorage>>,
}

impl SimDisk {
    /// A disk with a store on it that `init` has just written.
    pub(crate) fn with_store(
        domain: DomainNo,
        vault: Vault,
        dice: Dice,
        watch: Watch,
    ) -> (Arc<Self>, Arc<MemoryStorage>) {
        let state = State { dice, health: Health::Well, counts: Counts::default(), store: None };
        let disk = Arc::new(Self { domain, watch, state: Mutex::new(state) });
        let storage = Arc::new(MemoryStorage::of(vault).on(Arc::<Self>::clone(&disk)));
        disk.state().store = Some(Arc::downgrade(&storage));
        (disk, storage)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn becomes(&self, health: Health) {
        self.state().health = health;
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    /// How long the transaction takes, and what becomes of it.
    fn draw(&self) -> (Duration, Flushed) {
        let mut state = self.state();
        let millis = match state.health {
            Health::Slow => {
                state.counts.add(Fault::SlowDisk);
                // Longer than a peer waits for its answer, now and then.
                if state.dice.per_mille(200) {
                    state.dice.between(10_000, 20_000)
                } else {
                    state.dice.between(500, 4_000)
                }
            }
            Health::Well | Health::Bad => state.dice.between(1, 6),
        };
        let flushed = if state.health == Health::Bad && state.dice.per_mille(500) {
            if state.dice.per_mille(300) { Flushed::KeptUnsaid } else { Flushed::Lost }
        } else {
            Flushed::Kept
        };
        match flushed {
            Flushed::Kept => {}
            Flushed::Lost => state.counts.add(Fault::DiskError),
            Flushed::KeptUnsaid => state.counts.add(Fault::DiskLied),
        }
        (Duration::from_millis(millis), flushed)
    }
}

#[async_trait]
impl Disk for SimDisk {
    async fn flush(&self) -> Flushed {
        let (takes, flushed) = self.draw();
        sleep(takes).await;
        flushed
    }

    fn kept(&self) {
        let store = self.state().store.as_ref().and_then(Weak::upgrade);
        if let Some(store) = store {
            self.watch.look(self.domain, &store);
        }
    }
}
