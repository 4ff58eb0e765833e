//! What all peers share: the ground, the use cases that peers may reach, and the list of peers.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use qpq_core::{Domain, ErrorCode, Millis, limits};
use qpq_delivery::rates::{Rate, Rates};
use qpq_federation_proto::{
    FederationAddress, Hello, Presented, TrustedClaims, TrustedLink, Untrusted, VersionRange, judge_link,
};
use qpq_metrics::Limit;
use qpq_service::{
    Answered, Directory, Ground, Groups, KeyPackages, Known, Peering, Refusal, Standing, Witness, relay,
};
use qpq_storage::Peer;
use qpq_transport::{Anchors, Endpoint, Leaf, PeerCertificate, Verdict, WorkerContext, Workers};
use tokio::{
    sync::{Notify, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{Discovery, FederationConfig, doorstep::Doorstep, driver, slot::Slot, turns::Turns};

/// What this version speaks.
pub(crate) const VERSIONS: VersionRange =
    VersionRange { min: limits::PROTOCOL_VERSION, max: limits::PROTOCOL_VERSION };
/// Dials on their way at once, to all peers together; as many again to those that didn't answer last time, or for whom
/// nothing waits. A peer that is there never waits for one that is not.
const DIALS: usize = 16;
/// Probes at once; an admin waits for each.
const PROBES: usize = 4;
/// Calls of one address, or one /64, over untrusted links: so many at once, then one a second.
const STRANGERS: Rate = Rate { burst: 60, refill: Millis::from_secs(1) };
/// Addresses of strangers that are remembered.
const STRANGERS_KNOWN: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) ground: Arc<Ground>,
    pub(crate) peering: Peering,
    pub(crate) directory: Directory,
    pub(crate) key_packages: KeyPackages,
    pub(crate) groups: Groups,
    pub(crate) witness: Witness,
    pub(crate) workers: Workers,
    pub(crate) endpoint: Endpoint,
    pub(crate) leaf: Leaf,
    pub(crate) discovery: Discovery,
    /// Turns for dialling peers that are expected to answer, and others.
    pub(crate) dials: Semaphore,
    pub(crate) doubtful_dials: Semaphore,
    /// Turns for probing.
    pub(crate) probes: Semaphore,
    /// Who may shake hands.
    pub(crate) doorstep: Doorstep,
    /// Whose rows are stored when.
    pub(crate) turns: Turns,
    /// Fires when federation shall end.
    pub(crate) stopping: CancellationToken,
    /// Drivers and links.
    pub(crate) tasks: TaskTracker,
    slots: Mutex<BTreeMap<Domain, Arc<Slot>>>,
    /// One look at the list of peers at a time.
    syncing: tokio::sync::Mutex<()>,
    changed: Notify,
    strangers: Mutex<Rates<IpAddr>>,
}

impl Core {
    pub(crate) fn new(config: FederationConfig) -> Arc<Self> {
        let FederationConfig {
            ground,
            peering,
            directory,
            key_packages,
            groups,
            workers,
            endpoint,
            leaf,
            discovery,
        } = config;
        Arc::new(Self {
            witness: Witness::new(Arc::clone(&ground)),
            ground,
            peering,
            directory,
            key_packages,
            groups,
            workers,
            endpoint,
            leaf,
            discovery,
            dials: Semaphore::new(DIALS),
            probes: Semaphore::new(PROBES),
            doubtful_dials: Semaphore::new(DIALS),
            doorstep: Doorstep::default(),
            turns: Turns::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            slots: Mutex::default(),
            syncing: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            strangers: Mutex::new(Rates::new(STRANGERS, STRANGERS_KNOWN)),
        })
    }

    pub(crate) async fn start(core: &Arc<Self>) -> Answered<()> {
        Self::sync(core).await?;
        let watcher = Arc::clone(core);
        core.workers.spawn(None, |_| Self::watch_peers(watcher)).await.map_err(|_| stopping())
    }

    pub(crate) async fn stop(&self, deadline: Duration) {
        self.stopping.cancel();
        self.tasks.close();
        if timeout(deadline, self.tasks.wait()).await.is_err() {
            warn!(left = self.tasks.len(), "some links to peers did not end in time");
        }
    }

    /// A peer was added, changed or removed.
    pub(crate) fn peers_changed(&self) {
        self.changed.notify_one();
    }

    /// The peers that don't stand well.
    pub(crate) fn standings(&self) -> Vec<(Domain, Standing)> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let standings = slots.iter().map(|(domain, slot)| (domain.clone(), slot.standing()));
        standings.filter(|(_, standing)| *standing != Standing::Healthy).collect()
    }

    /// A peer's place.
    pub(crate) fn slot(&self, domain: &Domain) -> Option<Arc<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).get(domain).map(Arc::clone)
    }

    /// A peer's place, made now if its record is younger than the list; `None` if it is no peer.
    pub(crate) async fn slot_of_record(core: &Arc<Self>, domain: &Domain) -> Answered<Option<Arc<Slot>>> {
        if let Some(slot) = core.slot(domain) {
            return Ok(Some(slot));
        }
        if core.ground.read().await?.peer(domain).await?.is_none() {
            return Ok(None);
        }
        Self::sync(core).await?;
        Ok(core.slot(domain))
    }

    /// Makes the list of peers what the store says, and lets every driver look at its record again.
    async fn sync(core: &Arc<Self>) -> Answered<()> {
        let _one = core.syncing.lock().await;
        let records: BTreeMap<Domain, Peer> = {
            let peers = core.ground.read().await?.peers().await?;
            peers.into_iter().map(|peer| (peer.domain.clone(), peer)).collect()
        };
        let newcomers: Vec<Domain> = {
            let mut slots = core.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.retain(|domain, slot| {
                let stays = records.contains_key(domain);
                if stays {
                    slot.look_again();
                } else {
                    slot.end();
                }
                stays
            });
            records.into_keys().filter(|domain| !slots.contains_key(domain)).collect()
        };
        for domain in newcomers {
            let (slot, commands) = Slot::new(domain.clone());
            let resumed = relay::resume(&core.ground, &domain).await?;
            let Some(resumed) = resumed else { continue };
            core.slots.lock().unwrap_or_else(PoisonError::into_inner).insert(domain, Arc::clone(&slot));
            // Rows that were committed since its heads were read found nobody to tell.
            slot.fill();
            let (here, tasks) = (Arc::clone(core), core.tasks.clone());
            let drive = move |context: WorkerContext| {
                tasks.track_future(driver::drive(here, slot, commands, resumed, context))
            };
            core.workers.spawn(None, drive).await.map_err(|_| stopping())?;
        }
        Ok(())
    }

    async fn watch_peers(core: Arc<Self>) {
        while core.stopping.run_until_cancelled(core.changed.notified()).await.is_some() {
            if let Err(refusal) = Self::sync(&core).await {
                warn!(error = %refusal, "the list of peers could not be read, will retry");
                tokio::time::sleep(Duration::from_secs(1)).await;
                core.changed.notify_one();
            }
        }
    }

    /// Whether a stranger at this address may ask something now.
    pub(crate) fn admit_stranger(&self, address: IpAddr) -> Answered<()> {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        strangers.take(&network(address), 1, self.ground.now()).map_err(|many| {
            self.ground.metrics().limit_hit(Limit::Strangers);
            Refusal::retry(
                ErrorCode::RateLimited,
                "too many calls without trust from your address",
                many.retry_after,
            )
        })
    }

    /// Judges who is at the other end of a link from its certificate, our record and the policy.
    pub(crate) async fn judge(
        &self,
        certificate: &PeerCertificate,
        domain: &Domain,
    ) -> Answered<(TrustedLink, Peer)> {
        let known = Known::read(self.ground.read().await?.as_mut(), domain, self.ground.now()).await?;
        let presented = self.presented(certificate, domain, known.peer.as_ref());
        let judged = judge_link(domain, presented, known.state(), self.peering.policy());
        let link = judged.map_err(|untrusted| known.refusal(untrusted, self.ground.domain()))?;
        // Without a record there is no pin, so nobody without one is trusted.
        let unknown = known.refusal(Untrusted::Unknown, self.ground.domain());
        known.peer.map(|record| (link, record)).ok_or(unknown)
    }

    pub(crate) fn presented(
        &self,
        certificate: &PeerCertificate,
        domain: &Domain,
        record: Option<&Peer>,
    ) -> Presented {
        let pins: Vec<_> = record.map(|peer| peer.pin).into_iter().collect();
        match certificate.judge(&Anchors { domain, pins: &pins }, self.ground.now()) {
            Verdict::Trusted => Presented::Trusted,
            Verdict::Unpinned => Presented::Unpinned,
            Verdict::Expired => Presented::Expired,
            Verdict::NotYetValid => Presented::NotYetValid,
            Verdict::WrongDomain | Verdict::Malformed => Presented::WrongDomain,
        }
    }

    /// What we say to anybody.
    pub(crate) fn hello(&self) -> Hello {
        Hello {
            versions: VERSIONS,
            features: Vec::new(),
            domain: self.ground.domain().clone(),
            trusted: None,
        }
    }

    /// What we say to a trusted peer.
    pub(crate) async fn trusted_hello(&self, peer: &Peer) -> Answered<Hello> {
        let (streams, heads) = relay::heads_of(&self.ground, &peer.domain).await?;
        let trusted = TrustedClaims {
            incarnation: self.ground.incarnation(),
            yours: peer.incarnation,
            streams,
            heads,
            clock: self.ground.now(),
        };
        Ok(Hello { trusted: Some(trusted), ..self.hello() })
    }
}

/// Who counts as one stranger: an IPv4 address, or the /64 that one customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// The stored address of a peer; `None`: what DNS says.
pub(crate) fn address_of(peer: &Peer) -> Result<Option<FederationAddress>, String> {
    let address = peer.address.as_deref().map(str::parse).transpose();
    address.map_err(|error: qpq_federation_proto::AddressError| error.to_string())
}

pub(crate) fn stopping() -> Refusal {
    Refusal::retry(ErrorCode::Draining, "the homeserver is stopping", Millis::from_secs(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_gets_no_new_quota_by_another_address_of_his_network() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:9.9.9.9"), of("9.9.9.9"));
        assert_ne!(of("9.9.9.9"), of("9.9.9.8"));
    }
}
