//! The links to one peer: usually one, for a moment two when both sides dialled at once.
//!
//! Both sides keep the one dialled by the smaller name, and each closes only what it dialled itself: after a restart
//! one side may hold a link that the other has forgotten, and must not be cut off from the one that lives.

use std::time::Duration;

use qpq_core::{Domain, Millis, Timestamp};
use qpq_federation_proto::{Cause, Presented, QueueState, dial_that_stays};
use qpq_transport::CloseCode;
use tokio::time::sleep;
use tracing::info;

use super::{Done, Driver};
use crate::{
    link::{Dialled, LinkHandle},
    slot::Command,
};

/// How long an older link has to show that it is alive.
const PROBE: Duration = Duration::from_secs(2);
/// A new link ends a backoff at most this often.
const SOON: Millis = Millis::from_secs(1);
/// How long calls on a link that another has replaced may take.
const LAST_CALLS: Duration = Duration::from_secs(1);
/// How long the peer has to close a link that it dialled and that isn't needed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The links to one peer; the last one that is up is used.
#[derive(Debug)]
pub(super) struct Links {
    us: Domain,
    peer: Domain,
    up: Vec<LinkHandle>,
}

impl Links {
    pub(super) const fn new(us: Domain, peer: Domain) -> Self {
        Self { us, peer, up: Vec::new() }
    }

    /// The link to use.
    pub(super) fn current(&self) -> Option<&LinkHandle> {
        self.up.iter().rev().find(|link| link.is_up())
    }

    pub(super) fn forget(&mut self, id: usize) {
        self.up.retain(|link| link.id() != id);
    }

    pub(super) fn close(&mut self, id: usize, code: CloseCode, reason: &str) {
        self.up.iter().filter(|link| link.id() == id).for_each(|link| link.close(code, reason));
        self.forget(id);
    }

    pub(super) fn close_all(&mut self, code: CloseCode, reason: &str) {
        self.up.drain(..).for_each(|link| link.close(code, reason));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LinkHandle> {
        self.up.iter()
    }

    fn dialler(&self, link: &LinkHandle) -> &Domain {
        match link.dialled() {
            Dialled::ByUs => &self.us,
            Dialled::ByThem => &self.peer,
        }
    }
}

impl Driver {
    /// A link is up. If there was one already, one of the two goes.
    pub(super) fn link_up(&mut self, new: LinkHandle, now: Timestamp) {
        if new.judge(&self.core, &self.record) != Presented::Trusted || !self.is_allowed() {
            return new.close(CloseCode::Revoked, "the peering has changed");
        }
        self.watch(&new);
        self.unheard = None;
        self.spoke(now);
        let claims = new.claims();
        self.outbox.handle_claims(claims.agree && !claims.challenged);
        let older = self.links.current().cloned();
        let key_exchange = new.key_exchange().unwrap_or_default();
        info!(peer.domain = %self.record.domain, key_exchange, dialled = ?new.dialled(), "a link is up");
        match older {
            None => self.links.up.push(new),
            Some(older) if older.dialled() == new.dialled() => {
                // Who dials anew has forgotten the older one.
                self.links.close(older.id(), CloseCode::Superseded, "a newer link has taken its place");
                self.links.up.push(new);
            }
            Some(older) => self.crossed(older, new),
        }
        self.end_backoff(now);
        self.link_came();
    }

    /// A new link shows that the peer is back, which is more than a word from it; a peer that comes and goes is still
    /// not followed faster than it should be.
    pub(super) fn end_backoff(&mut self, now: Timestamp) {
        let state = self.outbox.status(now).state;
        let waiting = matches!(state, QueueState::BackingOff { cause: Cause::Unreachable, .. });
        self.free_at = None;
        if !waiting || self.links.current().is_none() {
            return;
        }
        self.free_at = self.freed_at.map(|at| at.after(SOON)).filter(|next| *next > now);
        if self.free_at.is_none() {
            self.freed_at = Some(now);
            self.outbox.handle_released();
        }
    }

    fn crossed(&mut self, older: LinkHandle, new: LinkHandle) {
        let stays = dial_that_stays(self.links.dialler(&older), self.links.dialler(&new));
        let new_stays = stays == self.links.dialler(&new);
        match (new_stays, new.dialled()) {
            (true, Dialled::ByThem) => {
                // We dialled the older one, so it is ours to close.
                self.links.forget(older.id());
                self.links.up.push(new);
                self.close_after(older, LAST_CALLS);
            }
            (true, Dialled::ByUs) => {
                self.links.up.push(new);
                self.close_after(older, PATIENCE);
            }
            (false, Dialled::ByUs) => self.close_after(new, LAST_CALLS),
            (false, Dialled::ByThem) => {
                // The peer may not know the older one any more.
                self.links.up.insert(0, new);
                let id = older.id();
                self.tasks.push(Box::pin(async move {
                    Done::Probed { older: id, alive: older.answers(PROBE).await }
                }));
            }
        }
    }

    pub(super) fn probed(&mut self, older: usize, alive: bool) {
        if !alive {
            return self.links.close(older, CloseCode::Superseded, "no answer, and a newer link is there");
        }
        for link in self.links.iter().filter(|link| link.id() != older) {
            self.close_after(link.clone(), PATIENCE);
        }
    }

    /// Closes a link that isn't needed once its calls had time to end.
    fn close_after(&self, link: LinkHandle, wait: Duration) {
        let stopping = self.context.stopping().clone();
        self.context.spawn(async move {
            tokio::select! {
                biased;
                () = sleep(wait) => {}
                _ = link.closed() => {}
                () = stopping.cancelled() => {}
            }
            link.close(CloseCode::Superseded, "another link carries everything");
        });
    }

    /// Tells this driver when the link ends.
    fn watch(&self, link: &LinkHandle) {
        let (link, slot) = (link.clone(), std::sync::Arc::clone(&self.slot));
        let stopping = self.context.stopping().clone();
        self.context.spawn(async move {
            let id = link.id();
            if let Some(why) = stopping.run_until_cancelled(link.closed()).await {
                info!(peer.domain = %slot.domain, why, "a link has ended");
                drop(link);
                slot.tell(Command::LinkLost(id)).await;
            }
        });
    }
}
