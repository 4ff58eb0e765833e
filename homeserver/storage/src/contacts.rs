//! Contacts: which users of other domains an account has accepted or declined, and who waits for an answer.
//!
//! Beside them stand the *asks*: who asked for whom lately, whether that user exists or not. They are what bounds the
//! askers, so that nobody learns from a bound who exists.

use async_trait::async_trait;
use qpq_core::{AccountId, Address, Timestamp};
pub use qpq_delivery::contacts::{Contact, Crowd};

use crate::Stored;

/// Somebody who waits to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactRequest {
    /// Who.
    pub from: Address,
    /// Since when.
    pub since: Timestamp,
}

/// A question for a user of ours who may not exist.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who asks.
    pub requester: &'a Address,
    /// For whom.
    pub target: &'a Address,
    /// When.
    pub now: Timestamp,
    /// Until when a repeat is no new question.
    pub until: Timestamp,
    /// The most users that this requester may ask for meanwhile.
    pub per_requester: u64,
    /// The most that all users of its domain may.
    pub per_domain: u64,
}

/// What the store says about a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskNoted {
    /// It is noted.
    New,
    /// It was noted before.
    Repeated,
    /// Its requester, or the domain, asks too much; it is not noted.
    TooMany,
}

/// Reads contacts.
#[async_trait]
pub trait ContactsRead: Send {
    /// How another domain's user stands with an account, be its time over or not.
    async fn contact(&mut self, account: &AccountId, other: &Address) -> Stored<Option<Contact>>;
    /// Who waits for this account's answer now, the oldest first, at most `limit`.
    async fn contact_requests(
        &mut self,
        account: &AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Stored<Vec<ContactRequest>>;
    /// How many requests wait already, as far as one of `requester` for `account` is concerned.
    async fn contact_crowd(
        &mut self,
        account: &AccountId,
        requester: &Address,
        now: Timestamp,
    ) -> Stored<Crowd>;
    /// How many contacts an account holds that are no requests.
    async fn contacts_held(&mut self, account: &AccountId) -> Stored<u64>;
}

/// Writes contacts.
#[async_trait]
pub trait ContactsWrite: Send {
    /// Notes a question, unless it was noted before or there are too many.
    async fn contact_ask(&mut self, ask: &Ask<'_>) -> Stored<AskNoted>;
    /// Stores how a user stands with an account, in the place of what was known.
    async fn contact_store(&mut self, account: &AccountId, other: &Address, contact: &Contact) -> Stored<()>;
    /// Forgets requests, declines and asks whose time is over; returns how many.
    async fn contacts_expire(&mut self, now: Timestamp) -> Stored<u64>;
}
