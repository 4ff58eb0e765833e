//! A disk that keeps a transaction and says that it failed.

use std::sync::atomic::{AtomicBool, Ordering};

use qpq_core::{Incarnation, ManualClock, SeededEntropy, Timestamp};
use qpq_storage::{
    NewOutboxRow, Vault,
    memory::{Disk, Flushed, MemoryStorage},
};
use tokio_util::task::TaskTracker;

use super::*;
use crate::Settings;

const READER: DeviceId = DeviceId::from_bytes([1; 16]);
const STREAM: [u8; 16] = [2; 16];

/// Lies about the first transaction.
#[derive(Debug, Default)]
struct Liar(AtomicBool);

#[async_trait]
impl Disk for Liar {
    async fn flush(&self) -> Flushed {
        if self.0.swap(true, Ordering::Relaxed) { Flushed::Kept } else { Flushed::KeptUnsaid }
    }

    fn kept(&self) {}
}

/// Queues one row, once, and wakes its reader when it does.
struct Once(Effects);

#[async_trait]
impl WriteJob for Once {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        self.0 = Effects::default();
        let destination: Domain = "beta.test".parse().unwrap();
        if !tx.outbox_heads(&destination).await?.is_empty() {
            return Ok(false);
        }
        let at = Timestamp::from_millis(1);
        let id = qpq_core::MessageId::from_bytes([3; 16]);
        let row = NewOutboxRow {
            destination,
            stream: STREAM,
            id,
            kind: 900,
            expires_at: None,
            payload: vec![],
            at,
            request: None,
        };
        tx.outbox_append(&[row]).await?;
        self.0.wake(READER, Feed::Mailbox);
        Ok(true)
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.0)
    }
}

#[tokio::test]
async fn what_was_kept_although_it_was_reported_as_failed_is_told_to_whom_it_concerns() {
    let (clock, mut entropy) = (Arc::new(ManualClock::default()), SeededEntropy::new(1));
    let incarnation = Incarnation::begin(Timestamp::from_millis(1), &mut entropy);
    let domain: Domain = "alpha.test".parse().unwrap();
    let vault = Vault { domain: domain.clone(), incarnation, created_at: Timestamp::from_millis(1) };
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::of(vault).on(Arc::new(Liar::default())));
    let (writer, writing) = Writer::new(Arc::clone(&storage));
    let tasks = TaskTracker::new();
    drop(tasks.spawn(writing));
    let settings = Settings::default();
    let ground =
        Arc::new(Ground::new(domain, incarnation, settings, clock, Box::new(entropy), storage, writer));
    let reader = ground.wakes().subscribe(READER);
    let first_time = ground.write(Once(Effects::default())).await.unwrap();
    assert!(!first_time, "the repeat found what the first transaction had kept");
    assert_eq!(reader.woken_already(), Some(BTreeSet::from([Feed::Mailbox])));
}
