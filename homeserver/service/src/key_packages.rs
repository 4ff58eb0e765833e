//! KeyPackages: each device's stock, kept up by its owner.
//!
//! Claims on the stock of others are in [`claims`].

mod claims;
mod upload;

use std::{fmt, sync::Arc};

use qpq_core::{Address, DeviceId, Domain, Millis, Timestamp, limits};
use qpq_delivery::rates::Rate;
use qpq_hub::Engine;
use qpq_storage::KeyPackageStock;

use crate::{Answered, Ground, Groups, SessionHandle, rates::Throttle};

pub use upload::KeyPackageUpload;

/// KeyPackages that one device may bring: twice what it may keep (`limits::KEY_PACKAGES_PER_DEVICE`), then one in a minute.
const UPLOADS: Rate = Rate { burst: 400, refill: Millis::from_secs(60) };

/// The use cases of KeyPackages.
#[derive(Clone)]
pub struct KeyPackages {
    ground: Arc<Ground>,
    engine: Engine,
    groups: Groups,
    rates: Arc<ClaimRates>,
}

/// How many one-time packages may be taken, and how often one may ask at all.
struct ClaimRates {
    /// Of one target by one requester.
    per_target: Throttle<(Address, Address)>,
    /// Of one target by all requesters of another domain.
    per_domain: Throttle<(Domain, Address)>,
    /// Targets asked by one requester of ours.
    users: Throttle<Address>,
    /// Targets asked by one other domain.
    peers: Throttle<Domain>,
    /// Packages brought by one device: those that were handed out or replaced stay until they expire.
    uploads: Throttle<DeviceId>,
}

impl KeyPackages {
    /// On this ground; `engine` reads what is uploaded, `groups` hears what homes say of their users' devices.
    pub fn new(ground: Arc<Ground>, engine: Engine, groups: Groups) -> Self {
        let settings = ground.settings();
        let rates = ClaimRates {
            per_target: Throttle::new(Rate { burst: settings.claim_burst, refill: settings.claim_interval }),
            per_domain: Throttle::new(settings.claims_per_domain),
            users: Throttle::new(settings.lookups),
            peers: Throttle::new(settings.lookups),
            uploads: Throttle::new(UPLOADS),
        };
        Self { ground, engine, groups, rates: Arc::new(rates) }
    }

    /// What the session's device has left.
    pub async fn stock(&self, session: &SessionHandle) -> Answered<KeyPackageStock> {
        let now = self.ground.now();
        session.check(now)?;
        let mut tx = self.ground.read().await?;
        Ok(renewal(tx.key_package_stock(&session.device().device, ends_after(now)).await?))
    }
}

impl fmt::Debug for KeyPackages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPackages").finish_non_exhaustive()
    }
}

/// Packages that end before this are as good as gone.
const fn ends_after(now: Timestamp) -> Timestamp {
    now.after(limits::KEY_PACKAGE_REMAINING)
}

/// What a device is told: when its last-resort package must be renewed, which is before it ends.
fn renewal(stock: KeyPackageStock) -> KeyPackageStock {
    let margin: Millis = limits::KEY_PACKAGE_REMAINING;
    KeyPackageStock { last_resort_until: stock.last_resort_until.map(|end| end.before(margin)), ..stock }
}

#[cfg(test)]
mod tests;
