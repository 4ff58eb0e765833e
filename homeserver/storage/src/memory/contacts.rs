//! Contacts, in memory.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{AccountId, Address, Timestamp};

use super::MemoryTx;
use crate::{Ask, AskNoted, Contact, ContactRequest, ContactsRead, ContactsWrite, Crowd, Stored};

/// Contacts by (account, other), and when each ask (requester, target) is forgotten.
#[derive(Clone, Default)]
pub(super) struct Contacts {
    known: BTreeMap<(AccountId, Address), Contact>,
    asks: BTreeMap<(Address, Address), Timestamp>,
}

impl Contacts {
    /// Drops an account's contacts.
    pub(super) fn forget(&mut self, account: &AccountId) {
        self.known.retain(|(owner, _), _| owner != account);
    }

    fn waiting(&self, now: Timestamp) -> impl Iterator<Item = &(AccountId, Address)> {
        self.known.iter().filter(move |(_, contact)| contact.waits(now)).map(|(key, _)| key)
    }
}

fn long(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[async_trait]
impl ContactsRead for MemoryTx {
    async fn contact(&mut self, account: &AccountId, other: &Address) -> Stored<Option<Contact>> {
        Ok(self.state.contacts.known.get(&(*account, other.clone())).copied())
    }

    async fn contact_requests(
        &mut self,
        account: &AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Stored<Vec<ContactRequest>> {
        let request = |(key, contact): (&(AccountId, Address), &Contact)| match contact {
            Contact::Requested { since, .. } if key.0 == *account && contact.waits(now) => {
                Some(ContactRequest { from: key.1.clone(), since: *since })
            }
            _ => None,
        };
        let mut waiting: Vec<ContactRequest> = self.state.contacts.known.iter().filter_map(request).collect();
        waiting.sort_by_key(|request| (request.since, request.from.to_string()));
        waiting.truncate(limit);
        Ok(waiting)
    }

    async fn contact_crowd(
        &mut self,
        account: &AccountId,
        requester: &Address,
        now: Timestamp,
    ) -> Stored<Crowd> {
        let count = |counts: &dyn Fn(&AccountId, &Address) -> bool| {
            long(self.state.contacts.waiting(now).filter(|(owner, other)| counts(owner, other)).count())
        };
        Ok(Crowd {
            of_target: count(&|owner, _| owner == account),
            of_requester: count(&|_, other| other == requester),
            of_domain: count(&|_, other| other.domain() == requester.domain()),
        })
    }

    async fn contacts_held(&mut self, account: &AccountId) -> Stored<u64> {
        let held = self.state.contacts.known.iter().filter(|((owner, _), contact)| {
            owner == account && !matches!(contact, Contact::Requested { .. })
        });
        Ok(long(held.count()))
    }
}

#[async_trait]
impl ContactsWrite for MemoryTx {
    async fn contact_ask(&mut self, ask: &Ask<'_>) -> Stored<AskNoted> {
        let contacts = Arc::make_mut(&mut self.state.contacts);
        let key = (ask.requester.clone(), ask.target.clone());
        if contacts.asks.get(&key).is_some_and(|until| ask.now < *until) {
            return Ok(AskNoted::Repeated);
        }
        let lately = || contacts.asks.iter().filter(|(_, until)| ask.now < **until).map(|(key, _)| &key.0);
        let own = long(lately().filter(|requester| *requester == ask.requester).count());
        let domains = long(lately().filter(|requester| requester.domain() == ask.requester.domain()).count());
        if own >= ask.per_requester || domains >= ask.per_domain {
            return Ok(AskNoted::TooMany);
        }
        contacts.asks.insert(key, ask.until);
        Ok(AskNoted::New)
    }

    async fn contact_store(&mut self, account: &AccountId, other: &Address, contact: &Contact) -> Stored<()> {
        if self.state.accounts.by_id(account).is_none() {
            return Err(self.conflict("contact_store"));
        }
        Arc::make_mut(&mut self.state.contacts).known.insert((*account, other.clone()), *contact);
        Ok(())
    }

    async fn contacts_expire(&mut self, now: Timestamp) -> Stored<u64> {
        let contacts = Arc::make_mut(&mut self.state.contacts);
        let before = contacts.known.len() + contacts.asks.len();
        contacts.known.retain(|_, contact| contact.ends().is_none_or(|end| now < end));
        contacts.asks.retain(|_, until| now < *until);
        Ok(long(before - contacts.known.len() - contacts.asks.len()))
    }
}
