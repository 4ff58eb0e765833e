//! A client that stays: it keeps a connection, has everything pushed, and sends what is queued as soon as it can.

use std::{collections::BTreeSet, time::Duration};

use qpq_core::{ErrorCode, Millis};
use tokio::sync::mpsc;

use crate::{
    Client, ClientError,
    connect::Backoff,
    inbox::{Inbox, Pushed},
    session::Session,
    store::Feed,
};

/// How often what waits for somebody else (a peer that is down, a time to try again) is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often the homeserver is asked whether it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long before its end a session is left for the next one.
const BEFORE_END: Millis = Millis::from_secs(60);

/// Keeps the client connected until it is dropped.
#[derive(Debug)]
pub struct Live {
    client: Client,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
        self.client.inner.live.set(false);
    }
}

impl Live {
    /// Whether the task has ended by itself: the session is over and there is no password to make a new one, or the
    /// account is banned.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Returns when the task has ended by itself; [`Client::connect`] says why.
    pub async fn over(&mut self) {
        (&mut self.task).await.ok();
    }
}

impl Client {
    /// Starts a task on this thread's [`tokio::task::LocalSet`] that connects, reconnects, receives and sends.
    #[must_use = "dropping it ends the connection"]
    pub fn go_live(&self) -> Live {
        self.inner.live.set(true);
        let client = self.clone();
        let task = tokio::task::spawn_local(async move { client.stay().await });
        Live { client: self.clone(), task }
    }

    async fn stay(&self) {
        let mut backoff = Backoff::default();
        loop {
            match self.stay_connected(&mut backoff).await {
                Ok(()) => tracing::debug!("the session ends: the next one begins"),
                Err(
                    error @ (ClientError::LoggedOut { .. }
                    | ClientError::IdentityMoved { .. }
                    | ClientError::NoAccount),
                ) => {
                    tracing::error!(%error, "the client can't go on");
                    return;
                }
                // Only time or an admin changes that.
                Err(ClientError::Refused(refusal)) if refusal.is(ErrorCode::Banned) => {
                    tracing::error!(%refusal, "the client can't go on");
                    return;
                }
                Err(error) => tracing::info!(error = %error, "the connection ended, another follows"),
            }
            self.disconnect().await;
            let Ok(mut entropy) = self.entropy() else { return };
            tokio::time::sleep(backoff.next(&mut entropy)).await;
        }
    }

    /// One connection, to its end.
    async fn stay_connected(&self, backoff: &mut Backoff) -> Result<(), ClientError> {
        self.connect().await?;
        self.acknowledge_all().await?;
        self.stock_up().await?;
        let (capability, pushed) = Inbox::open();
        let session = self.session()?;
        session.subscribe(capability).await?;
        backoff.reset();
        let mut tx = self.inner.store.begin().await?;
        let ends = tx.session().await?.map(|kept| kept.session_expires_at.before(BEFORE_END));
        drop(tx);
        let left = ends.map_or(Millis::from_days(1), |ends| ends.since(self.now()));
        tokio::select! {
            ended = self.receive(pushed) => ended,
            ended = self.keep_sending() => ended,
            ended = heartbeat(&session) => ended,
            reason = session.link().closed() => Err(ClientError::Disconnected { reason }),
            () = tokio::time::sleep(left.to_duration()) => Ok(()),
        }
    }

    async fn receive(&self, mut pushed: mpsc::Receiver<Pushed>) -> Result<(), ClientError> {
        // What is pushed comes once: after something was left out, its feed goes on with what a pull brings, which begins
        // at what was left out.
        let mut waiting = BTreeSet::new();
        let mut look_at = tokio::time::Instant::now() + LOOK_AGAIN;
        loop {
            if !waiting.is_empty() && look_at <= tokio::time::Instant::now() {
                self.catch_up(&mut waiting).await?;
                look_at = tokio::time::Instant::now() + LOOK_AGAIN;
            }
            match tokio::time::timeout(LOOK_AGAIN, pushed.recv()).await {
                Ok(Some(Pushed::Batch { deliveries, done })) => {
                    let progress = self.process(&deliveries, &waiting).await?;
                    // The homeserver may have given up waiting; what is stored is stored.
                    done.send(()).ok();
                    waiting.extend(progress.waiting);
                    if progress.again {
                        self.catch_up(&mut waiting).await?;
                    }
                }
                Ok(Some(Pushed::Draining)) => {
                    return Err(ClientError::Disconnected {
                        reason: String::from("the homeserver is stopping"),
                    });
                }
                Ok(None) => {
                    return Err(ClientError::Disconnected {
                        reason: String::from("nothing is pushed any more"),
                    });
                }
                Err(_) => {}
            }
        }
    }

    /// Pulls; what still waits afterwards stays behind.
    async fn catch_up(&self, waiting: &mut BTreeSet<Feed>) -> Result<(), ClientError> {
        let pulled = self.pull().await?;
        if pulled.complete {
            waiting.clear();
        }
        waiting.extend(pulled.waiting);
        Ok(())
    }

    async fn keep_sending(&self) -> Result<(), ClientError> {
        loop {
            let outcome = match self.finish_begun().await {
                Ok(()) => self.flush().await,
                Err(error) => Err(error),
            };
            match outcome {
                Err(error) if error.is_transient() && self.session().is_ok() => {
                    tracing::debug!(%error, "what is queued waits");
                }
                other => other?,
            }
            tokio::time::timeout(LOOK_AGAIN, self.inner.queued.notified()).await.ok();
        }
    }
}

async fn heartbeat(session: &Session) -> Result<(), ClientError> {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        session.link().feel_pulse().await?;
    }
}
