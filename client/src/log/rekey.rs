//! Another identity key for the account: rotated by who has the present one, or reset a day after that was announced.

use std::rc::Rc;

use qpq_core::{DeviceCertificate, Secret, Timestamp};
use qpq_transparency_tree::value::{AccountValue, LoggedDevice, Reason, Status};
use qpq_transparency_wire::LogPlace;

use super::sign::signed;
use crate::{Client, ClientError, client::stored_trust, identity::Identity, store::Account};

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

impl Client {
    /// Gives the account another identity key, which the present one signs. Its other devices log in again.
    pub async fn keys_rotate(&self, password: &Secret<String>) -> Result<u32, ClientError> {
        self.connect().await?;
        let place = self.session()?.history(0).await?.place;
        self.rekey(&place, Reason::Rotation, password).await
    }

    /// Announces that the account gets another identity key without the present one's signature; a day later the same call makes
    /// it. Contacts are asked to compare the keys again.
    pub async fn keys_reset(&self, password: &Secret<String>) -> Result<ResetState, ClientError> {
        self.connect().await?;
        let session = self.session()?;
        let place = session.history(0).await?.place;
        let announced =
            place.value.as_ref().is_some_and(|signed| signed.value.reason() == Reason::ResetPending);
        if !announced {
            return Ok(ResetState::Announced { from: session.announce_reset().await? });
        }
        let version = self.rekey(&place, Reason::Reset, password).await?;
        Ok(ResetState::Made { version })
    }

    /// Says no to a reset that was announced.
    pub async fn keys_cancel_reset(&self) -> Result<u32, ClientError> {
        self.connect().await?;
        let (session, me) = (self.session()?, self.me()?);
        let place = session.history(0).await?.place;
        let before = newest(&place)?;
        let identity = Identity::from_bytes(*me.account.identity.expose()).signing_key();
        let value = AccountValue::new(
            before.account(),
            before.identity(),
            before.status(),
            Reason::ResetCancelled,
            before.devices().to_vec(),
        );
        let signed = signed(&me.account, &place, value, Some(&identity), &identity)?;
        session.bind(&signed).await?;
        self.keep_own_keys().await?;
        Ok(place.version)
    }

    async fn rekey(
        &self,
        place: &LogPlace,
        reason: Reason,
        password: &Secret<String>,
    ) -> Result<u32, ClientError> {
        let me = self.me()?;
        // The new key is sealed like the first one: only the password gives what seals it.
        let link = Rc::new(self.dial(me.address(), &me.server).await?);
        let (_proven, export_key) = self.prove_password(&link, me.address(), password).await?;
        let mut entropy = self.entropy()?;
        let new = Identity::generate(&mut entropy);
        let sealed = new.seal(&export_key, me.address(), &mut entropy)?;
        let active = self.own_devices().await?;
        let before = newest(place)?;
        let devices: Vec<LoggedDevice> = before
            .devices()
            .iter()
            .filter(|device| active.iter().any(|known| known.device.device == device.device))
            .copied()
            .collect();
        let certificates: Vec<DeviceCertificate> = active
            .iter()
            .filter(|known| devices.iter().any(|device| device.device == known.device.device))
            .map(|known| {
                let (device, key) = (known.device.clone(), known.signature_key);
                DeviceCertificate::issue(&new.signing_key(), device, key, self.now())
            })
            .collect();
        let own = certificates.iter().find(|known| known.device == me.account.certificate.device);
        let own = own.ok_or_else(|| ClientError::protocol("this device is not in the log yet"))?.clone();
        let old = Identity::from_bytes(*me.account.identity.expose()).signing_key();
        let value = AccountValue::new(before.account(), new.public(), Status::Active, reason, devices);
        let previous = (reason == Reason::Rotation).then_some(&old);
        let signed = signed(&me.account, place, value, previous, &new.signing_key())?;
        let session = self.session()?;
        session.rekey(&signed, &sealed, &certificates).await?;
        // After a crash here the password brings the new key back: it is sealed at the homeserver.
        let account = Account {
            identity: Secret::new(*new.expose()),
            certificate: own,
            trust: stored_trust(&me.server.trust),
            ..me.account.clone()
        };
        self.keep_new_identity(&account).await?;
        self.accept_own_keys().await?;
        Ok(place.version)
    }

    /// Stores another identity key of one's own account, which counts from now on.
    pub(crate) async fn keep_new_identity(&self, account: &Account) -> Result<(), ClientError> {
        let identity = Identity::from_bytes(*account.identity.expose()).public();
        let mut tx = self.inner.store.begin().await?;
        tx.replace_identity(&account.address, &identity, self.now()).await?;
        tx.forget_own_versions().await?;
        tx.commit().await?;
        self.inner.proofs.borrow_mut().clear();
        self.keep_account(account).await
    }
}

fn newest(place: &LogPlace) -> Result<&AccountValue, ClientError> {
    let value = place.value.as_ref().map(|signed| &signed.value);
    value.ok_or_else(|| ClientError::protocol("this account is not in the log yet"))
}
