//! What time does to the store: sessions, KeyPackages and idempotency records end, logs and kept rows are let go.
//!
//! Each kind has a transaction of its own, so that a long one holds nobody up for the sum of all. Expiry that tells
//! somebody (messages, outbox rows) belongs to those who write the notices.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Millis, Timestamp};
use qpq_storage::{Stored, WriteTx};

use crate::{Answered, Ground, Sessions, WriteJob, admins};

/// How often the homeserver should tick.
pub const UPKEEP_INTERVAL: Millis = Millis::from_secs(60);
/// The hub keeps this many epochs of commits, for members who come back.
const KEPT_COMMITS: u64 = 1_000;
/// Entries younger than this stay even when everybody has them: a member that lost a race pages them.
const KEPT_ENTRIES: Millis = Millis::from_secs(3_600);

/// The periodic maintenance.
#[derive(Clone, Debug)]
pub struct Upkeep {
    ground: Arc<Ground>,
    sessions: Sessions,
}

/// What one tick let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sessions that can't be resumed any more.
    pub sessions: u64,
    /// KeyPackages whose lifetime is over.
    pub key_packages: u64,
    /// Idempotency records whose time is over.
    pub submits: u64,
    /// Log entries that everybody has.
    pub log_entries: u64,
    /// Acknowledged outbox rows beyond what is kept for peers.
    pub kept_rows: u64,
    /// Console sessions and admins' links whose time is over.
    pub console: u64,
    /// Requests to be accepted, declines and questions whose time is over.
    pub contacts: u64,
}

impl Upkeep {
    /// On this ground; expired sessions end for their connections too.
    pub const fn new(ground: Arc<Ground>, sessions: Sessions) -> Self {
        Self { ground, sessions }
    }

    /// Does all of it once.
    pub async fn tick(&self) -> Answered<Swept> {
        let now = self.ground.now();
        self.sessions.live().expire(now);
        let settings = self.ground.settings();
        let count = async |chore: Chore| self.ground.write(Sweep { chore, now }).await;
        Ok(Swept {
            sessions: count(Chore::Sessions).await?,
            key_packages: count(Chore::KeyPackages).await?,
            submits: count(Chore::Submits).await?,
            log_entries: count(Chore::Logs).await?,
            kept_rows: count(Chore::KeptRows { retain: settings.retain, bytes: settings.retain_bytes })
                .await?,
            console: count(Chore::Console).await?,
            contacts: count(Chore::Contacts).await?,
        })
    }
}

#[derive(Clone, Copy, Debug)]
enum Chore {
    Sessions,
    KeyPackages,
    Submits,
    Logs,
    KeptRows { retain: Millis, bytes: u64 },
    Console,
    Contacts,
}

struct Sweep {
    chore: Chore,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for Sweep {
    type Output = u64;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<u64> {
        let now = self.now;
        match self.chore {
            Chore::Sessions => tx.sessions_expire(now).await,
            Chore::KeyPackages => tx.key_packages_expire(now).await,
            Chore::Submits => tx.submits_expire(now).await,
            Chore::Logs => tx.log_prune(now.before(KEPT_ENTRIES), now, KEPT_COMMITS).await,
            Chore::KeptRows { retain, bytes } => tx.outbox_purge(now, retain, bytes).await,
            Chore::Console => tx.console_expire(&admins::life(now)).await,
            Chore::Contacts => tx.contacts_expire(now).await,
        }
    }
}
