//! Whether the log shows others what it has told the owner.

use qpq_core::{Digest, Millis, Timestamp};
use qpq_transparency_tree::{KeyName, lookup::LookupError};

use super::{
    chain::{Finding, raise, shown},
    read::Reading,
};
use crate::{
    Client, ClientError,
    store::{AlarmKind, Tx},
};

/// How long the log may go without having been looked at, before nothing is sent any more.
pub(super) const UNLOOKED: Millis = Millis::from_days(1);

/// What a look came to.
#[derive(Debug)]
pub(super) enum Look {
    /// It is done; what it found is raised.
    Done,
    /// Nobody could look.
    NotNow(ClientError),
}

/// What others are shown.
#[derive(Debug)]
enum Others {
    /// This version.
    Shown(u32, Digest),
    /// None.
    Nothing,
    /// Something that can't be believed.
    Unbelieved(ClientError),
    /// That can't be found out now.
    NotNow(ClientError),
}

impl Client {
    /// Looks at oneself as others do, and compares.
    pub(super) async fn look(&self, reading: &mut Reading) -> Result<Look, ClientError> {
        let another =
            || shown("its log shows others another version of this account's keys than to this account");
        let wrong = match self.shown_to_others(reading.chain.is_revoked()).await? {
            Others::NotNow(error) => return Ok(Look::NotNow(error)),
            Others::Unbelieved(error) => Some(shown(error)),
            Others::Nothing => Some(another()),
            Others::Shown(version, leaf) => {
                let (next, newest) = reading.chain.next();
                if version >= next {
                    // Another device of the account has logged something since.
                    self.read_on(reading).await?;
                    (!reading.chain.has(version, leaf)).then(another)
                } else {
                    (version.saturating_add(1) != next || leaf != newest).then(another)
                }
            }
        };
        if let Some(wrong) = wrong {
            raise(&mut reading.alarm, wrong, self.now());
        }
        if reading.alarm.as_ref().is_some_and(|alarm| alarm.kind == AlarmKind::Unlooked) {
            reading.alarm = None;
        }
        Ok(Look::Done)
    }

    async fn shown_to_others(&self, revoked: bool) -> Result<Others, ClientError> {
        let me = self.address()?;
        let mine = std::slice::from_ref(&me);
        let asked = self.asking(mine).await?;
        let answers = match self.session()?.resolve(mine, None, asked.views()).await {
            Err(error) if error.is_transient() || matches!(error, ClientError::Refused(_)) => {
                return Ok(Others::NotNow(error));
            }
            other => other?,
        };
        let judged = match answers.into_iter().next() {
            Some(Ok(keys)) => self.judge(&asked, &[(me.clone(), &keys)]).await,
            Some(Err(refusal)) => return Ok(Others::NotNow(refusal.into())),
            None => Err(ClientError::protocol("no answer about this account")),
        };
        match judged {
            // Whether the key is the one that is here is judged by the versions.
            Ok(()) | Err(ClientError::IdentityChanged { .. }) => {}
            Err(ClientError::KeysRevoked { .. }) if revoked => {}
            Err(error @ ClientError::Store(_)) => return Err(error),
            Err(error) if not_now(&error) => return Ok(Others::NotNow(error)),
            Err(error) => return Ok(Others::Unbelieved(error)),
        }
        let mut tx = self.inner.store.begin().await?;
        let label = tx.known_label(&me).await?;
        Ok(label.map_or(Others::Nothing, |label| Others::Shown(label.version, label.leaf)))
    }

    /// Nobody could look: for a day, nothing is made of that.
    pub(crate) async fn not_looked(
        &self,
        tx: &mut Tx<'_>,
        looked_at: Timestamp,
        why: &ClientError,
    ) -> Result<Option<Finding>, ClientError> {
        let (me, now) = (self.address()?, self.now());
        let pinned = tx.pinned_log(&KeyName::of_log(me.domain())).await?.is_some();
        Ok((pinned && now.since(looked_at) > UNLOOKED).then(|| Finding {
            kind: AlarmKind::Unlooked,
            version: None,
            what: format!(
                "nobody could look since {looked_at} whether the log shows others this account's own keys: {why}"
            ),
        }))
    }
}

/// Whether an answer says nothing yet: of a clock, of a log that stands still, of witnesses that are silent.
fn not_now(error: &ClientError) -> bool {
    match error {
        ClientError::LogRefused { error, .. } => {
            matches!(error, LookupError::Ahead(_) | LookupError::Frozen(_) | LookupError::Witnesses(_))
        }
        other => other.is_transient(),
    }
}

#[cfg(test)]
mod tests {
    use qpq_transparency_tree::policy::PolicyRefusal;

    use super::*;

    #[test]
    fn clocks_and_silent_witnesses_are_no_alarm_and_lies_are() {
        let (address, at) = ("alice@alpha.test".parse().unwrap(), Timestamp::from_millis(5));
        let refused = |error| ClientError::LogRefused { address: qpq_core::Address::clone(&address), error };
        for later in [
            LookupError::Ahead(at),
            LookupError::Frozen(at),
            LookupError::Witnesses(PolicyRefusal::TooFew(0)),
        ] {
            assert!(not_now(&refused(later.clone())), "{later:?}");
        }
        assert!(not_now(&ClientError::Overloaded));
        for lie in
            [LookupError::Rollback { known: 2, shown: 1 }, LookupError::TwoHistories, LookupError::Claim]
        {
            assert!(!not_now(&refused(lie.clone())), "{lie:?}");
        }
        assert!(!not_now(&ClientError::LogWithheld { address }));
    }
}
