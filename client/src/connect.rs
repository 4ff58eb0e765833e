//! Getting to the homeserver: dialling, resuming, and what is caught up on at once.

use std::{rc::Rc, time::Duration};

use qpq_core::{
    Address, Entropy as _, ErrorCode, Secret,
    limits::{PROTOCOL_VERSION, RETAIN},
};

use crate::{
    Client, ClientError,
    link::Link,
    log::Care,
    login::By,
    server::Server,
    session,
    store::{GroupState, SessionState},
    wire::{Grant, Position},
};

/// The first wait of a long-lived client that lost its homeserver; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Positions in one acknowledgement.
pub(crate) const POSITIONS: usize = 200;

/// How long to wait before the next attempt: doubling, with full jitter, so that a restarted homeserver is not
/// met by all its clients in the same instant.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next wait.
    pub(crate) fn next(&mut self, entropy: &mut dyn qpq_core::Entropy) -> Duration {
        let most = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.attempts.min(16))).min(LONGEST_WAIT);
        self.attempts = self.attempts.saturating_add(1);
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(most / 4 + entropy.below(most - most / 4 + 1))
    }

    /// It worked.
    pub(crate) const fn reset(&mut self) {
        self.attempts = 0;
    }
}

impl Client {
    /// Connects and resumes the session, unless there is a live one. Nothing is synced yet.
    pub async fn connect(&self) -> Result<(), ClientError> {
        let _one_at_a_time = self.inner.connecting.lock().await;
        if self.session().is_ok() {
            return Ok(());
        }
        match self.resume().await {
            Err(error @ ClientError::LoggedOut { .. }) => match self.password() {
                Some(password) => {
                    let me = self.me()?;
                    self.log_in(me.address(), &me.server, &password, By::Itself).await.map(drop)
                }
                None => Err(error),
            },
            other => other,
        }
    }

    /// Resumes with the stored token. What shall follow it is stored first, so a crash between the homeserver's commit
    /// and our own costs nothing: one of the two tokens works.
    async fn resume(&self) -> Result<(), ClientError> {
        let me = self.me()?;
        let logged_out = |reason: String| ClientError::LoggedOut { address: me.address().clone(), reason };
        let mut tx = self.inner.store.begin().await?;
        let kept = tx.session().await?;
        drop(tx);
        let mut kept = kept.ok_or_else(|| logged_out(String::from("there is none")))?;
        let link = Rc::new(Link::dial(&me.server, me.address().domain(), &self.inner.options.clock).await?);
        loop {
            let interrupted = kept.offered.is_some();
            let next = match &kept.offered {
                Some(next) => next.clone(),
                None => self.offer_next(&mut kept).await?,
            };
            match session::resume(Rc::clone(&link), kept.token.expose(), next.expose()).await {
                Ok((session, grant)) => {
                    self.keep_grant(&grant).await?;
                    self.set_session(session);
                    return self.look_after_own_keys(Care::Usual).await;
                }
                // The attempt before this one may have come through without our hearing of it.
                Err(ClientError::Refused(refusal)) if interrupted && refusal.is(ErrorCode::Revoked) => {
                    kept.token = next;
                    kept.offered = None;
                }
                Err(ClientError::Refused(refusal))
                    if refusal.is(ErrorCode::SessionExpired) || refusal.is(ErrorCode::Revoked) =>
                {
                    return Err(logged_out(refusal.text));
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Draws the token after this one, and stores it before anybody hears of it.
    async fn offer_next(&self, kept: &mut SessionState) -> Result<Secret<[u8; 32]>, ClientError> {
        let next = Secret::new(self.entropy()?.bytes32());
        kept.offered = Some(next.clone());
        let mut tx = self.inner.store.begin().await?;
        tx.save_session(Some(kept)).await?;
        tx.commit().await?;
        Ok(next)
    }

    /// Stores the next resumption token: before anything else is done with the session.
    pub(crate) async fn keep_grant(&self, grant: &Grant) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let reborn = tx.session().await?.is_some_and(|old| old.incarnation != grant.incarnation);
        tx.save_session(Some(&SessionState {
            session: grant.session,
            token: grant.resumption_token.clone(),
            offered: None,
            resumption_expires_at: grant.resumption_expires_at,
            session_expires_at: grant.session_expires_at,
            incarnation: grant.incarnation,
        }))
        .await?;
        let kept_since = self.now().before(RETAIN);
        tx.forget_ciphertexts(kept_since).await?;
        if reborn {
            // The domain's database was put back: its stock of our KeyPackages is not what we remember, and it may have
            // lost what we had handed over. What is known there, or at a hub elsewhere, counts once.
            tx.forget_uploads().await?;
            tx.note_put_back(self.now()).await?;
            let messages = tx.offer_again(self.address()?.domain(), kept_since).await?;
            tracing::info!(messages, "the homeserver was put back: what it had accepted is offered again");
        }
        tx.commit().await?;
        Ok(())
    }

    /// Dials the homeserver that a user names, and checks that it is the address's.
    pub(crate) async fn dial(&self, address: &Address, server: &Server) -> Result<Link, ClientError> {
        let link = Link::dial(server, address.domain(), &self.inner.options.clock).await?;
        let info = link.info().await?;
        if info.domain != *address.domain() {
            return Err(ClientError::OtherDomain { served: info.domain, wanted: address.domain().clone() });
        }
        if !(info.min_version..=info.max_version).contains(&PROTOCOL_VERSION) {
            return Err(ClientError::protocol(format_args!(
                "it speaks the protocol versions {} to {}, this program {PROTOCOL_VERSION}",
                info.min_version, info.max_version
            )));
        }
        Ok(link)
    }

    /// Connects, brings everything up to date and sends what is queued: what each command does first.
    pub async fn sync(&self) -> Result<(), ClientError> {
        self.connect().await?;
        self.acknowledge_all().await?;
        self.stock_up().await?;
        self.pull().await?;
        self.finish_begun().await?;
        self.flush().await
    }

    /// Repeats the acknowledgements that may have been lost.
    pub(crate) async fn acknowledge_all(&self) -> Result<(), ClientError> {
        let session = self.session()?;
        let mut tx = self.inner.store.begin().await?;
        let positions = tx.positions().await?;
        drop(tx);
        let positions: Vec<_> =
            positions.into_iter().map(|(feed, cursor)| Position { feed, cursor }).collect();
        for chunk in positions.chunks(POSITIONS) {
            session.acknowledge(chunk).await?;
        }
        Ok(())
    }

    /// Ends what a crash or an outage left half done: groups that the hub doesn't have, commits without answer.
    pub(crate) async fn finish_begun(&self) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let groups = tx.groups().await?;
        let commits = tx.pending_commits().await?;
        drop(tx);
        for group in groups.into_iter().filter(|group| group.state == GroupState::Creating) {
            match self.offer_group(&group.id).await {
                Ok(()) => {}
                Err(ClientError::Refused(refusal)) => {
                    let later = ClientError::Refused(refusal.clone()).is_transient();
                    tracing::warn!(group = %group.id, %refusal, "a new group was not taken by its hub");
                    if !later {
                        // It will never be: what was begun must not stop everything else for ever.
                        let mut tx = self.inner.store.begin().await?;
                        let state = GroupState::NeedsResync { reason: refusal.to_string() };
                        tx.set_group_state(&group.id, &state).await?;
                        tx.commit().await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        for pending in commits {
            match self.offer_commit(&pending).await {
                Ok(_) => {}
                // Its hub can't be reached: the next command tries again.
                Err(error) if error.is_transient() => {
                    tracing::info!(group = %pending.group, %error, "a commit waits for its hub");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use qpq_core::SeededEntropy;

    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_again() {
        let (mut backoff, mut entropy) = (Backoff::default(), SeededEntropy::new(3));
        let waits: Vec<_> = (0..20).map(|_| backoff.next(&mut entropy)).collect();
        assert!(waits.iter().all(|wait| *wait <= LONGEST_WAIT && !wait.is_zero()));
        assert!(waits.first().unwrap() <= &FIRST_WAIT);
        assert!(waits.iter().skip(10).any(|wait| *wait > Duration::from_secs(10)));
        backoff.reset();
        assert!(backoff.next(&mut entropy) <= FIRST_WAIT);
    }
}
