//! One's own keys in the log: at each connect the account looks what its domain has logged in its name, and gives what is missing.
//!
//! Whatever was logged must be signed by the account's identity key. What isn't is an alarm, and nothing is sent until it is over.

use qpq_core::{DeviceCertificate, ErrorCode, IdentityKey, Millis, Timestamp};
use qpq_transparency_tree::{
    KeyName,
    value::{SignedValue, Status},
};

use super::{
    chain::{Place, raise, shown},
    look::Look,
    read::{Keep, Reading, Start},
    sign::{first_version, is_open, with_devices},
};
use crate::{
    Client, ClientError,
    identity::Identity,
    store::{OwnCheck, Tx},
};

/// How often the account's whole state is looked at, if nothing seems to have changed: twice in the time after which nothing is
/// sent without a look.
const REGULARLY: Millis = Millis::from_secs(12 * 3_600);
/// How long a connection that lasts waits before it tries again.
const AGAIN: Millis = Millis::from_secs(600);

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// What seems to have changed.
    Usual,
    /// Everything: something was changed just now.
    Full,
}

impl Client {
    /// Looks at what the log has of the account, once in a connection: what came since, whether it is ours, and whether the log
    /// shows others the same. Then signs what is missing there. A domain without a log is left alone.
    pub(crate) async fn keep_own_keys(&self, care: Care) -> Result<(), ClientError> {
        let outcome = Box::pin(self.check_own_keys(care)).await;
        if let Err(error) = &outcome
            && error.is_transient()
        {
            self.note_unlooked(error).await?;
        }
        outcome
    }

    async fn check_own_keys(&self, care: Care) -> Result<(), ClientError> {
        let ours = self.own_identity()?;
        let Some(mut reading) = self.read_own(ours, Start::Known, Keep::EachPage).await? else {
            return Ok(());
        };
        self.confront(&mut reading).await?;
        let now = self.now();
        let looks =
            care == Care::Full || reading.news || reading.last.as_ref().is_none_or(|last| is_due(last, now));
        let looked = if looks { self.look_at_own(&mut reading).await? } else { None };
        let mut tx = self.inner.store.begin().await?;
        let (checked_at, looked_at) = match (&looked, &reading.last) {
            (Some(Look::NotNow(why)), _) => {
                tracing::info!(%why, "whether the log shows others the own keys is looked at later");
                let looked_at = reading.looked_at(now);
                if let Some(finding) = self.not_looked(&mut tx, looked_at, why).await? {
                    raise(&mut reading.alarm, finding, now);
                }
                (Timestamp::from_millis(0), looked_at)
            }
            (None, Some(last)) => (last.checked_at, last.looked_at),
            (Some(Look::Done), _) | (None, None) => (now, now),
        };
        reading.write(&mut tx, checked_at, looked_at).await?;
        tx.commit().await?;
        if reading.alarm.is_some() {
            return Ok(());
        }
        let signed = self.sign_what_is_missing(reading, looks).await;
        if !matches!(signed, Ok(true)) {
            self.owe_a_look().await?;
        }
        signed.map(drop)
    }

    /// What is missing in the log is tried again soon, not after half a day.
    async fn owe_a_look(&self) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        if let Some(check) = tx.own_check().await? {
            let checked_at = Timestamp::from_millis(0);
            tx.save_own_check(&OwnCheck { checked_at, ..check }).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Compares what was read with where the next version is said to stand, and with how far the log was seen before.
    pub(super) async fn confront(&self, reading: &mut Reading) -> Result<(), ClientError> {
        let me = self.address()?;
        let label = self.inner.store.begin().await?.known_label(&me).await?;
        let reaches = label.map_or(Ok(()), |label| reading.chain.reaches(&label));
        for wrong in [reaches.err(), reading.place().err()].into_iter().flatten() {
            raise(&mut reading.alarm, wrong, self.now());
        }
        Ok(())
    }

    /// An account that is not logged yet can't be looked at.
    async fn look_at_own(&self, reading: &mut Reading) -> Result<Option<Look>, ClientError> {
        if reading.chain.newest().is_none() {
            return Ok(Some(Look::Done));
        }
        self.inner.looked_at.borrow_mut().insert(self.address()?, self.now());
        self.look(reading).await.map(Some)
    }

    /// Whoever refuses the owner's look for ever is suspected after a day.
    async fn note_unlooked(&self, why: &ClientError) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        // Who never looked yet has a day from now.
        let (owed, now) = (Timestamp::from_millis(0), self.now());
        let never = OwnCheck { checked_at: owed, looked_at: now, alarm: None };
        let mut check = tx.own_check().await?.unwrap_or(never);
        if let Some(finding) = self.not_looked(&mut tx, check.looked_at, why).await? {
            raise(&mut check.alarm, finding, now);
        }
        tx.save_own_check(&check).await?;
        Ok(tx.commit().await?)
    }

    /// A look at the own keys must not stop who only wants to read.
    pub(crate) async fn look_after_own_keys(&self, care: Care) -> Result<(), ClientError> {
        match self.keep_own_keys(care).await {
            Err(error @ ClientError::Store(_)) => Err(error),
            Err(error) if error.is_transient() => {
                tracing::info!(%error, "the account's own keys are looked at later");
                Ok(())
            }
            // What the homeserver refuses, it may not refuse a moment later.
            Err(error @ ClientError::Refused(_)) => self.note_unlooked(&error).await,
            Err(error) => {
                let now = self.now();
                let mut tx = self.inner.store.begin().await?;
                let mut check = tx.own_check().await?.unwrap_or(OwnCheck {
                    checked_at: now,
                    looked_at: now,
                    alarm: None,
                });
                let what = format!("this account's keys in the log can't be looked at: {error}");
                raise(&mut check.alarm, shown(what), now);
                tx.save_own_check(&check).await?;
                Ok(tx.commit().await?)
            }
            Ok(()) => Ok(()),
        }
    }

    /// The same in a connection that lasts.
    pub(crate) async fn look_again(&self) -> Result<(), ClientError> {
        let (me, now) = (self.address()?, self.now());
        let mut tx = self.inner.store.begin().await?;
        let due = tx.own_check().await?.is_some_and(|last| is_due(&last, now));
        let pinned = tx.pinned_log(&KeyName::of_log(me.domain())).await?.is_some();
        drop(tx);
        let tried = self.inner.looked_at.borrow().get(&me).is_some_and(|at| now.since(*at) < AGAIN);
        if !due || !pinned || tried {
            return Ok(());
        }
        self.look_after_own_keys(Care::Usual).await
    }

    pub(super) fn own_identity(&self) -> Result<IdentityKey, ClientError> {
        Ok(Identity::from_bytes(*self.me()?.account.identity.expose()).public())
    }

    /// Signs the first version of an account from before the log, adds this device, takes away devices that were revoked. Whether
    /// nothing is missing then.
    async fn sign_what_is_missing(&self, mut reading: Reading, looks: bool) -> Result<bool, ClientError> {
        for again in [true, true, true, false] {
            let Ok(place) = reading.place() else { return Ok(false) };
            let Some(binding) = self.missing(&place, looks).await? else { return Ok(true) };
            match self.session()?.bind(&binding).await {
                Err(ClientError::Refused(refusal)) if refusal.is(ErrorCode::LogRefused) => {
                    // Another device of this account was first.
                    tracing::info!(%refusal, again, "the keys' next version was not logged");
                    if !again {
                        return Ok(false);
                    }
                    self.read_on(&mut reading).await?;
                    if reading.alarm.is_some() {
                        return Ok(false);
                    }
                }
                other => return other.map(|_| true),
            }
        }
        Ok(false)
    }

    async fn missing(&self, place: &Place, looks: bool) -> Result<Option<SignedValue>, ClientError> {
        let me = self.me()?;
        let own = &me.account.certificate;
        let Some(before) = &place.before else {
            let first = place.version == 0;
            let devices = if first { self.own_devices().await? } else { return Ok(None) };
            return first_version(&me.account, place, &devices).map(Some);
        };
        let is_there = before.device_key(&own.device.device) == Some(own.signature_key);
        if !is_open(before) || (is_there && !looks) {
            return Ok(None);
        }
        with_devices(&me.account, place, &self.own_devices().await?)
    }

    /// The account's active devices, as far as its identity key signed them.
    pub(super) async fn own_devices(&self) -> Result<Vec<DeviceCertificate>, ClientError> {
        let (me, identity) = (self.me()?, self.own_identity()?);
        let devices = self.session()?.device_list().await?.into_iter();
        let active = devices.filter(|device| device.revoked_at.is_none()).map(|device| device.certificate);
        let ours = active.filter(|certificate| {
            certificate.device.user == *me.address() && certificate.verify(&identity).is_ok()
        });
        Ok(ours.collect())
    }

    /// Stops whoever wants to send while something is logged in the account's name that is not its own, or its key doesn't count.
    pub(crate) async fn own_keys_are_fine(&self, tx: &mut Tx<'_>) -> Result<(), ClientError> {
        if let Some(alarm) = tx.own_check().await?.and_then(|check| check.alarm) {
            return Err(ClientError::OwnKeys { what: alarm.what });
        }
        let counts = tx.newest_own_version().await?.and_then(|own| own.counts);
        if counts.is_some_and(|signed| signed.value.status() == Status::Revoked) {
            return Err(ClientError::OwnKeyRevoked);
        }
        Ok(())
    }

    /// The same for whoever holds no transaction.
    pub(crate) async fn may_send(&self) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        self.own_keys_are_fine(&mut tx).await
    }

    /// Takes what is logged of this account as its own: it is read anew from the first version, with what it says now. What was
    /// wrong before is forgotten together with that, not sooner.
    pub(crate) async fn accept_own_keys(&self) -> Result<(), ClientError> {
        let ours = self.own_identity()?;
        let Some(mut reading) = self.read_own(ours, Start::First, Keep::AtEnd).await? else { return Ok(()) };
        self.confront(&mut reading).await?;
        if let Some(Look::NotNow(error)) = self.look_at_own(&mut reading).await? {
            return Err(error);
        }
        let mut tx = self.inner.store.begin().await?;
        reading.write(&mut tx, self.now(), self.now()).await?;
        tx.commit().await?;
        if reading.alarm.is_none() {
            self.sign_what_is_missing(reading, true).await.map(drop)
        } else {
            Ok(())
        }
    }

    /// The versions of the account's own keys that this device has verified, and what is wrong with them, if anything is.
    pub async fn keys_history(&self) -> Result<OwnHistory, ClientError> {
        self.connect().await?;
        let mut tx = self.inner.store.begin().await?;
        let versions = tx.own_versions().await?;
        let alarm = tx.own_check().await?.and_then(|check| check.alarm).map(|alarm| alarm.what);
        let versions = versions.into_iter().map(|own| HistoryRow {
            version: own.entry.version,
            reason: own.reason.word(),
            time: own.entry.time,
            devices: own.devices,
        });
        Ok(OwnHistory { versions: versions.collect(), alarm })
    }
}

/// A look that is owed, or long ago; a clock that was ahead must not put it off.
fn is_due(last: &OwnCheck, now: Timestamp) -> bool {
    last.checked_at > now || now.since(last.checked_at) >= REGULARLY
}

/// The account's own keys in the log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OwnHistory {
    /// The versions, ascending.
    pub versions: Vec<HistoryRow>,
    /// What is wrong: nothing is sent meanwhile.
    pub alarm: Option<String>,
}

/// A version of the account's own keys.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HistoryRow {
    /// Its number.
    pub version: u32,
    /// Why there is one.
    pub reason: &'static str,
    /// When it was logged.
    pub time: Timestamp,
    /// How many devices it has.
    pub devices: u32,
}
