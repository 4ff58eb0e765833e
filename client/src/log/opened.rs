//! Whether the identity key that a password opened is the one that counts: a homeserver can hand out one from before a rotation.

use qpq_core::{IdentityKey, Timestamp};

use super::read::{Keep, Start};
use crate::{
    Client, ClientError,
    identity::Identity,
    store::{Account, AlarmKind},
};

impl Client {
    /// Takes another identity key of one's own account, if the versions that came after those that are known lead to it. Nothing
    /// is kept otherwise.
    pub(crate) async fn keep_moved_identity(&self, account: Account) -> Result<(), ClientError> {
        let opened = Identity::from_bytes(*account.identity.expose()).public();
        let mut reading = self.read_own(opened, Start::Known, Keep::AtEnd).await?;
        if let Some(reading) = &reading {
            let label = self.inner.store.begin().await?.known_label(&account.address).await?;
            let reaches = label.map_or(Ok(()), |label| reading.chain.reaches(&label));
            let stands = reaches.and_then(|()| reading.place().map(drop));
            stands.map_err(|wrong| ClientError::OwnKeys { what: wrong.what })?;
            // A version that is not right, or that hides what it says, leads nowhere.
            let wrong = reading.alarm.as_ref().filter(|alarm| alarm.kind >= AlarmKind::Version);
            let hidden = reading.chain.newest().is_some() && reading.chain.identity().is_none();
            if let Some(alarm) = wrong {
                return Err(ClientError::OwnKeys { what: alarm.what.clone() });
            }
            if hidden {
                let what = "the homeserver doesn't tell what the newest version of this account's keys says"
                    .to_owned();
                return Err(ClientError::OwnKeys { what });
            }
            // Of an account that is not logged the password's word is all there is.
            if let Some(logged) = reading.chain.identity().filter(|logged| *logged != opened) {
                return Err(ClientError::OpenedAnother { address: account.address, logged, opened });
            }
        }
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        self.write_new_identity(&mut tx, &account).await?;
        if let Some(reading) = &mut reading {
            // A look is owed.
            let looked_at = reading.looked_at(now);
            reading.write(&mut tx, Timestamp::from_millis(0), looked_at).await?;
        }
        tx.commit().await?;
        self.use_new_identity(account)
    }

    /// Whether the newest version names this key, after it was looked at; an account that is not logged has none.
    pub(crate) async fn is_the_logged_one(&self, opened: &IdentityKey) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let newest = tx.newest_own_version().await?.and_then(|own| own.counts);
        let logged = newest.map(|signed| signed.value.identity()).filter(|logged| logged != opened);
        let Some(logged) = logged else { return Ok(()) };
        Err(ClientError::OpenedAnother { address: self.address()?, logged, opened: *opened })
    }
}
