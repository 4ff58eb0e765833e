//! What the driver reads from and writes to the store besides rows, and what it shows to people.

use std::sync::Arc;

use qpq_federation_proto::{Cause, Presented, QueueState, SavedLink, StopReason, StreamHead};
use qpq_service::{Answered, Known, Standing, relay};
use qpq_storage::PeerState;
use qpq_transport::CloseCode;

use super::{Chore, Done, Driver};
use crate::slot::{Seen, Trouble};

impl Driver {
    /// Whether ban, record and policy allow the peer.
    pub(super) fn is_allowed(&self) -> bool {
        let known = Known { peer: Some(self.record.clone()), ban: self.ban.clone(), pause: None };
        self.core.peering.policy().would_allow(known.state()).allows()
    }

    /// Reads which streams have rows waiting: all of them, or as many as the core asked for.
    pub(super) fn read_heads(&mut self, limit: Option<usize>) {
        self.busy.insert(Chore::ReadHeads);
        let (ground, peer) = (Arc::clone(&self.core.ground), self.record.domain.clone());
        self.tasks.push(Box::pin(async move { Done::Heads(relay::waiting(&ground, &peer).await, limit) }));
    }

    pub(super) fn heads(&mut self, heads: Answered<Vec<StreamHead>>, limit: Option<usize>) {
        self.busy.remove(&Chore::ReadHeads);
        match (heads, limit) {
            (Ok(heads), None) => heads.into_iter().for_each(|head| self.outbox.handle_enqueued(head)),
            (Ok(heads), Some(limit)) => {
                let all = heads.len() <= limit;
                self.outbox.handle_heads(heads.into_iter().take(limit), all);
            }
            // The failure was logged; what was committed is read with the next rows, or when somebody asks again.
            (Err(_), None) => self.slot.fill(),
            (Err(_), Some(_)) => self.outbox.handle_heads([], false),
        }
    }

    pub(super) fn read_record(&mut self) {
        self.busy.insert(Chore::ReadRecord);
        let (ground, peer) = (Arc::clone(&self.core.ground), self.record.domain.clone());
        self.tasks.push(Box::pin(async move {
            let read = async {
                let mut tx = ground.read().await?;
                Ok(Known::read(tx.as_mut(), &peer, ground.now()).await?)
            };
            Done::Record(Box::new(read.await))
        }));
    }

    pub(super) fn record_read(&mut self, read: Answered<Known>) {
        self.busy.remove(&Chore::ReadRecord);
        match read {
            Ok(Known { peer: Some(record), ban, pause }) => {
                let (before, moved) = (self.allowed, self.record.address != record.address);
                self.record = record;
                self.ban = ban;
                self.outbox.handle_paused(pause.is_some());
                self.pause = pause;
                self.judge_record();
                if moved {
                    self.moved();
                }
                // It may have been refused, or looked for elsewhere, until now.
                if self.allowed && (!before || (moved && self.links.current().is_none())) {
                    self.greet();
                }
            }
            // The list of peers says so too, and ends this driver.
            Ok(Known { peer: None, .. }) => {}
            Err(_) => self.slot.look_again(),
        }
    }

    /// An admin said where the peer is now: what was found at the former address counts no more.
    fn moved(&mut self) {
        self.trouble = None;
        let waits = matches!(
            self.outbox.status(self.core.ground.now()).state,
            QueueState::BackingOff { cause: Cause::Unreachable, .. }
                | QueueState::Stopped(StopReason::CertificateRefused)
        );
        if waits {
            self.outbox.handle_released();
        }
    }

    /// Judges queue and links by the record as it is now.
    pub(super) fn judge_record(&mut self) {
        let now = self.core.ground.now();
        self.allowed = self.is_allowed();
        if !self.allowed {
            self.outbox.handle_stopped(StopReason::Policy, now);
            self.slot.distrust();
            self.links.close_all(CloseCode::Revoked, "this domain's policy has changed");
            return self.waiters_fail(&Trouble::Stopped(StopReason::Policy));
        }
        let stored = !self.is_busy(Chore::Save) && self.unsaved.is_none();
        let lifted = self.record.refused.is_none() && stored && self.stop_reason().is_some();
        if lifted || self.stop_reason() == Some(StopReason::Policy) {
            self.outbox.handle_released();
        }
        let distrusted: Vec<usize> = self
            .links
            .iter()
            .filter(|link| link.judge(&self.core, &self.record) != Presented::Trusted)
            .map(crate::link::LinkHandle::id)
            .collect();
        if !distrusted.is_empty() {
            self.slot.distrust();
        }
        for id in distrusted {
            self.links.close(id, CloseCode::Revoked, "the pinned authority has changed");
        }
    }

    /// Stores the link's state; of several that wait only the last counts.
    pub(super) fn save(&mut self, link: SavedLink) {
        self.unsaved = Some(link);
        self.save_next();
    }

    fn save_next(&mut self) {
        if self.is_busy(Chore::Save) {
            return;
        }
        let Some(link) = self.unsaved.take() else { return };
        self.busy.insert(Chore::Save);
        let (ground, peer) = (Arc::clone(&self.core.ground), self.record.domain.clone());
        self.begin(Box::pin(async move { Done::Saved(link, relay::save_link(&ground, &peer, link).await) }));
    }

    pub(super) fn saved(&mut self, link: SavedLink, saved: &Answered<()>) {
        self.busy.remove(&Chore::Save);
        if saved.is_ok() {
            self.record.refused = link.stopped.map(|reason| reason.to_string());
        }
        self.save_next();
    }

    /// Tells people how it stands.
    pub(super) fn show(&self) {
        let status = self.outbox.status(self.core.ground.now());
        let link = self.links.current().cloned();
        let retry_at = match status.state {
            QueueState::BackingOff { until, .. } => Some(until),
            QueueState::Healthy
            | QueueState::Paused
            | QueueState::Probing { .. }
            | QueueState::Stopped(_) => None,
        };
        let standing = match (&status.state, &self.trouble) {
            (QueueState::Stopped(_), _) => Standing::Refused,
            (QueueState::BackingOff { .. }, _) => Standing::BackingOff,
            (QueueState::Probing { .. }, _) => Standing::Degraded,
            (QueueState::Paused, _) => Standing::Paused,
            (QueueState::Healthy, Some(_)) if link.is_none() => Standing::Degraded,
            (QueueState::Healthy, _) => Standing::Healthy,
        };
        let trouble = self.trouble.as_ref().map(|(_, trouble)| trouble.words());
        let state = match (self.record.state, &link, &self.trouble) {
            _ if self.ban.is_some() => "blocked".to_owned(),
            (PeerState::AwaitingConfirmation, ..) => {
                format!("waits for `peer accept {}`", self.record.domain)
            }
            (PeerState::Allowed, Some(_), _) => format!("connected; {status}"),
            (PeerState::Allowed, None, Some((_, trouble))) => format!("{status} ({})", trouble.words()),
            (PeerState::Allowed, None, None) if self.is_busy(Chore::Dial) => "dialling".to_owned(),
            (PeerState::Allowed, None, None) => match status.state {
                QueueState::Healthy => "no link; it is dialled when something waits".to_owned(),
                QueueState::Paused
                | QueueState::Probing { .. }
                | QueueState::BackingOff { .. }
                | QueueState::Stopped(_) => status.to_string(),
            },
        };
        self.slot.show(Seen { link, state, retry_at, standing, trouble });
    }
}
