//! What the hub knows about the devices that a commit adds: who signed them.
//!
//! Our own accounts' devices come from the store. Those of other domains are remembered when a claim or a resolve goes
//! through this domain ([`Certificates::learn`]), which is the usual way into a group; for a device that is added by
//! another domain's user, whose claim we never saw, the device's home is asked. Only the *home's* word is taken here:
//! that it is the right identity key is pinned and judged by clients, until the transparency log proves it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use qpq_core::{Address, Domain, ErrorCode, GroupId, Millis, Timestamp};
use qpq_delivery::policy::Certified;
use qpq_storage::{ReadTx, Stored};

use crate::{Answered, Ground, Refusal, UserKeys, Views, peering, transparency::logged};

/// The most accounts of other domains that are remembered.
const MOST: usize = 4_096;
/// How long a home's word is taken without asking again.
const FRESH: Millis = Millis::from_secs(3_600);

/// What homes of other domains said about their users' devices.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    known: Mutex<BTreeMap<Address, (Timestamp, UserKeys)>>,
}

impl Certificates {
    /// Remembers what a home said.
    pub(crate) fn learn(&self, keys: &UserKeys, now: Timestamp) {
        let mut known = self.lock();
        if known.len() >= MOST && !known.contains_key(&keys.address) {
            known.retain(|_, (at, _)| now.since(*at) < FRESH);
            if known.len() >= MOST {
                // Forgetting somebody only costs a question.
                known.pop_first();
            }
        }
        // The proof was for whoever asked; kept for thousands it would be the most of it.
        let (address, devices) = (keys.address.clone(), keys.devices.clone());
        let keys = UserKeys { address, identity_key: keys.identity_key, devices, lookup: None };
        known.insert(keys.address.clone(), (now, keys));
    }

    /// Collects what is known about these accounts: our own from the store, others from memory.
    pub(crate) async fn of(
        &self,
        tx: &mut dyn ReadTx,
        ground: &Ground,
        accounts: &BTreeSet<Address>,
        now: Timestamp,
    ) -> Stored<Certified> {
        let mut certified = Certified::default();
        for address in accounts {
            let keys = if address.domain() == ground.domain() {
                local_keys(tx, ground, address).await?
            } else {
                self.remembered(address, now)
            };
            for certificate in keys.iter().flat_map(|keys| &keys.devices) {
                // The certificate of another account in this one's list proves nothing about that account.
                if let Some(keys) = &keys
                    && certificate.device.user == *address
                    && certified.learn(&keys.identity_key, certificate).is_err()
                {
                    tracing::warn!(peer.domain = %address.domain(), "a device certificate is not signed by its account");
                }
            }
        }
        Ok(certified)
    }

    /// Asks the homes of these accounts, which are added to `group`; ours have been looked up already. Where one of them
    /// has to accept the committer first, that is the answer to the commit.
    pub(crate) async fn resolve(
        &self,
        ground: &Ground,
        requester: &Address,
        group: &GroupId,
        accounts: &BTreeSet<Address>,
    ) -> Answered<()> {
        let mut by_domain: BTreeMap<&Domain, Vec<Address>> = BTreeMap::new();
        for address in accounts.iter().filter(|address| address.domain() != ground.domain()) {
            by_domain.entry(address.domain()).or_default().push(address.clone());
        }
        for (domain, addresses) in by_domain {
            let deadline = ground.interactive_deadline();
            let answers = ground
                .peers()
                .resolve_user(domain, requester, &addresses, Some(group), &Views::new(), deadline)
                .await?;
            for answer in answers {
                match answer {
                    Ok(keys) if addresses.contains(&keys.address) => self.learn(&keys, ground.now()),
                    Err((_, refusal)) if refusal.code == ErrorCode::Requested => return Err(refusal),
                    Ok(_) | Err(_) => {}
                }
            }
        }
        Ok(())
    }

    fn remembered(&self, address: &Address, now: Timestamp) -> Option<UserKeys> {
        self.lock().get(address).filter(|(at, _)| now.since(*at) < FRESH).map(|(_, keys)| keys.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Address, (Timestamp, UserKeys)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys of one of our own accounts: its active devices, where it is in the log only those that are named there.
pub(super) async fn local_keys(
    tx: &mut dyn ReadTx,
    ground: &Ground,
    address: &Address,
) -> Stored<Option<UserKeys>> {
    match tx.account_named(address.localpart()).await? {
        Some(account) => logged::user_keys(ground, tx, address, &account).await.map(Some),
        None => Ok(None),
    }
}

/// Every domain that a commit brings in must be a peer, or the hub could never deliver to it.
pub(crate) async fn check_peers(
    tx: &mut dyn ReadTx,
    us: &Domain,
    accounts: &BTreeSet<Address>,
    now: Timestamp,
) -> Answered<()> {
    let domains: BTreeSet<&Domain> =
        accounts.iter().map(Address::domain).filter(|domain| *domain != us).collect();
    for domain in domains {
        if let Some(why) = peering::why_not(tx, us, domain, now).await? {
            return Err(Refusal::new(ErrorCode::PolicyRefused, format!("{why}, which orders this group")));
        }
    }
    Ok(())
}
