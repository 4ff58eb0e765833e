//! One's own keys in the log: read back, and given their next version. The server judges what contacts will judge again; only the
//! account's own devices can sign.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{AccountId, DeviceCertificate, ErrorCode, Millis, Timestamp};
use qpq_delivery::rates::Rate;
use qpq_storage::{Device, Rekey, Stored, WriteTx};
use qpq_transparency::accounts::{self, Version};
use qpq_transparency_tree::value::{Reason, SignedValue};
use qpq_transparency_wire::{LogPlace, LoggedVersion};

use crate::{
    Answered, Effects, Ground, Refusal, SessionHandle, WriteJob,
    rates::Throttle,
    transparency::{
        logged::{self, not_logged, refused},
        no_log,
    },
};

/// Versions that one account may log: entries stay for ever, so nobody makes them at will. An owner's no to a reset, and the
/// revocation of a key, are never too many.
const CHANGES: Rate = Rate { burst: 20, refill: Millis::from_secs(600) };

/// How many versions are told at once.
const PAGE: usize = 100;
/// The longest sealed identity key that is kept, as at registration.
const SEALED_BYTES: usize = 1_024;

/// How many versions accounts have logged lately.
#[derive(Debug)]
pub(crate) struct Changes(Throttle<AccountId>);

impl Changes {
    pub(crate) const fn new() -> Self {
        Self(Throttle::new(CHANGES))
    }

    /// Counts a version that is about to be logged, which was judged before: what is refused costs nobody anything.
    pub(crate) fn admit(&self, account: AccountId, reason: Reason, now: Timestamp) -> Answered<()> {
        match reason {
            Reason::ResetCancelled | Reason::Revocation | Reason::Closure => Ok(()),
            Reason::Registration
            | Reason::Devices
            | Reason::Rotation
            | Reason::ResetPending
            | Reason::Reset => self.0.admit(&account, 1, now, "changes of the account's keys"),
        }
    }
}

/// The use cases of one's own keys.
#[derive(Clone, Debug)]
pub struct OwnKeys {
    ground: Arc<Ground>,
    changes: Arc<Changes>,
}

/// What the log has of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnHistory {
    /// Where the next version will stand.
    pub place: LogPlace,
    /// The versions, ascending.
    pub versions: Vec<LoggedVersion>,
    /// Whether there are more.
    pub more: bool,
}

/// Another identity key for an account.
#[derive(Clone, PartialEq, Eq)]
pub struct Rekeying {
    /// The version that says so.
    pub binding: SignedValue,
    /// The private key, encrypted under OPAQUE's export key.
    pub sealed_identity: Vec<u8>,
    /// Of each device that the version names, by the new key.
    pub certificates: Vec<DeviceCertificate>,
}

impl OwnKeys {
    /// On this ground; logins count their versions with these.
    pub(crate) const fn new(ground: Arc<Ground>, changes: Arc<Changes>) -> Self {
        Self { ground, changes }
    }

    /// The versions of the session's account from a number on.
    pub async fn history(&self, session: &SessionHandle, after: u64) -> Answered<OwnHistory> {
        session.check(self.ground.now())?;
        let mut tx = self.ground.read().await?;
        let address = &session.device().user;
        let place = logged::place(&self.ground, tx.as_mut(), address).await?.ok_or_else(no_log)?;
        let versions = match u32::try_from(after) {
            Ok(from) => accounts::versions(tx.as_mut(), place.label_id, from, PAGE).await?,
            Err(_) => Vec::new(),
        };
        let more = versions.last().is_some_and(|last| last.entry.version.saturating_add(1) < place.version);
        let versions = versions.into_iter().map(|version| LoggedVersion {
            index: version.index,
            entry: version.entry,
            contents: version.contents.map(|(opening, signed)| (opening, signed.to_bytes())),
        });
        let versions = versions.collect();
        let place = logged::told_place(&self.ground, &place, session.account()).ok_or_else(no_log)?;
        Ok(OwnHistory { place, versions, more })
    }

    /// Logs the next version, which keeps the identity key or takes it back.
    pub async fn bind(&self, session: &SessionHandle, binding: SignedValue) -> Answered<LogPlace> {
        self.check(session)?;
        match binding.value.reason() {
            Reason::Registration | Reason::Devices | Reason::ResetCancelled | Reason::Revocation => {}
            Reason::Rotation | Reason::Reset => {
                return Err(refused("another identity key comes with its devices' certificates (`rekey`)"));
            }
            Reason::ResetPending => return Err(refused("a reset is announced with `announceReset`")),
            Reason::Closure => return Err(refused("an account is closed by the domain's admin")),
        }
        self.change(session, Change::Bind(binding)).await.map(|done| done.place)
    }

    /// Gives the account another identity key.
    pub async fn rekey(&self, session: &SessionHandle, new: Rekeying) -> Answered<LogPlace> {
        self.check(session)?;
        let value = &new.binding.value;
        if !matches!(value.reason(), Reason::Rotation | Reason::Reset) {
            return Err(refused("this is no rotation and no reset"));
        }
        if new.sealed_identity.len() > SEALED_BYTES {
            return Err(Refusal::malformed(format!("`sealedIdentity` has more than {SEALED_BYTES} bytes")));
        }
        let user = &session.device().user;
        let certified = |device: &qpq_transparency_tree::value::LoggedDevice| {
            new.certificates.iter().any(|certificate| {
                certificate.device.device == device.device
                    && certificate.device.user == *user
                    && certificate.signature_key == device.signature_key
                    && certificate.verify(&value.identity()).is_ok()
            })
        };
        if new.certificates.len() != value.devices().len() || !value.devices().iter().all(certified) {
            return Err(Refusal::new(
                ErrorCode::DeviceNotSigned,
                "the new identity key must sign one certificate for each device that it keeps",
            ));
        }
        self.change(session, Change::Rekey(new)).await.map(|done| done.place)
    }

    /// Announces a reset; says from when on it may be made. One that is announced already is not announced anew.
    pub async fn announce_reset(&self, session: &SessionHandle) -> Answered<(LogPlace, Timestamp)> {
        self.check(session)?;
        let done = self.change(session, Change::Announce).await?;
        let from = done.reset_from.ok_or_else(|| refused("nothing was announced"))?;
        Ok((done.place, from))
    }

    fn check(&self, session: &SessionHandle) -> Answered<()> {
        session.check(self.ground.now())?;
        self.ground.log_keys().map(drop).ok_or_else(no_log)
    }

    async fn change(&self, session: &SessionHandle, change: Change) -> Answered<Changed> {
        self.ground.signing().pass().await?;
        let job = ChangeKeys {
            ground: Arc::clone(&self.ground),
            changes: Arc::clone(&self.changes),
            session: session.clone(),
            account: session.account(),
            change,
            now: self.ground.now(),
            admitted: false,
        };
        self.ground.write(job).await?
    }
}

impl std::fmt::Debug for Rekeying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rekeying").field("binding", &self.binding.value).finish_non_exhaustive()
    }
}

enum Change {
    Bind(SignedValue),
    Rekey(Rekeying),
    Announce,
}

/// What became of the account's keys.
struct Changed {
    place: LogPlace,
    /// When a reset may be made, if one is announced.
    reset_from: Option<Timestamp>,
}

struct ChangeKeys {
    ground: Arc<Ground>,
    changes: Arc<Changes>,
    session: SessionHandle,
    account: AccountId,
    change: Change,
    now: Timestamp,
    /// Counted once, however often the transaction is tried.
    admitted: bool,
}

impl ChangeKeys {
    fn admit(&mut self, reason: Reason) -> Answered<()> {
        if !self.admitted {
            self.changes.admit(self.account, reason, self.now)?;
            self.admitted = true;
        }
        Ok(())
    }

    /// Announces a reset, unless one is announced already.
    async fn announce(&mut self, tx: &mut dyn WriteTx, before: Option<&Version>) -> Stored<Answered<()>> {
        let address = &self.session.device().user;
        let announced = match before {
            Some(newest) => logged::reset_from(&self.ground, tx, newest).await?,
            None => return Ok(Err(refused("the account is not in the log, so there is nothing to reset"))),
        };
        if announced.is_some() {
            return Ok(Ok(()));
        }
        let address = address.clone();
        if let Err(refusal) = self.admit(Reason::ResetPending) {
            return Ok(Err(refusal));
        }
        let announced = logged::announce(&self.ground, tx, &address, self.now).await?;
        Ok(announced.map_err(|error| not_logged(&error)))
    }

    /// Logs a version that its owner signed.
    async fn log(
        &mut self,
        tx: &mut dyn WriteTx,
        signed: &SignedValue,
        before: &BeforeVersion,
    ) -> Stored<Answered<()>> {
        let address = self.session.device().user.clone();
        if let Err(refusal) = logged::speaks_of(signed, self.account, &before.devices, before.version)
            .and_then(|()| logged::changes_something(signed, before.newest.as_ref()))
        {
            return Ok(Err(refusal));
        }
        if let Err(error) = logged::may_bind(&self.ground, tx, &address, signed, self.now).await? {
            return Ok(Err(not_logged(&error)));
        }
        if let Err(refusal) = self.admit(signed.value.reason()) {
            return Ok(Err(refusal));
        }
        if let Change::Rekey(new) = &self.change {
            let rekey = Rekey {
                identity_key: signed.value.identity(),
                sealed_identity: new.sealed_identity.clone(),
                certificates: new.certificates.clone(),
            };
            tx.account_rekey(&self.account, &rekey).await?;
        }
        logged::bind(&self.ground, tx, &address, signed, self.now).await.map(Ok)
    }
}

/// How an account stands before its next version.
struct BeforeVersion {
    devices: Vec<Device>,
    version: u32,
    newest: Option<Version>,
}

#[async_trait]
impl WriteJob for ChangeKeys {
    type Output = Answered<Changed>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Answered<Changed>> {
        let address = self.session.device().user.clone();
        let Some(account) = tx.account(&self.account).await? else {
            return Ok(Err(Refusal::new(ErrorCode::Revoked, "the account is gone")));
        };
        let devices = tx.devices(&account.id).await?;
        let Some(place) = logged::place(&self.ground, tx, &address).await? else { return Ok(Err(no_log())) };
        let before = BeforeVersion { devices, version: place.version, newest: place.newest };
        let signed = match &self.change {
            Change::Announce => None,
            Change::Bind(signed) if signed.value.identity() != account.identity_key => {
                return Ok(Err(refused("it names another identity key than the account's")));
            }
            Change::Bind(signed) => Some(signed.clone()),
            Change::Rekey(new) => Some(new.binding.clone()),
        };
        let done = match signed {
            None => self.announce(tx, before.newest.as_ref()).await?,
            Some(signed) => self.log(tx, &signed, &before).await?,
        };
        if let Err(refusal) = done {
            return Ok(Err(refusal));
        }
        let Some(place) = logged::place(&self.ground, tx, &address).await? else { return Ok(Err(no_log())) };
        let reset_from = match &place.newest {
            Some(newest) => logged::reset_from(&self.ground, tx, newest).await?,
            None => None,
        };
        let told = logged::told_place(&self.ground, &place, account.id);
        Ok(told.map(|place| Changed { place, reset_from }).ok_or_else(no_log))
    }

    fn effects(&mut self) -> Effects {
        Effects::default()
    }
}

#[cfg(test)]
mod tests;
