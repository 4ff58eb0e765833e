//! Reading what the homeserver's log has of the account, and keeping it together with what is wrong with it.

use qpq_core::{ErrorCode, IdentityKey, Timestamp};
use qpq_transparency_tree::KeyName;
use qpq_transparency_wire::LogPlace;

use super::chain::{Chain, Finding, Place, answer, compare, raise};
use crate::{
    Client, ClientError,
    session::ToldHistory,
    store::{Alarm, OwnCheck, OwnVersion, Tx},
};

/// From where on the versions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// After those that are known.
    Known,
    /// From the first, without what is known.
    First,
}

/// When what was read is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Page by page, with a look that is owed: whatever interrupts this must not lose an alarm.
    EachPage,
    /// All at once, by [`Reading::write`].
    AtEnd,
}

/// What was read of the account's versions.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The identity key that should count.
    pub(crate) ours: IdentityKey,
    from: Start,
    keep: Keep,
    /// The versions as they were judged.
    pub(crate) chain: Chain,
    /// What is wrong.
    pub(crate) alarm: Option<Alarm>,
    /// What the last look found.
    pub(crate) last: Option<OwnCheck>,
    /// Where the homeserver says that the next version stands.
    pub(crate) told: LogPlace,
    /// Those that are not kept yet.
    new: Vec<OwnVersion>,
    /// Whether there were any.
    pub(crate) news: bool,
}

impl Reading {
    /// Where the next version stands; an error says why nothing can be signed there.
    pub(crate) fn place(&self) -> Result<Place, Finding> {
        self.chain.place(&self.told)
    }

    /// Keeps the versions and what is wrong with them.
    pub(crate) async fn write(
        &mut self,
        tx: &mut Tx<'_>,
        checked_at: Timestamp,
        looked_at: Timestamp,
    ) -> Result<(), ClientError> {
        if self.from == Start::First {
            tx.forget_own_versions().await?;
        }
        for own in &self.new {
            tx.save_own_version(own).await?;
        }
        if self.keep == Keep::EachPage {
            self.new.clear();
        }
        let check = OwnCheck { checked_at, looked_at, alarm: self.alarm.clone() };
        Ok(tx.save_own_check(&check).await?)
    }

    /// When the log was found last to show others the same, or since when that is tried.
    pub(crate) fn looked_at(&self, now: Timestamp) -> Timestamp {
        self.last.as_ref().map_or(now, |last| last.looked_at)
    }
}

impl Client {
    /// Reads the versions; `None` if the domain keeps no log.
    pub(crate) async fn read_own(
        &self,
        ours: IdentityKey,
        from: Start,
        keep: Keep,
    ) -> Result<Option<Reading>, ClientError> {
        let me = self.address()?;
        let mut tx = self.inner.store.begin().await?;
        let (mut known, last) = (tx.own_versions().await?, tx.own_check().await?);
        // Who has seen the domain's log is not told that there is none.
        let seen = tx.pinned_log(&KeyName::of_log(me.domain())).await?.is_some() || !known.is_empty();
        drop(tx);
        let mut alarm = last.as_ref().and_then(|last| last.alarm.clone());
        if from == Start::First {
            (known, alarm) = (Vec::new(), None);
        }
        let chain = Chain::of(me, known);
        let page = match self.session()?.history(u64::from(chain.next().0)).await {
            // A domain without a log, or a homeserver from before there was one.
            Err(ClientError::Refused(refusal)) if !seen && refusal.is(ErrorCode::NotFound) => {
                return Ok(None);
            }
            Err(ClientError::Protocol { .. }) if !seen => return Ok(None),
            other => other?,
        };
        let told = page.place.clone();
        let mut reading =
            Reading { ours, from, keep, chain, alarm, last, told, new: Vec::new(), news: false };
        if self.take_page(&mut reading, page).await? {
            self.read_on(&mut reading).await?;
        }
        Ok(Some(reading))
    }

    /// Reads what came since.
    pub(crate) async fn read_on(&self, reading: &mut Reading) -> Result<(), ClientError> {
        let session = self.session()?;
        loop {
            let page = session.history(u64::from(reading.chain.next().0)).await?;
            if !self.take_page(reading, page).await? {
                return Ok(());
            }
        }
    }

    /// Judges what a page brings; says whether another follows.
    async fn take_page(&self, reading: &mut Reading, page: ToldHistory) -> Result<bool, ClientError> {
        let (now, any, mut more) = (self.now(), !page.versions.is_empty(), page.more);
        reading.told = page.place;
        for version in &page.versions {
            match reading.chain.judge(&reading.told, version) {
                Ok((own, wrong)) => {
                    match wrong {
                        Some(wrong) => raise(&mut reading.alarm, wrong, now),
                        None => answer(&mut reading.alarm, &own, reading.ours),
                    }
                    reading.chain.take(own.clone());
                    reading.new.push(own);
                }
                Err(wrong) => {
                    raise(&mut reading.alarm, wrong, now);
                    more = false;
                    break;
                }
            }
        }
        compare(&mut reading.alarm, &reading.chain, reading.ours, now);
        reading.news |= any;
        if any && reading.keep == Keep::EachPage {
            let owed = Timestamp::from_millis(0);
            let mut tx = self.inner.store.begin().await?;
            reading.write(&mut tx, owed, reading.looked_at(now)).await?;
            tx.commit().await?;
        }
        Ok(any && more)
    }
}
