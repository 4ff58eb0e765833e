//! `keys show` and `keys accept`: the identity key pinned first, the one shown now, and a person's decision.

mod export;
mod verify;

use qpq_core::{Address, ErrorCode, IdentityKey, Millis, Timestamp};

use crate::{Client, ClientError, InLog, LogReport, log::Asked, store::PinnedIdentity, wire::UserKeys};

pub use export::ExportedProof;
pub use verify::KeyComparison;

/// How long a look at somebody's identity key is good for, in one process.
const GLANCE: Millis = Millis::from_secs(3_600);
/// When a look that nobody answered is tried again.
const GLANCE_AGAIN: Millis = Millis::from_secs(30);
/// How long a look may take before a message is sent without it.
const GLANCE_DEADLINE: std::time::Duration = std::time::Duration::from_secs(1);

/// What is known of an account's identity key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyReport {
    /// Whose.
    pub address: Address,
    /// The key seen first, which counts.
    pub pinned: Option<IdentityKey>,
    /// Since when it counts.
    pub pinned_since: Option<Timestamp>,
    /// The key that the domain shows now, or showed last.
    pub presented: Option<IdentityKey>,
    /// Whether the two differ, so that nothing is sent.
    pub changed: bool,
    /// What the log of their domain was found to say; `null` of an account that was not seen in one.
    pub log: Option<LogReport>,
    /// How it stands to that log.
    pub in_log: InLog,
}

impl KeyReport {
    fn of(address: &Address, known: Option<&PinnedIdentity>) -> Self {
        let pending = known.and_then(|known| known.pending).map(|(key, _)| key);
        Self {
            address: address.clone(),
            pinned: known.map(|known| known.key),
            pinned_since: known.map(|known| known.since),
            presented: pending.or_else(|| known.map(|known| known.key)),
            changed: pending.is_some(),
            log: None,
            in_log: InLog::NoLog,
        }
    }
}

impl Client {
    /// Asks for the account's key now, if the homeserver can be reached, and reports both.
    pub async fn keys_show(&self, address: &Address) -> Result<KeyReport, ClientError> {
        match self.ask_for(address).await {
            Ok(()) | Err(ClientError::IdentityChanged { .. }) => {}
            // What was seen before is no answer to a log that can't be believed.
            Err(
                error @ (ClientError::LogRefused { .. }
                | ClientError::LogWithheld { .. }
                | ClientError::NotTheLoggedKey { .. }),
            ) => return Err(error),
            Err(error) => {
                let report = self.key_report(address).await?;
                return if report.pinned.is_some() { Ok(report) } else { Err(error) };
            }
        }
        self.key_report(address).await
    }

    /// Accepts the changed key; the report says which counts now. Nothing happens if none is pending.
    pub async fn keys_accept(&self, address: &Address) -> Result<KeyReport, ClientError> {
        if self.me()?.address() == address {
            // What is logged in one's own name, after one has looked at it (`keys history`).
            self.connect().await?;
            self.accept_own_keys().await?;
            return self.key_report(address).await;
        }
        if !self.key_report(address).await?.changed {
            match self.ask_for(address).await {
                Ok(()) | Err(ClientError::IdentityChanged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let mut tx = self.inner.store.begin().await?;
        tx.accept_identity(address, self.now()).await?;
        tx.commit().await?;
        self.inner.proofs.borrow_mut().clear();
        // The devices that the new key signs; without them messages wait until the homeserver is reached.
        if let Err(error) = self.ask_for(address).await {
            tracing::info!(%error, "the new devices are asked for later");
        }
        self.key_report(address).await
    }

    async fn ask_for(&self, address: &Address) -> Result<(), ClientError> {
        let (asked, keys) = self.keys_now(address).await?;
        self.judge(&asked, &[(address.clone(), &keys)]).await
    }

    /// What the account's domain says of its keys now; not judged yet.
    async fn keys_now(&self, address: &Address) -> Result<(Asked, UserKeys), ClientError> {
        self.connect().await?;
        let mut tx = self.inner.store.begin().await?;
        // Who talks with us already shows their keys without being asked for more.
        let group = self.direct_group(&mut tx, address).await?;
        drop(tx);
        let asked = self.asking(std::slice::from_ref(address)).await?;
        let whom = std::slice::from_ref(address);
        let answers = self.session()?.resolve(whom, group.as_ref(), asked.views()).await?;
        match answers.into_iter().next() {
            Some(Ok(keys)) => Ok((asked, keys)),
            // Not noted: a look at a key is no wish to talk, and whoever wishes accepts first.
            Some(Err(refusal)) if refusal.is(ErrorCode::Requested) => {
                Err(ClientError::Requested { users: vec![address.clone()] })
            }
            Some(Err(refusal)) => Err(ClientError::User { address: address.clone(), refusal }),
            None => Err(ClientError::protocol("no answer about the user")),
        }
    }

    async fn key_report(&self, address: &Address) -> Result<KeyReport, ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let known = tx.identity(address).await?;
        let log = self.log_report(&mut tx, address).await?;
        let in_log = self.in_log(&mut tx, address).await?;
        Ok(KeyReport { log, in_log, ..KeyReport::of(address, known.as_ref()) })
    }

    /// Whether somebody was asked for their consent a short while ago.
    async fn is_waited_for(&self, address: &Address) -> Result<bool, ClientError> {
        let mut tx = self.inner.store.begin().await?;
        Ok(tx.requested(address).await?.is_some_and(|asked| asked.waits(self.now())))
    }

    /// A look at a user's identity key before something is sent: at most once an hour and process, and only for
    /// a moment, because a peer that is down must not hold up what can be queued for it.
    pub(crate) async fn glance(&self, address: &Address) -> Result<(), ClientError> {
        let now = self.now();
        let fresh = self.inner.looked_at.borrow().get(address).is_some_and(|at| now.since(*at) < GLANCE);
        if !fresh && self.session().is_ok() && !self.is_waited_for(address).await? {
            self.inner.looked_at.borrow_mut().insert(address.clone(), now);
            let looked = tokio::time::timeout(GLANCE_DEADLINE, self.ask_for(address)).await;
            match &looked {
                Ok(Ok(())) => {}
                // A domain that is down must not hold every message up.
                Err(_) => self.glance_again(address, now),
                Ok(Err(error)) if error.is_transient() => self.glance_again(address, now),
                // Only what was found right is good for a while.
                Ok(Err(_)) => drop(self.inner.looked_at.borrow_mut().remove(address)),
            }
            match looked {
                Ok(Err(error @ ClientError::User { .. })) if !error.is_transient() => {
                    // Who was met before may have left the directory; conversations go on.
                    if self.key_report(address).await?.pinned.is_none() {
                        return Err(error);
                    }
                }
                Ok(Err(
                    error @ (ClientError::DeviceNotSigned { .. }
                    | ClientError::DeviceNotLogged { .. }
                    | ClientError::NotTheLoggedKey { .. }
                    | ClientError::LogRefused { .. }
                    | ClientError::LogWithheld { .. }
                    | ClientError::KeysRevoked { .. }
                    | ClientError::Closed { .. }),
                )) => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        let mut tx = self.inner.store.begin().await?;
        self.unchanged(&mut tx, address).await
    }

    /// A look that came to nothing is tried again before long.
    fn glance_again(&self, address: &Address, now: Timestamp) {
        let soon = now.before(GLANCE).after(GLANCE_AGAIN);
        self.inner.looked_at.borrow_mut().insert(address.clone(), soon);
    }
}
