//! The jobs that impose and lift bans, with an audit row for each subject.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use qpq_core::{AccountId, DeviceId, ErrorCode, Timestamp};
use qpq_storage::{AuditEntry, Ban, BanSubject, Stored, WriteTx};

use super::words;
use crate::{Answered, Effects, Ground, LiveSessions, Refusal, SessionEnd, WriteJob, accounts};

/// Somebody who is banned now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banned {
    /// Who.
    pub subject: BanSubject,
    /// Until when; `None`: for good.
    pub until: Option<Timestamp>,
    /// How many live sessions it ended.
    pub sessions_ended: usize,
}

/// Stores bans, all or none.
pub(super) struct Impose {
    ground: Arc<Ground>,
    live: Arc<LiveSessions>,
    bans: Vec<(Ban, AuditEntry)>,
    cut: Vec<Cut>,
    domains: bool,
}

/// A user of ours who is cut off.
struct Cut {
    account: AccountId,
    devices: Vec<DeviceId>,
    why: SessionEnd,
}

impl Impose {
    pub(super) fn new(ground: &Arc<Ground>, live: &Arc<LiveSessions>, bans: Vec<(Ban, AuditEntry)>) -> Self {
        Self { ground: Arc::clone(ground), live: Arc::clone(live), bans, cut: Vec::new(), domains: false }
    }

    /// Whom of our users a ban cuts off; the refusal if there is no such user.
    async fn whom(&self, tx: &mut dyn WriteTx, ban: &Ban) -> Stored<Answered<Option<Cut>>> {
        let BanSubject::User(address) = &ban.subject else { return Ok(Ok(None)) };
        if address.domain() != self.ground.domain() {
            return Ok(Ok(None));
        }
        let Some(account) = tx.account_named(address.localpart()).await? else {
            return Ok(Err(accounts::unknown(address)));
        };
        let devices = tx.devices(&account.id).await?;
        Ok(Ok(Some(Cut {
            account: account.id,
            devices: devices.into_iter().map(|device| device.certificate.device.device).collect(),
            why: SessionEnd::Banned(words(ban, self.ground.domain()).into()),
        })))
    }
}

#[async_trait]
impl WriteJob for Impose {
    type Output = Answered<Vec<Banned>>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        self.cut.clear();
        self.domains = false;
        let mut cut = Vec::new();
        // Looked at before anything is written: a refusal is an output, and what was written before it would stay.
        for (ban, _) in &self.bans {
            match self.whom(tx, ban).await? {
                Ok(whom) => cut.push(whom),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        let (mut banned, mut changed) = (Vec::new(), false);
        for ((ban, entry), cut) in self.bans.iter().zip(cut) {
            let known = tx.ban(&ban.subject).await?;
            let sessions_ended = cut.as_ref().map_or(0, |cut| self.live.count_of(&cut.account));
            banned.push(Banned { subject: ban.subject.clone(), until: ban.until, sessions_ended });
            if known.is_some_and(|known| known.reason == ban.reason && known.until == ban.until) {
                continue;
            }
            changed = true;
            tx.ban_store(ban).await?;
            tx.audit_append(entry).await?;
            self.domains |= matches!(ban.subject, BanSubject::Domain(_));
            self.cut.extend(cut);
        }
        if changed {
            return Ok(Ok(banned));
        }
        let text = format!(
            "{} banned already, for the same reason and time",
            are(self.bans.iter().map(|(ban, _)| &ban.subject))
        );
        Ok(Err(Refusal::new(ErrorCode::NotAllowed, text)))
    }

    fn effects(&mut self) -> Effects {
        for Cut { account, devices, why } in &self.cut {
            self.live.end_account(account, why);
            for device in devices {
                self.ground.wakes().end(device);
            }
        }
        if self.domains {
            self.ground.peers().peers_changed();
        }
        Effects::default()
    }
}

/// Lifts bans, all or none.
pub(super) struct Lift {
    ground: Arc<Ground>,
    subjects: Vec<(BanSubject, AuditEntry)>,
    domains: bool,
}

impl Lift {
    pub(super) fn new(ground: &Arc<Ground>, subjects: Vec<(BanSubject, AuditEntry)>) -> Self {
        Self { ground: Arc::clone(ground), subjects, domains: false }
    }
}

#[async_trait]
impl WriteJob for Lift {
    type Output = Answered<()>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        self.domains = false;
        let mut free = Vec::new();
        for (subject, _) in &self.subjects {
            if tx.ban(subject).await?.is_none() {
                free.push(subject);
            }
        }
        if !free.is_empty() {
            let text = format!("{} not banned; `ban list` shows who is", are(free.into_iter()));
            return Ok(Err(Refusal::new(ErrorCode::NotFound, text)));
        }
        for (subject, entry) in &self.subjects {
            tx.ban_lift(subject).await?;
            tx.audit_append(entry).await?;
            self.domains |= matches!(subject, BanSubject::Domain(_));
        }
        Ok(Ok(()))
    }

    fn effects(&mut self) -> Effects {
        if self.domains {
            self.ground.peers().peers_changed();
        }
        Effects::default()
    }
}

/// "`a` is", or "`a`, `b` are".
fn are<S: fmt::Display>(subjects: impl ExactSizeIterator<Item = S>) -> String {
    let verb = if subjects.len() == 1 { "is" } else { "are" };
    let names: Vec<String> = subjects.map(|subject| format!("`{subject}`")).collect();
    format!("{} {verb}", names.join(", "))
}
