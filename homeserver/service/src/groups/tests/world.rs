//! Two or more domains in one process: real use cases, real MLS members, stores in memory, and a relay that the test
//! turns by hand.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, Weak},
};

use async_trait::async_trait;
use qpq_core::{
    AccountId, Address, Clock as _, DeviceAddress, Domain, Entropy as _, GroupId, Incarnation, Localpart,
    Millis, OsEntropy, Pin, Seq, SessionId, SystemClock, Timestamp,
};
use qpq_federation_proto::{Row, RowKind};
use qpq_hub::Engine;
use qpq_storage::{
    Account, Contact, Device, Feed, MailboxRow, Notice, Peer, PeerState, Storage as _, Stored, Vault,
    WriteTx,
    memory::{Copied, MemoryStorage},
};
use tokio::task::JoinSet;

use super::member::{CLASSICAL, Change, Member};
use crate::{
    ClaimPurpose, ClaimedUser, CommitAnswer, CommitSubmit, Effects, Ground, GroupTree, Groups, LiveSessions,
    PeerCallError, PeerCalls, PeerHealth, SessionHandle, Settings, Standing, SubmitRates, UserAnswer, Views,
    WriteJob, Writer, relay::RowOutcome,
};

/// How the domains find each other, once all of them are there.
type Sites = Arc<OnceLock<Mutex<BTreeMap<Domain, Weak<Site>>>>>;

/// One domain.
pub(super) struct Site {
    pub(super) domain: Domain,
    pub(super) ground: Arc<Ground>,
    pub(super) groups: Groups,
    storage: MemoryStorage,
    live: Arc<LiveSessions>,
    _writer: JoinSet<()>,
}

/// All domains.
pub(super) struct World {
    pub(super) sites: BTreeMap<Domain, Arc<Site>>,
}

/// A device with its session.
pub(super) struct User {
    pub(super) mls: Member,
    pub(super) session: SessionHandle,
    pub(super) site: Arc<Site>,
}

impl World {
    pub(super) async fn new(domains: &[&str], settings: Settings) -> Self {
        let domains: Vec<Domain> = domains.iter().map(|name| name.parse().unwrap()).collect();
        let mesh: Sites = Arc::default();
        let mut sites = BTreeMap::new();
        for domain in &domains {
            let site = Arc::new(Site::new(domain.clone(), settings.clone()));
            let others = domains.iter().filter(|other| *other != domain);
            let mut tx = site.storage.write().await.unwrap();
            for other in others {
                tx.peer_store(&peer(other)).await.unwrap();
            }
            tx.commit().await.unwrap();
            site.ground.connect_peers(Arc::new(Mesh { us: domain.clone(), sites: Arc::clone(&mesh) }));
            sites.insert(domain.clone(), site);
        }
        let weak = sites.iter().map(|(domain, site)| (domain.clone(), Arc::downgrade(site))).collect();
        assert!(mesh.set(Mutex::new(weak)).is_ok());
        Self { sites }
    }

    pub(super) fn site(&self, domain: &str) -> &Arc<Site> {
        &self.sites[domain]
    }

    /// An account with one device, logged in.
    pub(super) async fn user(&self, address: &str, n: u8) -> User {
        let mls = Member::new(address, n, CLASSICAL);
        let site = Arc::clone(self.site(mls.device.user.domain().as_str()));
        let account = site.enrol(&mls).await;
        let expires = Timestamp::from_millis(u64::MAX);
        let session = site.live.prepare(SessionId::from_bytes([n; 16]), account, mls.device.clone(), expires);
        User { mls, session, site }
    }

    /// Another device of a user's account, logged in.
    pub(super) async fn user_device(&self, address: &str, n: u8, first: &User) -> User {
        let mls = first.mls.sibling(address, n);
        let site = Arc::clone(&first.site);
        let account = first.session.account();
        site.enrol_device(&mls, account).await;
        let expires = Timestamp::from_millis(u64::MAX);
        let session = site.live.prepare(SessionId::from_bytes([n; 16]), account, mls.device.clone(), expires);
        User { mls, session, site }
    }

    /// Carries all rows of all outboxes, until nothing is left; returns the refused ones.
    pub(super) async fn relay(&self) -> Vec<RowOutcome> {
        let mut refused = Vec::new();
        loop {
            let mut moved = false;
            for from in self.sites.values() {
                for to in self.sites.values().filter(|to| to.domain != from.domain) {
                    for row in from.take_outbox(&to.domain).await {
                        moved = true;
                        let outcome = to.apply(&from.domain, row).await;
                        if matches!(outcome, RowOutcome::Refused(_)) {
                            refused.push(outcome);
                        }
                    }
                }
            }
            if !moved {
                return refused;
            }
        }
    }
}

impl Site {
    fn new(domain: Domain, settings: Settings) -> Self {
        let mut entropy = OsEntropy::new().unwrap();
        let incarnation = Incarnation::begin(SystemClock.now(), &mut entropy);
        let created_at = SystemClock.now();
        let storage = MemoryStorage::of(Vault { domain: domain.clone(), incarnation, created_at });
        let (writer, task) = Writer::new(Arc::new(storage.clone()));
        let mut running = JoinSet::new();
        running.spawn(task);
        let rates = Arc::new(SubmitRates::per_minute(settings.submits_per_minute));
        let ground = Arc::new(Ground::new(
            domain.clone(),
            incarnation,
            settings,
            Arc::new(SystemClock),
            Box::new(entropy),
            Arc::new(storage.clone()),
            writer,
        ));
        let groups = Groups::new(Arc::clone(&ground), Engine::new().unwrap(), rates);
        Self { domain, ground, groups, storage, live: Arc::default(), _writer: running }
    }

    /// The same store under new use cases: what a restart leaves.
    pub(super) fn restarted_groups(&self) -> Groups {
        let rates = Arc::new(SubmitRates::per_minute(1_000));
        Groups::new(Arc::clone(&self.ground), Engine::new().unwrap(), rates)
    }

    async fn enrol(&self, mls: &Member) -> AccountId {
        let id = AccountId::random(&mut OsEntropy::new().unwrap());
        let localpart: Localpart = mls.device.user.localpart().clone();
        let mut tx = self.storage.write().await.unwrap();
        let now = SystemClock.now();
        let account = Account {
            id,
            localpart,
            opaque_record: vec![],
            identity_key: mls.identity_key(),
            sealed_identity: vec![],
            created_at: now,
        };
        tx.account_create(&account, &device(mls, id), None).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    async fn enrol_device(&self, mls: &Member, account: AccountId) {
        let mut tx = self.storage.write().await.unwrap();
        tx.device_enrol(&device(mls, account), 16).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(super) async fn take_outbox(&self, to: &Domain) -> Vec<Row> {
        let mut tx = self.storage.write().await.unwrap();
        let now = SystemClock.now();
        let mut taken = Vec::new();
        for head in tx.outbox_heads(to).await.unwrap() {
            let rows =
                tx.outbox_rows(to, &head.lane, head.acknowledged.next(), 1_000, usize::MAX).await.unwrap();
            for row in rows {
                taken.push(Row {
                    seq: row.seq,
                    id: row.row.id,
                    kind: RowKind::from_number(row.row.kind),
                    ttl: row.row.expires_at.map(|end| end.since(now)),
                    payload: row.row.payload,
                    request: row.row.request,
                });
            }
            tx.outbox_acknowledge(to, &head.lane, head.last, None, now).await.unwrap();
        }
        tx.commit().await.unwrap();
        taken
    }

    pub(super) async fn apply(&self, origin: &Domain, row: Row) -> RowOutcome {
        let job = ApplyOne {
            ground: Arc::clone(&self.ground),
            origin: origin.clone(),
            row,
            effects: Effects::default(),
        };
        self.ground.write(job).await.unwrap()
    }

    /// Applies entries in one transaction, as one batch brings them.
    pub(super) async fn apply_together(&self, origin: &Domain, rows: &[Row]) -> Vec<RowOutcome> {
        let job = ApplyTogether {
            ground: Arc::clone(&self.ground),
            origin: origin.clone(),
            rows: rows.to_vec(),
            effects: Effects::default(),
        };
        self.ground.write(job).await.unwrap()
    }

    /// What is stored, to be put back.
    pub(super) fn copied(&self) -> Copied {
        self.storage.copied()
    }

    pub(super) fn put_back(&self, copied: &Copied) {
        self.storage.put_back(copied);
    }

    pub(super) async fn notices(&self, device: &DeviceAddress) -> Vec<Notice> {
        let mut tx = self.storage.read().await.unwrap();
        let rows = tx.mailbox_after(&device.device, Seq::ZERO, 1_000).await.unwrap();
        rows.into_iter().map(|MailboxRow { notice, .. }| notice).collect()
    }

    /// Lets go of everything in the logs that everybody here has read.
    pub(super) async fn prunes(&self) {
        let (mut tx, now) = (self.storage.write().await.unwrap(), self.ground.now());
        assert!(tx.log_prune(now.after(Millis(1)), now, 0).await.unwrap() > 0);
        tx.commit().await.unwrap();
    }

    pub(super) async fn knows_peer(&self, domain: &Domain) {
        let mut tx = self.storage.write().await.unwrap();
        tx.peer_store(&peer(domain)).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(super) async fn forget_peer(&self, domain: &Domain) {
        let mut tx = self.storage.write().await.unwrap();
        tx.peer_remove(domain).await.unwrap();
        tx.commit().await.unwrap();
    }
}

impl User {
    pub(super) async fn creates(&mut self, group: &GroupId) {
        let (info, tree) = self.mls.create(group);
        self.site.groups.create(&self.session, group, info, &tree).await.unwrap();
    }

    pub(super) fn offers(&mut self, group: &GroupId, change: Change) -> CommitSubmit {
        let offer = self.mls.offer(change);
        CommitSubmit {
            id: offer.id,
            group: group.clone(),
            epoch: offer.epoch,
            commit: offer.commit,
            group_info: offer.group_info,
            welcome: offer.welcome,
            signature: offer.signature,
        }
    }

    pub(super) async fn commits(&mut self, group: &GroupId, change: Change) {
        let submit = self.offers(group, change);
        let answer = self.site.groups.commit(&self.session, submit).await.unwrap();
        assert!(matches!(answer, CommitAnswer::Accepted { .. }), "{answer:?}");
        self.mls.won();
    }

    pub(super) async fn adds(&mut self, group: &GroupId, others: &[&Self]) {
        let add = others.iter().map(|user| user.mls.key_package(84)).collect();
        self.commits(group, Change { add, ..Change::default() }).await;
    }

    /// Accepts a user of another domain, as if they had not asked.
    pub(super) async fn accepts(&self, other: &Self) {
        let mut tx = self.site.storage.write().await.unwrap();
        let accepted = Contact::Accepted { since: self.site.ground.now() };
        tx.contact_store(&self.session.account(), &other.mls.device.user, &accepted).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Acknowledges everything in the group's log.
    pub(super) async fn reads(&self, group: &GroupId) {
        let mut tx = self.site.storage.write().await.unwrap();
        let positions = [(Feed::Group(group.clone()), Seq(u64::MAX))];
        tx.feeds_acknowledge(&self.mls.device.device, &positions).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Joins by the newest Welcome in the mailbox, with the tree from the hub.
    pub(super) async fn joins(&mut self, group: &GroupId) {
        let notices = self.site.notices(&self.mls.device).await;
        let welcomes = notices.into_iter().filter_map(|notice| match notice {
            Notice::Welcome { epoch, welcome, .. } => Some((epoch, welcome)),
            _ => None,
        });
        let (epoch, welcome) = welcomes.last().expect("a Welcome is in the mailbox");
        let tree = self.site.groups.tree(&self.session, group, epoch).await.unwrap();
        self.mls.join(&welcome, &tree.ratchet_tree);
    }
}

struct ApplyOne {
    ground: Arc<Ground>,
    origin: Domain,
    row: Row,
    effects: Effects,
}

#[async_trait]
impl WriteJob for ApplyOne {
    type Output = RowOutcome;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<RowOutcome> {
        self.effects = Effects::default();
        super::super::apply_row(&self.ground, tx, &self.origin, &self.row, &mut self.effects).await
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}

struct ApplyTogether {
    ground: Arc<Ground>,
    origin: Domain,
    rows: Vec<Row>,
    effects: Effects,
}

#[async_trait]
impl WriteJob for ApplyTogether {
    type Output = Vec<RowOutcome>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Vec<RowOutcome>> {
        self.effects = Effects::default();
        let (ground, origin) = (&self.ground, &self.origin);
        super::super::apply_entries(ground, tx, origin, &self.rows, &mut self.effects).await
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}

fn device(mls: &Member, account: AccountId) -> Device {
    let now = SystemClock.now();
    Device { account, certificate: mls.certificate(), enrolled_at: now, last_seen_at: now, revoked_at: None }
}

fn peer(domain: &Domain) -> Peer {
    Peer {
        domain: domain.clone(),
        state: PeerState::Allowed,
        address: Some("127.0.0.1:1".to_owned()),
        pin: Pin::of_spki(domain.as_str().as_bytes()),
        ca_certificate: vec![],
        federation_key: [0; 32],
        incarnation: None,
        refused: None,
        since: Timestamp::from_millis(1),
        note: String::new(),
    }
}

/// Calls straight into the other domains' use cases.
#[derive(Debug)]
struct Mesh {
    us: Domain,
    sites: Sites,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Mesh {
    fn site(&self, domain: &Domain) -> Result<Arc<Site>, PeerCallError> {
        let site = self.sites.get().and_then(|sites| sites.lock().unwrap().get(domain)?.upgrade());
        site.ok_or_else(|| PeerCallError::NotAPeer(domain.clone()))
    }
}

#[async_trait]
impl PeerCalls for Mesh {
    async fn resolve_user(
        &self,
        peer: &Domain,
        _: &Address,
        addresses: &[Address],
        _: Option<&GroupId>,
        _: &Views,
        _: Timestamp,
    ) -> Result<Vec<UserAnswer>, PeerCallError> {
        let site = self.site(peer)?;
        let mut tx = site.storage.read().await.unwrap();
        let mut answers = Vec::new();
        for address in addresses {
            let keys =
                super::super::certificates::local_keys(tx.as_mut(), &site.ground, address).await.unwrap();
            answers.push(keys.ok_or_else(|| (address.clone(), crate::Refusal::malformed("unknown"))));
        }
        Ok(answers)
    }

    async fn fetch_key_packages(
        &self,
        peer: &Domain,
        _: &ClaimPurpose,
        _: &[Address],
        _: &Views,
        _: Timestamp,
    ) -> Result<Vec<ClaimedUser>, PeerCallError> {
        Err(PeerCallError::NotAPeer(peer.clone()))
    }

    async fn group_commit(
        &self,
        hub: &Domain,
        sender: &DeviceAddress,
        submit: &CommitSubmit,
        _: Timestamp,
    ) -> Result<CommitAnswer, PeerCallError> {
        let site = self.site(hub)?;
        site.groups.commit_from_peer(&self.us, sender, submit.clone()).await.map_err(PeerCallError::Refused)
    }

    async fn group_tree(
        &self,
        hub: &Domain,
        requester: &DeviceAddress,
        group: &GroupId,
        epoch: u64,
        _: Timestamp,
    ) -> Result<GroupTree, PeerCallError> {
        let site = self.site(hub)?;
        site.groups.tree_for_peer(&self.us, requester, group, epoch).await.map_err(PeerCallError::Refused)
    }

    async fn accept_invite(
        &self,
        inviter: &Domain,
        _: Option<&str>,
        _: &Pin,
        _: &[u8],
        _: Timestamp,
    ) -> Result<Vec<u8>, PeerCallError> {
        Err(PeerCallError::NotAPeer(inviter.clone()))
    }

    async fn health(&self, _: &Domain) -> PeerHealth {
        PeerHealth {
            reachable: true,
            state: "in process".to_owned(),
            retry_at: None,
            key_exchange: None,
            standing: Standing::Healthy,
            trouble: None,
            clock_skew_ms: None,
            version: None,
        }
    }

    fn outbox_filled(&self, _: &[Domain]) {}

    async fn retry(&self, _: &Domain) {}

    fn peers_changed(&self) {}
}

pub(super) fn group(hub: &str) -> GroupId {
    let mut random = [0; 16];
    OsEntropy::new().unwrap().fill(&mut random);
    GroupId::new(random, 1, hub.parse().unwrap())
}
