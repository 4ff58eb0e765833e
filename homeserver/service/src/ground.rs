//! What every use case stands on.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use qpq_core::{Clock, Domain, Entropy, Incarnation, RequestId, Timestamp, limits};
use qpq_federation_proto::DirectoryPolicy;
use qpq_metrics::{Limit, Metrics};
use qpq_storage::{ReadTx, Storage, Stored, WriteTx};
use qpq_transparency::{LogKeys, WitnessKey};
use qpq_transparency_tree::config::KeyUse;
use tokio::sync::watch;

use crate::{
    Answered, Effects, NoPeers, Notary, PeerCalls, Settings, Wakes, WriteJob, Writer, request,
    transparency::signing::SigningGate,
};

/// Domain, clock, entropy, storage, writer, wakes and peers: shared by all use cases, never mutable from outside.
#[derive(Debug)]
pub struct Ground {
    domain: Domain,
    incarnation: Incarnation,
    settings: Settings,
    directory: RwLock<DirectoryPolicy>,
    clock: Arc<dyn Clock>,
    entropy: Mutex<Box<dyn Entropy>>,
    storage: Arc<dyn Storage>,
    writer: Writer,
    wakes: Arc<Wakes>,
    peers: OnceLock<Arc<dyn PeerCalls>>,
    notary: OnceLock<Notary>,
    log: OnceLock<LogKeys>,
    witness: OnceLock<WitnessKey>,
    /// The public keys of the domain, which the log says.
    domain_keys: Mutex<Vec<(KeyUse, [u8; 32])>>,
    signing: SigningGate,
    /// One reading of the whole log at a time.
    log_reading: tokio::sync::Mutex<()>,
    /// What the last reading found wrong.
    log_fault: Mutex<Option<String>>,
    metrics: Metrics,
    halted: watch::Sender<Option<String>>,
}

impl Ground {
    /// Puts the ground together. The writer's task is the caller's to run ([`Writer::new`]).
    pub fn new(
        domain: Domain,
        incarnation: Incarnation,
        settings: Settings,
        clock: Arc<dyn Clock>,
        entropy: Box<dyn Entropy>,
        storage: Arc<dyn Storage>,
        writer: Writer,
    ) -> Self {
        Self {
            domain,
            incarnation,
            directory: RwLock::new(settings.directory),
            settings,
            clock,
            entropy: Mutex::new(entropy),
            storage,
            writer,
            wakes: Arc::new(Wakes::default()),
            peers: OnceLock::new(),
            notary: OnceLock::new(),
            log: OnceLock::new(),
            witness: OnceLock::new(),
            domain_keys: Mutex::default(),
            signing: SigningGate::new(),
            log_reading: tokio::sync::Mutex::new(()),
            log_fault: Mutex::new(None),
            metrics: Metrics::new(env!("CARGO_PKG_VERSION")),
            halted: watch::Sender::new(None),
        }
    }

    /// Says that this server must not go on, and why. The first reason counts.
    pub(crate) fn halt(&self, why: &str) {
        self.halted.send_if_modified(|halted| {
            let first = halted.is_none();
            halted.get_or_insert_with(|| why.to_owned());
            first
        });
    }

    /// Waits until this server must not go on; says why.
    pub async fn halted(&self) -> String {
        let mut halted = self.halted.subscribe();
        // The sender lives as long as we do.
        halted.wait_for(Option::is_some).await.ok().and_then(|why| why.clone()).unwrap_or_default()
    }

    /// Our domain.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// This life of the database.
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// What the admin chose.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who sees our users unasked.
    pub fn directory(&self) -> DirectoryPolicy {
        *self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes who sees our users unasked, from the next question on.
    pub fn set_directory(&self, policy: DirectoryPolicy) {
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        if *directory != policy {
            tracing::info!(former = %*directory, %policy, "the directory policy has changed");
        }
        *directory = policy;
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The end of an interactive call that begins now: no later than that of the request that it is made for.
    pub fn interactive_deadline(&self) -> Timestamp {
        let own = self.now().after(limits::INTERACTIVE);
        request::deadline().map_or(own, |theirs| theirs.min(own))
    }

    /// A new request's id.
    pub fn new_request(&self) -> RequestId {
        self.draw(RequestId::random)
    }

    /// Draws from the entropy source.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut dyn Entropy) -> T) -> T {
        draw(self.entropy.lock().unwrap_or_else(PoisonError::into_inner).as_mut())
    }

    /// Opens a consistent view of the store.
    pub async fn read(&self) -> Answered<Box<dyn ReadTx>> {
        let started = tokio::time::Instant::now();
        let view = self.storage.read().await?;
        self.metrics.storage("read-open", started.elapsed());
        Ok(view)
    }

    /// How many writes wait for the next batch.
    pub fn writes_waiting(&self) -> usize {
        self.writer.waiting()
    }

    /// The same for who wants to know why it can't be had.
    pub(crate) async fn view(&self) -> Stored<Box<dyn ReadTx>> {
        self.storage.read().await
    }

    /// Opens a write transaction beside the writer, at the start, when nobody else writes.
    pub(crate) async fn write_alone(&self) -> Stored<Box<dyn WriteTx>> {
        self.storage.write().await
    }

    /// Runs a write job in the next group commit; answers after it is durable. Its effects (wakes, outbox) follow the
    /// commit even if the caller has gone meanwhile.
    pub async fn write<J: WriteJob>(self: &Arc<Self>, job: J) -> Answered<J::Output> {
        self.writer.write(Arc::clone(self), job).await
    }

    /// Tells sessions and the federation what a commit brought them.
    pub fn follow(&self, effects: Effects) {
        for limit in effects.limits {
            self.metrics.limit_hit(limit);
        }
        for (device, feeds) in effects.wakes {
            self.wakes.wake(&device, feeds);
        }
        if !effects.destinations.is_empty() {
            let destinations: Vec<_> = effects.destinations.into_iter().collect();
            self.peers().outbox_filled(&destinations);
        }
    }

    /// What is counted.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Counts it if this limit bit.
    pub(crate) fn limited<T>(&self, limit: Limit, admitted: Answered<T>) -> Answered<T> {
        admitted.inspect_err(|_| self.metrics.limit_hit(limit))
    }

    /// The devices' subscriptions.
    pub const fn wakes(&self) -> &Arc<Wakes> {
        &self.wakes
    }

    /// The way to other domains.
    pub fn peers(&self) -> &dyn PeerCalls {
        self.peers.get().map_or(&NoPeers, AsRef::as_ref)
    }

    /// Who signs for this domain; `None` before anybody does.
    pub fn notary(&self) -> Option<&Notary> {
        self.notary.get()
    }

    /// The keys of the domain's log; `None` before it was opened.
    pub fn log_keys(&self) -> Option<&LogKeys> {
        self.log.get()
    }

    /// The key that cosigns the logs of others; `None` before there is one.
    pub(crate) fn witness_key(&self) -> Option<&WitnessKey> {
        self.witness.get()
    }

    /// What the domain's keys are now, for the log to say.
    pub(crate) fn domain_keys(&self) -> Vec<(KeyUse, [u8; 32])> {
        self.domain_keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps them, at start.
    pub(crate) fn says_its_keys(&self, keys: Vec<(KeyUse, [u8; 32])>) {
        *self.domain_keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Whether the log may be signed now.
    pub(crate) const fn signing(&self) -> &SigningGate {
        &self.signing
    }

    /// Who reads the whole log holds this.
    pub(crate) const fn log_reading(&self) -> &tokio::sync::Mutex<()> {
        &self.log_reading
    }

    /// Keeps what a reading of the whole log found wrong.
    pub(crate) fn log_was(&self, wrong: Option<String>) {
        *self.log_fault.lock().unwrap_or_else(PoisonError::into_inner) = wrong;
    }

    /// What the last reading of the whole log found wrong.
    pub(crate) fn log_fault(&self) -> Option<String> {
        self.log_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the keys of the log that was opened, once, at start.
    pub(crate) fn keep_log(&self, keys: LogKeys) {
        if self.log.set(keys).is_err() {
            tracing::warn!("the log was opened twice; the first keys stay");
        }
    }

    /// Lets this domain witness the logs of others, once, at start.
    pub fn appoint_witness(&self, key: WitnessKey) {
        if self.witness.set(key).is_err() {
            tracing::warn!("a witness was appointed twice; the first one stays");
        }
    }

    /// Lets somebody sign for this domain, once, at start: from here on deliveries are proven.
    pub fn appoint(&self, notary: Notary) {
        if self.notary.set(notary).is_err() {
            tracing::warn!("a notary was appointed twice; the first one stays");
        }
    }

    /// Connects the way to other domains, once, at start: it needs the ground itself, so it comes after it.
    pub fn connect_peers(&self, peers: Arc<dyn PeerCalls>) {
        if self.peers.set(peers).is_err() {
            tracing::warn!("the way to other domains was connected twice; the first one stays");
        }
    }
}
