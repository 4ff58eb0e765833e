//! One's own keys in the log: at each connect the account looks what its domain has logged in its name, and gives what is missing.
//!
//! Whatever was logged must be signed by the account's identity key. What isn't is an alarm, and nothing is sent until it is over.

use qpq_core::{DeviceCertificate, Digest, ErrorCode, IdentityKey, Millis, Timestamp};
use qpq_transparency_tree::{
    KeyName,
    commitment::commit,
    label::Label,
    succession::judge_signatures,
    value::{Reason, SignedValue, Status},
};
use qpq_transparency_wire::{LogPlace, LoggedVersion};

use super::sign::{first_version, with_device, without_gone};
use crate::{
    Client, ClientError,
    identity::Identity,
    store::{OwnCheck, OwnVersion, Tx},
};

/// How often the account's whole state is looked at, if nothing seems to have changed.
const DAILY: Millis = Millis::from_days(1);

/// The account's versions as far as they were judged.
#[derive(Clone, Copy, Debug)]
struct Chain {
    newest: Option<OwnVersion>,
    /// The identity key of the newest version; `None` before the first.
    identity: Option<IdentityKey>,
}

/// What a version was found to be.
#[derive(Clone, Debug)]
struct Judged {
    own: OwnVersion,
    /// The identity key after it.
    identity: Option<IdentityKey>,
    /// What is wrong with it, in words.
    wrong: Option<String>,
    /// Whether it stands where the next version does; what doesn't is not remembered as one.
    follows: bool,
    /// Whether the owner has answered with it to what was wrong before.
    answers: bool,
}

impl Client {
    /// Looks at what the log has of the account, once in a connection: what came since, whether it is ours, and whether the log
    /// shows others the same. Then signs what is missing there. A domain without a log is left alone.
    pub(crate) async fn keep_own_keys(&self) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let (known, last) = (tx.own_versions().await?, tx.own_check().await?);
        drop(tx);
        let ours = self.own_identity()?;
        let newest = known.last().copied();
        let mut chain = Chain { newest, identity: newest.map(|_| ours) };
        let mut alarm = last.as_ref().and_then(|last| last.alarm.clone());
        let Some((place, news)) = self.read_history(&mut chain, &mut alarm).await? else { return Ok(()) };
        let mut raise = |what: String| {
            alarm.get_or_insert_with(|| (what, self.now()));
        };
        let stands = chain.newest.map_or((0, Digest::ZERO), |own| (own.version.saturating_add(1), own.leaf));
        if stands != (place.version, place.prev) {
            raise("the homeserver's log has forgotten versions of this account's keys".to_owned());
        }
        if chain.identity.is_some_and(|identity| identity != ours) {
            raise(
                "the log has another identity key of this account: log in again if you changed it".to_owned(),
            );
        }
        let due = last.as_ref().is_none_or(|last| self.now().since(last.checked_at) >= DAILY);
        if chain.newest.is_some() && (news || due) {
            match self.look_myself_up(chain.newest).await {
                Ok(()) => {}
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => raise(error.to_string()),
            }
        }
        let fine = alarm.is_none();
        let mut tx = self.inner.store.begin().await?;
        tx.save_own_check(&OwnCheck {
            checked_at: if news || due {
                self.now()
            } else {
                last.map_or_else(|| self.now(), |last| last.checked_at)
            },
            alarm,
        })
        .await?;
        tx.commit().await?;
        if fine { self.sign_what_is_missing(&place, news || due).await } else { Ok(()) }
    }

    /// Reads the versions after the newest that is known; `None` if the domain keeps no log. Says whether there were any.
    async fn read_history(
        &self,
        chain: &mut Chain,
        alarm: &mut Option<(String, Timestamp)>,
    ) -> Result<Option<(LogPlace, bool)>, ClientError> {
        let (session, ours, mut news) = (self.session()?, self.own_identity()?, false);
        let origin = KeyName::of_log(self.me()?.address().domain());
        let seen = self.inner.store.begin().await?.pinned_log(&origin).await?.is_some();
        // Who has seen the domain's log is not told that there is none.
        let unlogged = |chain: &Chain| chain.newest.is_none() && !seen;
        loop {
            let from = chain.newest.map_or(0, |newest| u64::from(newest.version).saturating_add(1));
            let told = match session.history(from).await {
                // A domain without a log, or a homeserver from before there was one.
                Err(ClientError::Refused(refusal)) if unlogged(chain) && refusal.is(ErrorCode::NotFound) => {
                    return Ok(None);
                }
                Err(ClientError::Protocol { .. }) if unlogged(chain) => return Ok(None),
                other => other?,
            };
            for version in &told.versions {
                let judged = self.judge_own(chain, &told.place, version)?;
                if judged.answers {
                    *alarm = None;
                }
                if let Some(what) = judged.wrong {
                    alarm.get_or_insert_with(|| (what, self.now()));
                }
                // Kept with the version itself, and with a look that is owed: whatever interrupts this must not lose the alarm.
                let foreign = judged.identity != Some(ours);
                let unsettled =
                    || ("the log has another identity key of this account".to_owned(), self.now());
                let owed = OwnCheck {
                    checked_at: Timestamp::from_millis(0),
                    alarm: alarm.clone().or_else(|| foreign.then(unsettled)),
                };
                let mut tx = self.inner.store.begin().await?;
                tx.save_own_check(&owed).await?;
                if !judged.follows {
                    tx.commit().await?;
                    return Ok(Some((told.place, true)));
                }
                tx.save_own_version(&judged.own).await?;
                tx.commit().await?;
                *chain = Chain { newest: Some(judged.own), identity: judged.identity };
                news = true;
            }
            if !told.more || told.versions.is_empty() {
                return Ok(Some((told.place, news)));
            }
        }
    }

    /// Judges the next version: does it follow, and did the identity key sign it that counted until then?
    fn judge_own(
        &self,
        chain: &Chain,
        place: &LogPlace,
        told: &LoggedVersion,
    ) -> Result<Judged, ClientError> {
        let (me, entry) = (self.me()?, &told.entry);
        let value = told.contents.as_ref().and_then(|(_, value)| SignedValue::from_bytes(value).ok());
        let devices = value.as_ref().map_or(0, |signed| signed.value.devices().len());
        let own = OwnVersion {
            version: entry.version,
            leaf: entry.leaf_hash(),
            reason: value.as_ref().map_or(Reason::Closure, |signed| signed.value.reason()),
            time: entry.time,
            devices: u32::try_from(devices).unwrap_or(u32::MAX),
        };
        let fine = Judged { own, identity: chain.identity, wrong: None, follows: true, answers: false };
        let wrong = |what: &str| {
            let text = format!("version {} of this account's keys {what}", entry.version);
            Ok(Judged { wrong: Some(text), ..fine.clone() })
        };
        let follows = chain.newest.map_or((0, Digest::ZERO), |own| (own.version.saturating_add(1), own.leaf));
        if (entry.version, entry.prev) != follows || entry.label_id != place.label_id {
            return Ok(Judged { follows: false, ..wrong("does not follow what was there before")? });
        }
        // Of who had the name before, nothing is told any more; a reset of ours ends that.
        let (Some(signed), Some((opening, bytes))) = (&value, &told.contents) else {
            return wrong("is not told by the homeserver");
        };
        if commit(opening, Label::of(me.address()).as_bytes(), entry.version, bytes) != entry.commitment {
            return wrong("is not what the log commits to");
        }
        let (reason, identity) = (signed.value.reason(), signed.value.identity());
        let needs_previous = !matches!(reason, Reason::Registration | Reason::Reset);
        match reason {
            Reason::ResetPending => {
                return wrong(
                    "announces another identity key, as somebody asked for who can't sign with this one: if it was not you, \
                     say no (`qpq keys cancel-reset`)",
                );
            }
            Reason::Closure => return wrong("closes the account"),
            _ => {}
        }
        let previous = chain.identity.filter(|_| needs_previous);
        if let Err(error) = judge_signatures(&place.origin, previous, entry, signed) {
            return wrong(&format!("is not signed as it must be: {error}"));
        }
        let stays = chain.identity.is_none_or(|before| before == identity);
        if !stays && !matches!(reason, Reason::Rotation | Reason::Reset) {
            return wrong("names another identity key than the one before");
        }
        let answers = matches!(reason, Reason::ResetCancelled | Reason::Reset);
        Ok(Judged { identity: Some(identity), answers, ..fine })
    }

    fn own_identity(&self) -> Result<IdentityKey, ClientError> {
        Ok(Identity::from_bytes(*self.me()?.account.identity.expose()).public())
    }

    /// Whether the log shows others what it has told the owner.
    async fn look_myself_up(&self, newest: Option<OwnVersion>) -> Result<(), ClientError> {
        let me = self.me()?;
        let mine = std::slice::from_ref(me.address());
        let asked = self.asking(mine).await?;
        let answers = self.session()?.resolve(mine, None, asked.views()).await?;
        match answers.into_iter().next() {
            Some(Ok(keys)) => self.judge(&asked, &[(me.address().clone(), &keys)]).await?,
            Some(Err(refusal)) => return Err(refusal.into()),
            None => return Err(ClientError::protocol("no answer about this account")),
        }
        let mut tx = self.inner.store.begin().await?;
        let shown = tx.known_label(me.address()).await?.map(|label| (label.version, label.leaf));
        if shown == newest.map(|own| (own.version, own.leaf)) {
            return Ok(());
        }
        Err(ClientError::protocol(
            "its log shows others another version of this account's keys than to this account",
        ))
    }

    /// Signs the first version of an account from before the log, adds this device, takes away devices that were revoked.
    async fn sign_what_is_missing(&self, place: &LogPlace, looks: bool) -> Result<(), ClientError> {
        let me = self.me()?;
        let closed = place.value.as_ref().is_some_and(|signed| signed.value.status() == Status::Closed);
        let binding = if place.version == 0 {
            Some(first_version(&me.account, place, &self.own_devices().await?)?)
        } else if closed {
            None
        } else if let Some(adds) = with_device(&me.account, place)? {
            Some(adds)
        } else if looks {
            without_gone(&me.account, place, &self.own_devices().await?)?
        } else {
            None
        };
        let Some(binding) = binding else { return Ok(()) };
        match self.session()?.bind(&binding).await {
            Ok(_) => Ok(()),
            // Another device of this account was first; the next connection sees.
            Err(ClientError::Refused(refusal)) if refusal.is(ErrorCode::LogRefused) => {
                tracing::info!(%refusal, "the keys' next version was not logged now");
                Ok(())
            }
            Err(error) => Err(error),
        }
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

    /// Stops whoever wants to send while something is logged in the account's name that is not its own.
    pub(crate) async fn own_keys_are_fine(&self, tx: &mut Tx<'_>) -> Result<(), ClientError> {
        let alarm = tx.own_check().await?.and_then(|check| check.alarm);
        alarm.map_or(Ok(()), |(what, _)| Err(ClientError::OwnKeys { what }))
    }

    /// Takes what is logged of this account as its own: it is read anew from the first version, with what it says now.
    pub(crate) async fn accept_own_keys(&self) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        tx.forget_own_versions().await?;
        tx.commit().await?;
        self.keep_own_keys().await
    }

    /// The versions of the account's own keys that this device has verified, and what is wrong with them, if anything is.
    pub async fn keys_history(&self) -> Result<OwnHistory, ClientError> {
        self.connect().await?;
        let mut tx = self.inner.store.begin().await?;
        let versions = tx.own_versions().await?;
        let alarm = tx.own_check().await?.and_then(|check| check.alarm).map(|(text, _)| text);
        let versions = versions.into_iter().map(|own| HistoryRow {
            version: own.version,
            reason: own.reason.word(),
            time: own.time,
            devices: own.devices,
        });
        Ok(OwnHistory { versions: versions.collect(), alarm })
    }
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
