//! Bans: who is kept out of this domain, why, and until when. Subjects are our own users, users of other domains, and
//! other domains as a whole.
//!
//! The row decides, and only while its time lasts: what is lifted late keeps nobody out. A ban takes nothing away for
//! good: sessions are cut and can't be resumed, but they are still there when it ends; what waits for devices and for
//! domains goes on waiting. docs/decisions/0019-what-a-ban-does.md says where which ban is felt.

mod change;
mod lift;
mod preview;

use std::{collections::BTreeSet, sync::Arc};

use qpq_core::{Address, Domain, ErrorCode, Millis, Timestamp};
use qpq_storage::{Ban, BanKind, BanSubject, BansQuery, Page, ReadTx, Stored, Window};

pub use change::Banned;
pub use preview::{Effect, Preview};

use crate::{Answered, Caller, Ground, Refusal, Sessions};
use change::{Impose, Lift};

/// The most users that one action bans.
pub(crate) const AT_ONCE: usize = 100;
/// The longest reason, in characters.
const REASON: usize = 500;
/// No ban with an end lasts longer.
const LONGEST: Millis = Millis::from_days(3_660);

/// The use cases of bans.
#[derive(Clone, Debug)]
pub struct Bans {
    ground: Arc<Ground>,
    sessions: Sessions,
}

/// Why somebody is banned, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanTerms {
    reason: String,
    lifetime: Option<Millis>,
}

impl BanTerms {
    /// A reason is one line of 1 to 500 characters, and what has an end lasts for at least a second.
    pub fn new(reason: &str, lifetime: Option<Millis>) -> Answered<Self> {
        let reason = reason.trim();
        if reason.is_empty() {
            return Err(Refusal::malformed("`reason` is empty: who is banned is told why"));
        }
        if reason.chars().count() > REASON {
            return Err(Refusal::malformed(format!("`reason` has more than {REASON} characters")));
        }
        if !qpq_core::is_plain(reason) {
            return Err(Refusal::malformed(
                "`reason` holds control characters or marks that turn the writing direction: write one line of plain text",
            ));
        }
        if lifetime.is_some_and(|span| span < Millis::from_secs(1) || span > LONGEST) {
            return Err(Refusal::malformed(
                "`expires` is less than a second or more than ten years away: leave it out for a ban without end",
            ));
        }
        Ok(Self { reason: reason.to_owned(), lifetime })
    }
}

impl Bans {
    /// On this ground; banning a user ends their live sessions.
    pub const fn new(ground: Arc<Ground>, sessions: Sessions) -> Self {
        Self { ground, sessions }
    }

    /// Bans users of this and of other domains, all or none; who is banned already gets the new terms.
    pub async fn ban(
        &self,
        addresses: &[Address],
        terms: &BanTerms,
        caller: &Caller,
    ) -> Answered<Vec<Banned>> {
        let subjects = users(addresses)?;
        self.impose("user.ban", subjects, terms, caller).await
    }

    /// Lifts the bans of users, all or none.
    pub async fn unban(&self, addresses: &[Address], reason: &str, caller: &Caller) -> Answered<()> {
        self.lift("user.unban", users(addresses)?, reason, caller).await
    }

    /// Blocks a domain, be it a peer or not: its links end, and nothing passes in either direction.
    pub async fn block(&self, domain: &Domain, terms: &BanTerms, caller: &Caller) -> Answered<Banned> {
        if domain == self.ground.domain() {
            return Err(Refusal::malformed(format!("`{domain}` is this domain itself")));
        }
        let subjects = BTreeSet::from([BanSubject::Domain(domain.clone())]);
        let banned = self.impose("peer.block", subjects, terms, caller).await?;
        let nothing = || Refusal::new(ErrorCode::Internal, "the block got no answer");
        banned.into_iter().next().ok_or_else(nothing)
    }

    /// Lifts a block; what waited flows again.
    pub async fn unblock(&self, domain: &Domain, reason: &str, caller: &Caller) -> Answered<()> {
        let subjects = BTreeSet::from([BanSubject::Domain(domain.clone())]);
        self.lift("peer.unblock", subjects, reason, caller).await
    }

    /// A page of all bans, newest first.
    pub async fn list(&self, search: &str, kind: Option<BanKind>, window: Window) -> Answered<Page<Ban>> {
        let search = search.trim().to_lowercase();
        Ok(self.ground.read().await?.bans(&BansQuery { search: &search, kind, window }).await?)
    }

    /// The ban that keeps a user out now, if there is one.
    pub async fn of(&self, address: &Address) -> Answered<Option<Ban>> {
        Ok(of_user(self.ground.read().await?.as_mut(), address, self.ground.now()).await?)
    }

    async fn impose(
        &self,
        verb: &str,
        subjects: BTreeSet<BanSubject>,
        terms: &BanTerms,
        caller: &Caller,
    ) -> Answered<Vec<Banned>> {
        let now = self.ground.now();
        let made = |subject: BanSubject| {
            let entry = caller.entry(&self.ground, verb, subject.to_string(), terms.reason.clone());
            let ban = Ban {
                subject,
                reason: terms.reason.clone(),
                by: caller.actor.to_string(),
                since: now,
                until: terms.lifetime.map(|span| now.after(span)),
            };
            (ban, entry)
        };
        let bans = subjects.into_iter().map(made).collect();
        self.ground.write(Impose::new(&self.ground, self.sessions.live(), bans)).await?
    }

    async fn lift(
        &self,
        verb: &str,
        subjects: BTreeSet<BanSubject>,
        reason: &str,
        caller: &Caller,
    ) -> Answered<()> {
        let entry = |subject: BanSubject| {
            let entry = caller.entry(&self.ground, verb, subject.to_string(), reason.to_owned());
            (subject, entry)
        };
        let subjects = subjects.into_iter().map(entry).collect();
        self.ground.write(Lift::new(&self.ground, subjects)).await?
    }
}

fn users(addresses: &[Address]) -> Answered<BTreeSet<BanSubject>> {
    let subjects: BTreeSet<BanSubject> = addresses.iter().cloned().map(BanSubject::User).collect();
    if subjects.is_empty() || subjects.len() > AT_ONCE {
        return Err(Refusal::malformed(format!(
            "{} addresses were named, 1 to {AT_ONCE} can be",
            subjects.len()
        )));
    }
    Ok(subjects)
}

async fn active(tx: &mut dyn ReadTx, subject: &BanSubject, now: Timestamp) -> Stored<Option<Ban>> {
    Ok(tx.ban(subject).await?.filter(|ban| ban.is_active(now)))
}

/// The ban of a user of any domain that counts now.
pub(crate) async fn of_user(tx: &mut dyn ReadTx, address: &Address, now: Timestamp) -> Stored<Option<Ban>> {
    active(tx, &BanSubject::User(address.clone()), now).await
}

/// The ban of a domain that counts now.
pub(crate) async fn of_domain(tx: &mut dyn ReadTx, domain: &Domain, now: Timestamp) -> Stored<Option<Ban>> {
    active(tx, &BanSubject::Domain(domain.clone()), now).await
}

/// The ban that keeps a user of another domain out: their own, else their domain's.
pub(crate) async fn of_sender(tx: &mut dyn ReadTx, sender: &Address, now: Timestamp) -> Stored<Option<Ban>> {
    match of_user(tx, sender, now).await? {
        Some(ban) => Ok(Some(ban)),
        None => of_domain(tx, sender.domain(), now).await,
    }
}

/// Refuses what a banned user of another domain wants, with the reason.
pub(crate) async fn admit_sender(
    tx: &mut dyn ReadTx,
    us: &Domain,
    sender: &Address,
    now: Timestamp,
) -> Stored<Answered<()>> {
    Ok(of_sender(tx, sender, now).await?.map_or(Ok(()), |ban| Err(refusal(&ban, us))))
}

/// What whoever is banned hears.
pub(crate) fn refusal(ban: &Ban, us: &Domain) -> Refusal {
    Refusal::new(ErrorCode::Banned, words(ban, us))
}

/// A ban in one sentence, with its reason as the admin wrote it.
pub(crate) fn words(ban: &Ban, us: &Domain) -> String {
    let what = match ban.subject {
        BanSubject::User(_) => "banned",
        BanSubject::Domain(_) => "blocked",
    };
    let end =
        ban.until.map_or_else(|| "until an admin lifts it".to_owned(), |until| format!("until {until}"));
    format!("`{}` is {what} at `{us}` {end}: {}", ban.subject, ban.reason)
}

#[cfg(test)]
mod tests;
