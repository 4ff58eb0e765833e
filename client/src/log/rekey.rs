//! Changes of the account's own keys that a person asks for: another identity key, rotated by who has the present one, or reset a
//! day after that was announced; no to a reset; the key taken back.

use std::rc::Rc;

use qpq_core::{DeviceCertificate, ErrorCode, Secret, Timestamp};
use qpq_transparency_tree::value::{AccountValue, LoggedDevice, Reason, SignedValue, Status};

use super::{
    chain::Place,
    own::Care,
    read::{Keep, Start},
    sign::{named, signed},
};
use crate::{
    Client, ClientError,
    client::{Me, stored_trust},
    identity::Identity,
    store::{Account, Alarm, AlarmKind, Tx},
};

/// How a reset stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ResetState {
    /// It is announced in the log; the same command makes it from then on.
    Announced {
        /// When.
        from: Timestamp,
    },
    /// The account has a new identity key.
    Made {
        /// The version that says so.
        version: u32,
    },
}

/// What a version says that keeps the identity key.
type Next = (Status, Reason, Vec<LoggedDevice>);

/// Under which alarms a version is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Despite {
    /// None.
    Nothing,
    /// The announcement of a reset, which is what it answers.
    Announcement,
    /// Any: it takes away, or begins anew.
    Anything,
}

impl Despite {
    fn admits(self, alarm: &Alarm) -> bool {
        match self {
            Self::Nothing => false,
            Self::Announcement => alarm.kind == AlarmKind::ResetPending,
            Self::Anything => true,
        }
    }
}

impl Client {
    /// Gives the account another identity key, which the present one signs. Its other devices log in again.
    pub async fn keys_rotate(&self, password: &Secret<String>) -> Result<u32, ClientError> {
        self.connect().await?;
        self.rekey(Reason::Rotation, password).await
    }

    /// Announces that the account gets another identity key without the present one's signature; a day later the same call makes
    /// it. Contacts are asked to compare the keys again.
    pub async fn keys_reset(&self, password: &Secret<String>) -> Result<ResetState, ClientError> {
        self.connect().await?;
        let before = self.own_place(Despite::Anything).await?.before;
        if before.is_none_or(|before| before.reason() != Reason::ResetPending) {
            return Ok(ResetState::Announced { from: self.session()?.announce_reset().await? });
        }
        let version = self.rekey(Reason::Reset, password).await?;
        Ok(ResetState::Made { version })
    }

    /// Says no to a reset that was announced.
    pub async fn keys_cancel_reset(&self) -> Result<u32, ClientError> {
        self.connect().await?;
        self.log_next(Despite::Announcement, |before| {
            let reason = Reason::ResetCancelled;
            if before.reason() != Reason::ResetPending {
                return Err(ClientError::NoReset);
            }
            Ok((before.status(), reason, before.devices().to_vec()))
        })
        .await
    }

    /// Takes the account's identity key back: no device of the account counts any more until a reset brings another key.
    pub async fn keys_revoke(&self) -> Result<u32, ClientError> {
        self.connect().await?;
        self.log_next(Despite::Anything, |before| match before.status() {
            Status::Active => Ok((Status::Revoked, Reason::Revocation, Vec::new())),
            Status::Revoked | Status::Closed => Err(ClientError::OwnKeyRevoked),
        })
        .await
    }

    /// Where the account's next version stands, read on and verified now.
    async fn own_place(&self, despite: Despite) -> Result<Place, ClientError> {
        let ours = self.own_identity()?;
        let reading = self.read_own(ours, Start::Known, Keep::EachPage).await?;
        let mut reading = reading.ok_or(ClientError::NoOwnLog)?;
        self.confront(&mut reading).await?;
        let place = reading.place().map_err(|wrong| ClientError::OwnKeys { what: wrong.what })?;
        match reading.alarm {
            Some(alarm) if !despite.admits(&alarm) => Err(ClientError::OwnKeys { what: alarm.what }),
            Some(_) | None => Ok(place),
        }
    }

    /// Signs the next version with the present key, and logs it; once more if another device was first.
    async fn log_next(
        &self,
        despite: Despite,
        next: impl Fn(&AccountValue) -> Result<Next, ClientError>,
    ) -> Result<u32, ClientError> {
        let identity = Identity::from_bytes(*self.me()?.account.identity.expose()).signing_key();
        for again in [true, false] {
            let place = self.own_place(despite).await?;
            let before = place.before.as_ref().ok_or(ClientError::OwnNotLogged)?;
            let (status, reason, devices) = next(before)?;
            let value = AccountValue::new(before.account(), before.identity(), status, reason, devices);
            let signed = signed(&place, value, Some(&identity), &identity)?;
            match self.session()?.bind(&signed).await {
                Err(ClientError::Refused(refusal)) if again && refusal.is(ErrorCode::LogRefused) => {}
                other => {
                    other?;
                    self.keep_own_keys(Care::Full).await?;
                    return Ok(place.version);
                }
            }
        }
        Err(ClientError::OwnNotLogged)
    }

    async fn rekey(&self, reason: Reason, password: &Secret<String>) -> Result<u32, ClientError> {
        let me = self.me()?;
        // The new key is sealed like the first one: only the password gives what seals it.
        let link = Rc::new(self.dial(me.address(), &me.server).await?);
        let (_proven, export_key) = self.prove_password(&link, me.address(), password).await?;
        let mut entropy = self.entropy()?;
        let new = Identity::generate(&mut entropy);
        let sealed = new.seal(&export_key, me.address(), &mut entropy)?;
        for again in [true, false] {
            let (binding, certificates, version) = self.renewed(&new, reason).await?;
            match self.session()?.rekey(&binding, &sealed, &certificates).await {
                Err(ClientError::Refused(refusal)) if again && refusal.is(ErrorCode::LogRefused) => {}
                other => {
                    other?;
                    self.keep_renewed(&new, &certificates).await?;
                    return Ok(version);
                }
            }
        }
        Err(ClientError::OwnNotLogged)
    }

    /// The version with another identity key, and the certificates by that key of the devices that stay.
    async fn renewed(
        &self,
        new: &Identity,
        reason: Reason,
    ) -> Result<(SignedValue, Vec<DeviceCertificate>, u32), ClientError> {
        let me = self.me()?;
        let rotates = reason == Reason::Rotation;
        let place = self.own_place(if rotates { Despite::Nothing } else { Despite::Anything }).await?;
        let before = place.before.as_ref().ok_or(ClientError::OwnNotLogged)?;
        if rotates && before.status() == Status::Revoked {
            return Err(ClientError::OwnKeyRevoked);
        }
        let active = self.own_devices().await?;
        if active.iter().all(|known| known.device != me.account.certificate.device) {
            return Err(ClientError::protocol("it doesn't list this device among the account's"));
        }
        // The homeserver's list brings no device in: those that the log has, and this one. Others log in again anyway.
        let own = me.account.certificate.device.device;
        let kept: Vec<&DeviceCertificate> = active
            .iter()
            .filter(|known| {
                let (device, key) = (known.device.device, known.signature_key);
                let logged = before.device_key(&device) == Some(key) && before.status() == Status::Active;
                device == own || logged
            })
            .collect();
        let devices = kept.iter().map(|known| named(known, &place)).collect();
        let certificates = kept.iter().map(|known| {
            let (device, key) = (known.device.clone(), known.signature_key);
            DeviceCertificate::issue(&new.signing_key(), device, key, self.now())
        });
        let certificates = certificates.collect();
        let old = Identity::from_bytes(*me.account.identity.expose()).signing_key();
        let value = AccountValue::new(before.account(), new.public(), Status::Active, reason, devices);
        let signed = signed(&place, value, rotates.then_some(&old), &new.signing_key())?;
        Ok((signed, certificates, place.version))
    }

    async fn keep_renewed(
        &self,
        new: &Identity,
        certificates: &[DeviceCertificate],
    ) -> Result<(), ClientError> {
        let me = self.me()?;
        let own = certificates.iter().find(|known| known.device == me.account.certificate.device);
        let own =
            own.ok_or_else(|| ClientError::protocol("it doesn't list this device among the account's"))?;
        // After a crash before this the password brings the new key back: it is sealed at the homeserver.
        let account = Account {
            identity: Secret::new(*new.expose()),
            certificate: own.clone(),
            trust: stored_trust(&me.server.trust),
            ..me.account.clone()
        };
        let mut tx = self.inner.store.begin().await?;
        self.write_new_identity(&mut tx, &account).await?;
        tx.save_certificates(certificates).await?;
        tx.commit().await?;
        self.use_new_identity(account)?;
        self.keep_own_keys(Care::Full).await
    }

    /// Writes another identity key of one's own account, which counts from now on.
    pub(crate) async fn write_new_identity(
        &self,
        tx: &mut Tx<'_>,
        account: &Account,
    ) -> Result<(), ClientError> {
        let identity = Identity::from_bytes(*account.identity.expose()).public();
        tx.replace_identity(&account.address, &identity, self.now()).await?;
        tx.save_account(account).await?;
        Ok(tx.save_certificates(std::slice::from_ref(&account.certificate)).await?)
    }

    /// Uses what [`Client::write_new_identity`] has written.
    pub(crate) fn use_new_identity(&self, account: Account) -> Result<(), ClientError> {
        self.inner.proofs.borrow_mut().clear();
        self.set_me(Me::of(account)?);
        Ok(())
    }
}
