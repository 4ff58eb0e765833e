//! What a domain's key-transparency log proves of its users' keys: asked for, verified, pinned.
//!
//! No key is believed that the log of its domain doesn't prove, as soon as that log was seen once. Of a domain that keeps no
//! log, and of accounts that are not in it yet, the key seen first counts, as before ([`trust`](crate::trust)).

mod chain;
mod look;
mod opened;
mod own;
mod read;
mod rekey;
mod sign;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use qpq_core::{Address, Domain};
use qpq_transparency_tree::{
    KeyName,
    label::Label,
    lookup::{
        Asker, Binding, KeyChange, KnownLabel, LookupError, PinnedLog, Question, Verified, View, verify,
    },
    policy::Level,
    value::{AccountValue, Status},
};
use qpq_transparency_wire::Views;
use tokio::sync::{Mutex, OwnedMutexGuard};

pub(crate) use chain::Place;
pub(crate) use own::Care;
pub use own::{HistoryRow, OwnHistory};
pub use rekey::ResetState;
pub(crate) use sign::first_version;

use crate::{Client, ClientError, store::Tx, wire::UserKeys};

/// One question at a time and log: what an answer is verified against must be what was said when it was asked for.
pub(crate) type Turns = BTreeMap<Domain, Arc<Mutex<()>>>;

/// What was known when somebody was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    views: Views,
    logs: BTreeMap<KeyName, PinnedLog>,
    labels: BTreeMap<Address, KnownLabel>,
    /// Logs that were shown in the answers to this question.
    shown: BTreeSet<KeyName>,
    _turns: Vec<OwnedMutexGuard<()>>,
}

impl Asked {
    /// From where on the logs should answer.
    pub(crate) const fn views(&self) -> &Views {
        &self.views
    }

    /// Notes which log an answer shows: a domain that shows one for some of its users has one for all of them.
    pub(crate) fn answered(&mut self, keys: &UserKeys) {
        if keys.lookup.is_some() {
            self.shown.insert(KeyName::of_log(keys.address.domain()));
        }
    }
}

/// What is known of an account in its domain's log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LogReport {
    /// The newest version that was verified.
    pub version: u32,
    /// `logged`, `peer` or `quorum`: whose signatures the log has. Only `quorum` is called verified.
    pub level: &'static str,
    /// When that was witnessed, or claimed where there is no witness.
    pub at: qpq_core::Timestamp,
    /// `active`, `revoked` or `closed`.
    pub status: &'static str,
}

/// How an account stands to the log of its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InLog {
    /// The log proves its keys.
    Logged,
    /// Its domain keeps a log, and the account is not in it: the key seen first counts, which nobody proves.
    Unlogged,
    /// No log of its domain was seen: the key seen first counts.
    NoLog,
}

impl Client {
    /// Takes the turn of these users' logs, and says what is known of them.
    pub(crate) async fn asking(&self, addresses: &[Address]) -> Result<Asked, ClientError> {
        // In the order of their names, so that two who ask never wait for each other.
        let domains: BTreeSet<&Domain> = addresses.iter().map(Address::domain).collect();
        let mut held = Vec::new();
        for domain in &domains {
            let turn = Arc::clone(self.inner.logs.borrow_mut().entry((*domain).clone()).or_default());
            held.push(turn.lock_owned().await);
        }
        let mut tx = self.inner.store.begin().await?;
        let (mut logs, mut labels, mut views) = (BTreeMap::new(), BTreeMap::new(), Views::new());
        for domain in domains {
            let origin = KeyName::of_log(domain);
            if let Some(log) = tx.pinned_log(&origin).await? {
                logs.insert(origin, log);
            }
        }
        for address in addresses {
            if let Some(label) = tx.known_label(address).await? {
                labels.insert(address.clone(), label);
            }
            let log = logs.get(&KeyName::of_log(address.domain()));
            views.insert(address.clone(), View::of(log, labels.get(address)));
        }
        Ok(Asked { views, logs, labels, shown: BTreeSet::new(), _turns: held })
    }

    /// Verifies what a domain's log says of one of its users, and pins it before anything is done with it. `None`: the log, if
    /// there is one, doesn't have the user yet.
    pub(crate) async fn prove_keys(
        &self,
        tx: &mut Tx<'_>,
        asked: &Asked,
        address: &Address,
        keys: &UserKeys,
    ) -> Result<Result<Option<AccountValue>, ClientError>, ClientError> {
        let origin = KeyName::of_log(address.domain());
        let refused = |error| ClientError::LogRefused { address: address.clone(), error };
        let pinned = asked.logs.get(&origin);
        let Some(told) = &keys.lookup else {
            let withheld = ClientError::LogWithheld { address: address.clone() };
            let has_one = pinned.is_some() || asked.shown.contains(&origin);
            return Ok(if has_one { Err(withheld) } else { Ok(None) });
        };
        let pinned = match pinned {
            Some(pinned) => pinned.clone(),
            None if *told.log_key.name() == origin => PinnedLog::first_seen(told.log_key.clone()),
            None => return Ok(Err(refused(LookupError::Origin))),
        };
        let own = self.me()?.address().domain() == address.domain();
        let question = Question {
            label: &Label::of(address),
            asker: if own { Asker::Own } else { Asker::Foreign },
            known: asked.labels.get(address),
        };
        let verified = match verify(&pinned, &question, &told.answer, self.now()) {
            Ok(verified) => verified,
            Err(error) => return Ok(Err(refused(error))),
        };
        // Others who were asked for in the same call have brought this log forward already: to the same tree.
        if let Some(now) = tx.pinned_log(&origin).await?
            && now.head != pinned.head
            && now.head != verified.log.head
        {
            return Ok(Err(refused(LookupError::Inconsistent)));
        }
        self.keep_verified(tx, address, keys, verified).await
    }

    async fn keep_verified(
        &self,
        tx: &mut Tx<'_>,
        address: &Address,
        keys: &UserKeys,
        verified: Verified,
    ) -> Result<Result<Option<AccountValue>, ClientError>, ClientError> {
        let now = self.now();
        tx.save_log(&verified.log, now, verified.trust.at).await?;
        let former = tx.known_label(address).await?.and_then(|label| label.identity);
        if let Some(label) = &verified.label {
            tx.save_label(address, label).await?;
        }
        let value = match verified.binding {
            Binding::Absent => return Ok(Ok(None)),
            // Nobody is there to read any more. Groups go on with those who are, so their devices stay known.
            Binding::Closed => return Ok(Err(ClientError::Closed { address: address.clone() })),
            Binding::Keys(value) => value,
        };
        // The former key signed for this one, so nobody needs to compare them; whatever else is wrong, this is shown once.
        let (pinned, logged) = (tx.identity(address).await?.map(|pinned| pinned.key), value.identity());
        let followed = pinned.is_some() && pinned == former && verified.change != KeyChange::Reset;
        if followed && pinned != Some(logged) {
            tracing::info!(user = %address, "the identity key was rotated, and the former one signed that");
            tx.replace_identity(address, &logged, now).await?;
            self.inner.proofs.borrow_mut().clear();
        }
        if value.status() != Status::Active {
            self.nothing_counts(tx, address).await?;
            return Ok(Err(ClientError::KeysRevoked { address: address.clone() }));
        }
        if logged != keys.identity {
            let (address, shown) = (address.clone(), keys.identity);
            return Ok(Err(ClientError::NotTheLoggedKey { address, logged, shown }));
        }
        Ok(Ok(Some(value)))
    }

    /// No device of this account counts any more, also where it is a member already.
    async fn nothing_counts(&self, tx: &mut Tx<'_>, address: &Address) -> Result<(), ClientError> {
        self.inner.proofs.borrow_mut().clear();
        Ok(tx.forget_certificates(address).await?)
    }

    /// How an account stands to its domain's log, as far as it was seen.
    pub(crate) async fn in_log(&self, tx: &mut Tx<'_>, address: &Address) -> Result<InLog, ClientError> {
        if tx.known_label(address).await?.is_some() {
            return Ok(InLog::Logged);
        }
        let pinned = tx.pinned_log(&KeyName::of_log(address.domain())).await?;
        Ok(if pinned.is_some() { InLog::Unlogged } else { InLog::NoLog })
    }

    /// What is known of an account in its domain's log; `None` if it was not seen there.
    pub(crate) async fn log_report(
        &self,
        tx: &mut Tx<'_>,
        address: &Address,
    ) -> Result<Option<LogReport>, ClientError> {
        let Some(label) = tx.known_label(address).await? else { return Ok(None) };
        let origin = KeyName::of_log(address.domain());
        let row = tx.pinned_logs().await?.into_iter().find(|row| row.log.origin == origin);
        Ok(row.map(|row| LogReport {
            version: label.version,
            level: row.log.level.max(Level::Logged).word(),
            at: row.trusted_at,
            status: match label.status {
                Status::Active => "active",
                Status::Revoked => "revoked",
                Status::Closed => "closed",
            },
        }))
    }
}

#[cfg(test)]
mod tests;
