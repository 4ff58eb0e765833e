//! A peer's queue in an admin's hands: wait, go on, try now.

use async_trait::async_trait;
use qpq_core::{Domain, ErrorCode};
use qpq_storage::{Page, Pause, Stored, Window, WriteTx};

use super::{Peering, unknown};
use crate::{
    Answered, Caller, Refusal, WriteJob,
    audit::Audited,
    relay::{self, DeadLetterView, QueueView},
};

/// The longest reason, in characters.
const REASON: usize = 500;

impl Peering {
    /// A page of what waits for a peer.
    pub async fn queue(&self, domain: &Domain, window: Window) -> Answered<Page<QueueView>> {
        if self.ground.read().await?.peer(domain).await?.is_none() {
            return Err(unknown(domain));
        }
        relay::queue(&self.ground, domain, window).await
    }

    /// Lets rows for a peer wait until an admin resumes it. What it sends is still taken.
    pub async fn pause(&self, domain: &Domain, reason: &str, caller: &Caller) -> Answered<()> {
        let reason = one_line(reason)?;
        let pause = Pause { reason: reason.clone(), at: self.ground.now() };
        let entry = caller.entry(&self.ground, "peer.pause", domain.to_string(), reason);
        let job = SetPause { domain: domain.clone(), pause: Some(pause) };
        let changed = self.ground.write(Audited { job, entry, changed: |changed| *changed }).await?;
        self.settled(changed, || unknown(domain))
    }

    /// Lets a paused peer's rows go out again.
    pub async fn resume(&self, domain: &Domain, caller: &Caller) -> Answered<()> {
        let entry = caller.entry(&self.ground, "peer.resume", domain.to_string(), String::new());
        let job = SetPause { domain: domain.clone(), pause: None };
        let changed = self.ground.write(Audited { job, entry, changed: |changed| *changed }).await?;
        self.settled(changed, || Refusal::new(ErrorCode::NotFound, format!("`{domain}` is not paused")))
    }

    fn settled(&self, changed: bool, refusal: impl FnOnce() -> Refusal) -> Answered<()> {
        if !changed {
            return Err(refusal());
        }
        self.ground.peers().peers_changed();
        Ok(())
    }

    /// Tries a peer now: ends its backoff, and judges anew what was held against it.
    pub async fn retry(&self, domain: &Domain, caller: &Caller) -> Answered<()> {
        if self.ground.read().await?.pause(domain).await?.is_some() {
            let text = format!("`{domain}` is paused: `peer resume {domain}` lets it go on");
            return Err(Refusal::new(ErrorCode::PolicyRefused, text));
        }
        let entry = caller.entry(&self.ground, "peer.retry", domain.to_string(), String::new());
        let job = Release { domain: domain.clone() };
        let known = self.ground.write(Audited { job, entry, changed: |known| *known }).await?;
        if !known {
            return Err(unknown(domain));
        }
        self.ground.peers().retry(domain).await;
        Ok(())
    }

    /// A page of the dead letters for one domain or for all.
    pub async fn dead_letters(
        &self,
        domain: Option<&Domain>,
        window: Window,
    ) -> Answered<Page<DeadLetterView>> {
        relay::dead_letters(&self.ground, domain, window).await
    }

    /// Sends a dead letter once more.
    pub async fn replay_letter(&self, id: u64, caller: &Caller) -> Answered<DeadLetterView> {
        relay::replay(&self.ground, id, caller).await
    }

    /// Drops a dead letter; its sender hears of it.
    pub async fn drop_letter(&self, id: u64, reason: &str, caller: &Caller) -> Answered<DeadLetterView> {
        relay::drop_letter(&self.ground, id, &one_line(reason)?, caller).await
    }
}

fn one_line(reason: &str) -> Answered<String> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON || reason.chars().any(char::is_control) {
        return Err(Refusal::malformed(format!("`reason` is one line of 1 to {REASON} characters")));
    }
    Ok(reason.to_owned())
}

struct SetPause {
    domain: Domain,
    pause: Option<Pause>,
}

#[async_trait]
impl WriteJob for SetPause {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        match &self.pause {
            Some(_) if tx.peer(&self.domain).await?.is_none() => Ok(false),
            Some(pause) => tx.pause_set(&self.domain, pause).await.map(|()| true),
            None => tx.pause_end(&self.domain).await,
        }
    }
}

struct Release {
    domain: Domain,
}

#[async_trait]
impl WriteJob for Release {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        if tx.peer(&self.domain).await?.is_none() {
            return Ok(false);
        }
        tx.peer_refuse(&self.domain, None).await.map(|()| true)
    }
}
