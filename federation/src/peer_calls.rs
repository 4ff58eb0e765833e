//! The use cases' way to other domains.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use qpq_core::{Address, DeviceAddress, Digest, Domain, ErrorCode, GroupId, Millis, Pin, Timestamp};
use qpq_federation_proto::{ProbeReport, Undiscovered};
use qpq_service::{
    ClaimPurpose, ClaimedUser, CommitAnswer, CommitSubmit, GroupTree, PeerCallError, PeerCalls, PeerHealth,
    Refusal, Standing, UserAnswer, Views,
};
use qpq_transparency_tree::{
    KeyName, SignedCheckpoint, VerifierKey, entry::ENTRY_BYTES, witness::AddCheckpoint,
};
use qpq_transparency_wire::CosignAnswer;
use tokio::time::timeout;

use crate::{
    core::Core,
    dial,
    link::{CallError, LinkHandle},
    probe,
    slot::{Command, Trouble},
};

/// When a peer that can't be reached is worth another try.
const SOON: Millis = Millis::from_secs(5);

/// What the ground holds: it must not keep alive what stands on it.
#[derive(Debug)]
pub(crate) struct Way(pub(crate) Weak<Core>);

fn left(core: &Core, deadline: Timestamp) -> Duration {
    deadline.since(core.ground.now()).to_duration()
}

/// What the requester has verified of a peer's users is nobody else's business.
fn of_these(views: &Views, addresses: &[Address]) -> Views {
    addresses.iter().filter_map(|address| Some((address.clone(), *views.get(address)?))).collect()
}

impl Way {
    fn core(&self, peer: &Domain) -> Result<Arc<Core>, PeerCallError> {
        self.0.upgrade().ok_or_else(|| PeerCallError::Unreachable {
            domain: peer.clone(),
            why: "this homeserver is stopping".to_owned(),
            retry_after: SOON,
        })
    }

    /// Makes a call over the link to a peer, and once more if the link breaks under it.
    async fn ask<T, Fut>(
        &self,
        peer: &Domain,
        deadline: Timestamp,
        call: impl Fn(LinkHandle, Duration) -> Fut + Send,
    ) -> Result<T, PeerCallError>
    where
        Fut: Future<Output = Result<T, CallError>> + Send,
    {
        let core = self.core(peer)?;
        let asked = async {
            let slot = Core::slot_of_record(&core, peer).await.map_err(PeerCallError::Refused)?;
            let slot = slot.ok_or_else(|| PeerCallError::NotAPeer(peer.clone()))?;
            let link = slot.link().await.map_err(|trouble| no_link(peer, &trouble))?;
            let answer = match call(link, left(&core, deadline)).await {
                Err(CallError::Lost) => {
                    let link = slot.link().await.map_err(|trouble| no_link(peer, &trouble))?;
                    call(link, left(&core, deadline)).await
                }
                answer => answer,
            };
            answer.map_err(|error| no_answer(peer, error))
        };
        timeout(left(&core, deadline), asked)
            .await
            .unwrap_or_else(|_| Err(no_answer(peer, CallError::Deadline)))
    }
}

#[async_trait]
impl PeerCalls for Way {
    async fn resolve_user(
        &self,
        peer: &Domain,
        requester: &Address,
        addresses: &[Address],
        group: Option<&GroupId>,
        views: &Views,
        deadline: Timestamp,
    ) -> Result<Vec<UserAnswer>, PeerCallError> {
        self.ask(peer, deadline, |link, left| {
            let (requester, addresses, group) = (requester.clone(), addresses.to_vec(), group.cloned());
            let views = of_these(views, &addresses);
            async move { link.resolve(left, requester, addresses, group, views).await }
        })
        .await
    }

    async fn fetch_key_packages(
        &self,
        peer: &Domain,
        purpose: &ClaimPurpose,
        targets: &[Address],
        views: &Views,
        deadline: Timestamp,
    ) -> Result<Vec<ClaimedUser>, PeerCallError> {
        self.ask(peer, deadline, |link, left| {
            let (ClaimPurpose { requester, group, nonce }, targets) = (purpose.clone(), targets.to_vec());
            let views = of_these(views, &targets);
            async move { link.claim(left, requester, group, nonce, targets, views).await }
        })
        .await
    }

    async fn group_commit(
        &self,
        hub: &Domain,
        sender: &DeviceAddress,
        submit: &CommitSubmit,
        deadline: Timestamp,
    ) -> Result<CommitAnswer, PeerCallError> {
        self.ask(hub, deadline, |link, left| {
            let (sender, submit) = (sender.clone(), submit.clone());
            async move { link.commit(left, sender, submit).await }
        })
        .await
    }

    async fn group_tree(
        &self,
        hub: &Domain,
        requester: &DeviceAddress,
        group: &GroupId,
        epoch: u64,
        deadline: Timestamp,
    ) -> Result<GroupTree, PeerCallError> {
        self.ask(hub, deadline, |link, left| {
            let (requester, group) = (requester.clone(), group.clone());
            async move { link.tree(left, requester, group, epoch).await }
        })
        .await
    }

    async fn accept_invite(
        &self,
        inviter: &Domain,
        address: Option<&str>,
        pin: &Pin,
        statement: &[u8],
        deadline: Timestamp,
    ) -> Result<Vec<u8>, PeerCallError> {
        let address =
            address.map(str::parse).transpose().map_err(|error: qpq_federation_proto::AddressError| {
                PeerCallError::Refused(Refusal::malformed(error.to_string()))
            })?;
        let core = self.core(inviter)?;
        let (here, domain, pin, statement) = (Arc::clone(&core), inviter.clone(), *pin, statement.to_vec());
        let presented = core
            .workers
            .run(None, move |context| dial::present(here, domain, address, pin, statement, context));
        match timeout(left(&core, deadline), presented).await {
            Err(_) => Err(no_answer(inviter, CallError::Deadline)),
            Ok(Err(_)) => Err(PeerCallError::Refused(crate::core::stopping())),
            Ok(Ok(Err(Trouble::Stopped(_)))) => Err(PeerCallError::Refused(Refusal::new(
                ErrorCode::Untrusted,
                format!("who answers as `{inviter}` doesn't have the certificate that the invite names"),
            ))),
            Ok(Ok(Err(Trouble::NotFound(other @ Undiscovered::AnotherDomain { .. })))) => {
                Err(PeerCallError::Refused(Refusal::new(ErrorCode::Untrusted, other.to_string())))
            }
            Ok(Ok(Err(trouble))) => Err(no_link(inviter, &trouble)),
            Ok(Ok(Ok(answer))) => answer.map_err(PeerCallError::Refused),
        }
    }

    async fn health(&self, peer: &Domain) -> PeerHealth {
        let found = self.0.upgrade().and_then(|core| Some((core.slot(peer)?, core.ground.now())));
        found.map_or_else(
            || PeerHealth {
                reachable: false,
                state: "no peer".to_owned(),
                retry_at: None,
                key_exchange: None,
                standing: Standing::Healthy,
                trouble: None,
                clock_skew_ms: None,
                version: None,
            },
            |(slot, now)| slot.health(now),
        )
    }

    async fn probe(&self, peer: &Domain) -> Result<ProbeReport, PeerCallError> {
        let core = self.core(peer)?;
        let (here, domain) = (Arc::clone(&core), peer.clone());
        let looked = core.workers.run(None, move |context| probe::probe(here, domain, context)).await;
        match looked {
            Err(_) => Err(PeerCallError::Refused(crate::core::stopping())),
            Ok(report) => {
                report.map_err(PeerCallError::Refused)?.ok_or_else(|| PeerCallError::NotAPeer(peer.clone()))
            }
        }
    }

    async fn add_checkpoint(
        &self,
        peer: &Domain,
        log: &VerifierKey,
        request: &AddCheckpoint,
        deadline: Timestamp,
    ) -> Result<CosignAnswer, PeerCallError> {
        self.ask(peer, deadline, |link, left| {
            let (log, request) = (log.clone(), request.clone());
            async move { link.add_checkpoint(left, log, request).await }
        })
        .await
    }

    async fn witnessed_checkpoint(
        &self,
        peer: &Domain,
        origin: &KeyName,
        deadline: Timestamp,
    ) -> Result<Option<SignedCheckpoint>, PeerCallError> {
        self.ask(peer, deadline, |link, left| {
            let origin = origin.clone();
            async move { link.witnessed(left, origin).await }
        })
        .await
    }

    async fn log_entries(
        &self,
        peer: &Domain,
        origin: &KeyName,
        first: u64,
        deadline: Timestamp,
    ) -> Result<Vec<[u8; ENTRY_BYTES]>, PeerCallError> {
        self.ask(peer, deadline, |link, left| {
            let origin = origin.clone();
            async move { link.log_entries(left, origin, first).await }
        })
        .await
    }

    async fn log_consistency(
        &self,
        peer: &Domain,
        sizes: (u64, u64),
        deadline: Timestamp,
    ) -> Result<Vec<Digest>, PeerCallError> {
        self.ask(peer, deadline, |link, left| async move { link.log_consistency(left, sizes).await }).await
    }

    fn standings(&self) -> Vec<(Domain, Standing)> {
        self.0.upgrade().map_or_else(Vec::new, |core| core.standings())
    }

    fn outbox_filled(&self, destinations: &[Domain]) {
        let Some(core) = self.0.upgrade() else { return };
        for destination in destinations {
            if let Some(slot) = core.slot(destination) {
                slot.fill();
            }
        }
    }

    async fn retry(&self, peer: &Domain) {
        if let Some(slot) = self.0.upgrade().and_then(|core| core.slot(peer)) {
            slot.tell(Command::Retry).await;
        }
    }

    fn peers_changed(&self) {
        if let Some(core) = self.0.upgrade() {
            core.peers_changed();
        }
    }
}

fn no_link(peer: &Domain, trouble: &Trouble) -> PeerCallError {
    match trouble {
        Trouble::Unreachable(_) | Trouble::NotFound(_) => {
            PeerCallError::Unreachable { domain: peer.clone(), why: trouble.words(), retry_after: SOON }
        }
        Trouble::Overloaded { retry_after } => PeerCallError::Unreachable {
            domain: peer.clone(),
            why: trouble.words(),
            retry_after: (*retry_after).max(Millis(1)),
        },
        Trouble::Stopped(reason) => PeerCallError::Refused(Refusal::new(
            ErrorCode::PolicyRefused,
            format!("nothing can be asked of `{peer}`: {}", reason.words()),
        )),
    }
}

fn no_answer(peer: &Domain, error: CallError) -> PeerCallError {
    let (why, retry_after) = match error {
        CallError::Refused(refusal) => return PeerCallError::Refused(refusal),
        CallError::Lost => ("the link broke".to_owned(), SOON),
        CallError::Deadline => ("it did not answer in time".to_owned(), SOON),
        CallError::Overloaded(retry_after) => ("it asks for time".to_owned(), retry_after),
        CallError::Nonsense(why) => (format!("its answer makes no sense: {why}"), SOON),
    };
    PeerCallError::Unreachable { domain: peer.clone(), why, retry_after }
}
