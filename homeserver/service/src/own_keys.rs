//! One's own keys in the log: read back, and given their next version. The server judges what contacts will judge again; only the
//! account's own devices can sign.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{AccountId, DeviceCertificate, ErrorCode, Millis, Timestamp};
use qpq_delivery::rates::Rate;
use qpq_storage::{Rekey, Stored, WriteTx};
use qpq_transparency::accounts;
use qpq_transparency_tree::value::{Reason, SignedValue};
use qpq_transparency_wire::{LogPlace, LoggedVersion};

use crate::{
    Answered, Effects, Ground, Refusal, SessionHandle, WriteJob,
    rates::Throttle,
    transparency::logged::{self, not_logged, refused},
};

/// Versions that one account may log by itself: entries stay for ever, so nobody makes them at will.
const CHANGES: Rate = Rate { burst: 20, refill: Millis::from_secs(600) };
/// How many versions are told at once.
const PAGE: usize = 100;
/// The longest sealed identity key that is kept, as at registration.
const SEALED_BYTES: usize = 1_024;

/// The use cases of one's own keys.
#[derive(Clone, Debug)]
pub struct OwnKeys {
    ground: Arc<Ground>,
    changes: Arc<Throttle<AccountId>>,
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
    /// On this ground.
    pub fn new(ground: Arc<Ground>) -> Self {
        Self { ground, changes: Arc::new(Throttle::new(CHANGES)) }
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
        self.change(session, Change::Bind(binding)).await
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
        self.change(session, Change::Rekey(new)).await
    }

    /// Announces a reset; says from when on it may be made.
    pub async fn announce_reset(&self, session: &SessionHandle) -> Answered<(LogPlace, Timestamp)> {
        self.check(session)?;
        let place = self.change(session, Change::Announce).await?;
        let mut tx = self.ground.read().await?;
        let stands = logged::place(&self.ground, tx.as_mut(), &session.device().user).await?;
        let from = match stands.and_then(|stands| stands.newest) {
            Some(newest) => logged::reset_from(&self.ground, tx.as_mut(), &newest).await?,
            None => None,
        };
        Ok((place, from.unwrap_or_else(|| self.ground.now())))
    }

    fn check(&self, session: &SessionHandle) -> Answered<()> {
        session.check(self.ground.now())?;
        self.ground.log_keys().ok_or_else(no_log)?;
        self.changes.admit(&session.account(), 1, self.ground.now(), "changes of the account's keys")
    }

    async fn change(&self, session: &SessionHandle, change: Change) -> Answered<LogPlace> {
        let job = ChangeKeys {
            ground: Arc::clone(&self.ground),
            session: session.clone(),
            account: session.account(),
            change,
            now: self.ground.now(),
        };
        self.ground.write(job).await?
    }
}

impl std::fmt::Debug for Rekeying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rekeying").field("binding", &self.binding.value).finish_non_exhaustive()
    }
}

fn no_log() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "this homeserver keeps no key-transparency log")
}

enum Change {
    Bind(SignedValue),
    Rekey(Rekeying),
    Announce,
}

struct ChangeKeys {
    ground: Arc<Ground>,
    session: SessionHandle,
    account: AccountId,
    change: Change,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for ChangeKeys {
    type Output = Answered<LogPlace>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Answered<LogPlace>> {
        let address = &self.session.device().user;
        let Some(account) = tx.account(&self.account).await? else {
            return Ok(Err(Refusal::new(ErrorCode::Revoked, "the account is gone")));
        };
        let devices = tx.devices(&account.id).await?;
        let version = logged::place(&self.ground, tx, address).await?.map_or(0, |place| place.version);
        let signed = match &self.change {
            Change::Announce => {
                if let Err(error) = logged::announce(&self.ground, tx, address, self.now).await? {
                    return Ok(Err(not_logged(&error)));
                }
                None
            }
            Change::Bind(signed) => {
                if signed.value.identity() != account.identity_key {
                    return Ok(Err(refused("it names another identity key than the account's")));
                }
                Some(signed)
            }
            Change::Rekey(new) => Some(&new.binding),
        };
        if let Some(signed) = signed {
            if let Err(refusal) = logged::speaks_of(signed, account.id, &devices, version) {
                return Ok(Err(refusal));
            }
            if let Err(error) = logged::may_bind(&self.ground, tx, address, signed, self.now).await? {
                return Ok(Err(not_logged(&error)));
            }
            if let Change::Rekey(new) = &self.change {
                let rekey = Rekey {
                    identity_key: signed.value.identity(),
                    sealed_identity: new.sealed_identity.clone(),
                    certificates: new.certificates.clone(),
                };
                tx.account_rekey(&account.id, &rekey).await?;
            }
            logged::bind(&self.ground, tx, address, signed, self.now).await?;
        }
        let stands = logged::place(&self.ground, tx, address).await?;
        let place = stands.and_then(|place| logged::told_place(&self.ground, &place, account.id));
        Ok(place.ok_or_else(no_log))
    }

    fn effects(&mut self) -> Effects {
        Effects::default()
    }
}

#[cfg(test)]
mod tests;
