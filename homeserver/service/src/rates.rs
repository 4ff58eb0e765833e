//! How often somebody may ask, remembered in memory: a restart forgives, and memory is bounded.

use std::sync::{Arc, Mutex, PoisonError};

use qpq_core::{AccountId, ErrorCode, Localpart, Timestamp};
use qpq_delivery::rates::{Rate, Rates, TooMany};

use crate::{Answered, Refusal};

/// The most askers of one kind that are remembered at once.
const ASKERS: usize = 65_536;

/// Where an unauthenticated caller comes from, as the listener groups addresses: an IPv4 address, or an IPv6 /64.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceNetwork(Arc<str>);

impl SourceNetwork {
    /// Names a network; only equality counts.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }
}

/// Token buckets by asker, shared by all callers.
#[derive(Debug)]
pub(crate) struct Throttle<K>(Mutex<Rates<K>>);

impl<K: Ord + Clone> Throttle<K> {
    pub(crate) const fn new(rate: Rate) -> Self {
        Self(Mutex::new(Rates::new(rate, ASKERS)))
    }

    /// Takes `count` at once or nothing.
    pub(crate) fn take(&self, key: &K, count: u32, now: Timestamp) -> Result<(), TooMany> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(key, count, now)
    }

    /// The same as a refusal that names what there was too much of.
    pub(crate) fn admit(&self, key: &K, count: u32, now: Timestamp, what: &str) -> Answered<()> {
        self.take(key, count, now).map_err(|TooMany { retry_after }| {
            Refusal::retry(
                ErrorCode::RateLimited,
                format!("too many {what} in a short time, wait a moment"),
                retry_after,
            )
        })
    }
}

/// Submits per user and minute; `groups` asks before it accepts messages.
#[derive(Debug)]
pub struct SubmitRates(Throttle<AccountId>);

impl SubmitRates {
    /// So many a minute for each account.
    pub const fn per_minute(count: u32) -> Self {
        Self(Throttle::new(Rate::per_minute(count)))
    }

    /// Takes `count` submits of an account, all or nothing.
    pub fn admit(&self, account: &AccountId, count: u32, now: Timestamp) -> Answered<()> {
        self.0.admit(account, count, now, "messages")
    }
}

/// How often an unauthenticated caller may begin a registration or a login: per network, and logins also per name.
#[derive(Debug)]
pub struct DoorRates {
    networks: Throttle<SourceNetwork>,
    names: Throttle<Localpart>,
}

impl DoorRates {
    /// Nobody has asked yet.
    pub const fn new(per_network: Rate, per_name: Rate) -> Self {
        Self { networks: Throttle::new(per_network), names: Throttle::new(per_name) }
    }

    pub(crate) fn registration(&self, from: &SourceNetwork, now: Timestamp) -> Answered<()> {
        self.networks.admit(from, 1, now, "attempts from your network")
    }

    pub(crate) fn login(&self, from: &SourceNetwork, name: &Localpart, now: Timestamp) -> Answered<()> {
        self.networks.admit(from, 1, now, "attempts from your network")?;
        self.names.admit(name, 1, now, "login attempts for this name")
    }
}
