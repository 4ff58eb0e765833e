//! Bans whose time is over: lifted by a job, with an audit row each. Nobody waits for it: what is over keeps nobody out,
//! but a blocked domain's driver is told here that it may send again.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::Timestamp;
use qpq_storage::{AuditEntry, BanSubject, Stored, WriteTx};

use super::Bans;
use crate::{Answered, Caller, Effects, Ground, WriteJob};

/// How many are lifted in one transaction.
const BATCH: usize = 256;

impl Bans {
    /// Lifts every ban whose time is over; says how many.
    pub async fn lift_due(&self, caller: &Caller) -> Answered<u64> {
        let mut lifted = 0_u64;
        loop {
            let now = self.ground.now();
            let due = self.ground.read().await?.bans_due(now, BATCH).await?;
            let complete = due.len() < BATCH;
            let entry = |subject: BanSubject| {
                let verb = match subject {
                    BanSubject::User(_) => "user.unban",
                    BanSubject::Domain(_) => "peer.unblock",
                };
                let why = "its time was over".to_owned();
                let entry = caller.entry(&self.ground, verb, subject.to_string(), why);
                (subject, entry)
            };
            let due: Vec<_> = due.into_iter().map(|ban| entry(ban.subject)).collect();
            if !due.is_empty() {
                let job = LiftDue { ground: Arc::clone(&self.ground), due, now, domains: false };
                lifted = lifted.saturating_add(self.ground.write(job).await?);
            }
            if complete {
                return Ok(lifted);
            }
        }
    }

    /// When the next ban ends.
    pub async fn next_end(&self) -> Answered<Option<Timestamp>> {
        Ok(self.ground.read().await?.next_ban_end().await?)
    }
}

struct LiftDue {
    ground: Arc<Ground>,
    due: Vec<(BanSubject, AuditEntry)>,
    now: Timestamp,
    domains: bool,
}

#[async_trait]
impl WriteJob for LiftDue {
    type Output = u64;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<u64> {
        self.domains = false;
        let mut lifted = 0_u64;
        for (subject, entry) in &self.due {
            // An admin may have lifted or prolonged it meanwhile.
            if tx.ban(subject).await?.is_none_or(|ban| ban.is_active(self.now)) {
                continue;
            }
            tx.ban_lift(subject).await?;
            tx.audit_append(entry).await?;
            lifted = lifted.saturating_add(1);
            self.domains |= matches!(subject, BanSubject::Domain(_));
        }
        Ok(lifted)
    }

    fn effects(&mut self) -> Effects {
        if self.domains {
            self.ground.peers().peers_changed();
        }
        Effects::default()
    }
}
