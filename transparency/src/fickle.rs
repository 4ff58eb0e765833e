//! A disk that does with the next commit what a test tells it.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use async_trait::async_trait;
use qpq_storage::memory::{Disk, Flushed, MemoryStorage};

/// The disk.
#[derive(Debug, Default)]
pub(crate) struct Fickle(AtomicU8);

/// The commit is kept, and the caller hears so.
pub(crate) const KEPT: u8 = 0;
/// It is lost.
pub(crate) const LOST: u8 = 1;
/// It is kept, and the caller hears that it failed.
pub(crate) const KEPT_UNSAID: u8 = 2;

impl Fickle {
    /// An empty store on such a disk.
    pub(crate) fn storage() -> (MemoryStorage, Arc<Self>) {
        let disk = Arc::new(Self::default());
        (MemoryStorage::new().on(Arc::clone(&disk) as Arc<dyn Disk>), disk)
    }

    /// Says what becomes of the next commits.
    pub(crate) fn will(&self, fate: u8) {
        self.0.store(fate, Ordering::SeqCst);
    }
}

#[async_trait]
impl Disk for Fickle {
    async fn flush(&self) -> Flushed {
        match self.0.load(Ordering::SeqCst) {
            LOST => Flushed::Lost,
            KEPT_UNSAID => Flushed::KeptUnsaid,
            _ => Flushed::Kept,
        }
    }

    fn kept(&self) {}
}
