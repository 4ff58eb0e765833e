//! Contacts: which users of other domains one of ours accepts, who asks to be accepted, and what both hear of it.
//!
//! Where the directory policy wants consent, whoever isn't accepted gets one and the same answer, [`requested`], to
//! every question about a user of ours, be it one who exists or not ([`asking`]). The rules are
//! `qpq_delivery::contacts`. Acceptance tells the other's home by a row ([`accepted`]); a decline tells nobody.

mod accepted;
mod answers;
mod asking;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use qpq_core::{Address, ErrorCode, limits};
use qpq_storage::ContactRequest;

pub(crate) use accepted::apply as apply_accepted;
pub(crate) use asking::{Question, hidden, may_welcome, requested};

use crate::{Answered, Ground, Refusal, SessionHandle, bans, by_domain::bounded};
use answers::{Accept, Decline};
use asking::is_accepted;

/// The most requests in one list.
const LISTED: usize = 256;

/// The use cases of contacts.
#[derive(Clone, Debug)]
pub struct Contacts {
    ground: Arc<Ground>,
}

impl Contacts {
    /// On this ground.
    pub const fn new(ground: Arc<Ground>) -> Self {
        Self { ground }
    }

    /// Who asks to be accepted by the session's account, the oldest first. Whoever was banned meanwhile doesn't.
    pub async fn requests(&self, session: &SessionHandle) -> Answered<Vec<ContactRequest>> {
        let now = self.ground.now();
        session.check(now)?;
        let mut tx = self.ground.read().await?;
        let mut requests = Vec::new();
        for request in tx.contact_requests(&session.account(), now, LISTED).await? {
            if bans::of_sender(tx.as_mut(), &request.from, now).await?.is_none() {
                requests.push(request);
            }
        }
        Ok(requests)
    }

    /// Accepts users of other domains, and tells the domains of those who had asked, who are returned. Users of this
    /// domain need no acceptance.
    pub async fn accept(&self, session: &SessionHandle, addresses: &[Address]) -> Answered<Vec<Address>> {
        let now = self.ground.now();
        session.check(now)?;
        bounded(addresses)?;
        let account = session.account();
        // Whoever writes first says so each time: what is known needs no write.
        let mut unknown = Vec::new();
        {
            let mut tx = self.ground.read().await?;
            for address in addresses.iter().filter(|address| address.domain() != self.ground.domain()) {
                if !is_accepted(tx.as_mut(), &account, address).await? {
                    unknown.push(address.clone());
                }
            }
        }
        if unknown.is_empty() {
            return Ok(Vec::new());
        }
        let job = Accept::new(&self.ground, account, session.device().user.clone(), unknown, now);
        self.ground.write(job).await?.ok_or_else(|| {
            let most = limits::CONTACTS_PER_ACCOUNT;
            let text = format!("an account can accept and decline {most} users of other domains, not more");
            Refusal::new(ErrorCode::TooLarge, text)
        })
    }

    /// Declines a request, or takes an acceptance back. Nobody is told.
    pub async fn decline(&self, session: &SessionHandle, address: &Address) -> Answered<()> {
        let now = self.ground.now();
        session.check(now)?;
        let job = Decline { account: session.account(), other: address.clone(), now };
        if self.ground.write(job).await? {
            return Ok(());
        }
        let text = format!("`{address}` has not asked to be accepted, and was not accepted");
        Err(Refusal::new(ErrorCode::NotFound, text))
    }
}
