//! Gathering the facts of a running homeserver, each with a deadline, and keeping the last report: `/readyz` and the
//! console ask often and must not cost a look at everything.

use std::{
    collections::BTreeSet,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use qpq_core::{Domain, Millis, Timestamp};
use qpq_storage::{JobRun, ReadTx, StorageError, Window};
use qpq_transparency::cosigning;
use tokio::time::timeout;

use super::{DatabaseFact, Facts, Finding, Integrity, PeerFact, Report, ServerFact, WitnessingFact, judge};
use crate::{Ground, Machine, MachineFacts, PeerView, Peering};

/// How long the store may take to tell something.
const STORE: Duration = Duration::from_secs(3);
/// How long the machine may take.
const MACHINE: Duration = Duration::from_secs(10);
/// How long somebody waits for a look at the whole database.
const INTERACTIVE: Duration = Duration::from_secs(10);
/// Who asks again so soon gets what was found before.
const FRESH: Millis = Millis::from_secs(60);
/// More peers are not judged one by one.
const PEERS: usize = 1_000;

/// How closely is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The database as it was found the last time.
    Quick,
    /// The whole database too, as far as it is read in some seconds.
    Thorough,
}

/// The checks of a running homeserver; cheap to clone.
#[derive(Clone, Debug)]
pub struct Checks {
    ground: Arc<Ground>,
    peering: Peering,
    machine: Arc<dyn Machine>,
    last: Arc<Mutex<Option<Report>>>,
    database: Arc<Mutex<Option<DatabaseFact>>>,
    /// One look at the whole database at a time.
    looking: Arc<tokio::sync::Mutex<()>>,
}

impl Checks {
    /// Of this homeserver.
    pub fn new(ground: Arc<Ground>, peering: Peering, machine: Arc<dyn Machine>) -> Self {
        Self {
            ground,
            peering,
            machine,
            last: Arc::default(),
            database: Arc::default(),
            looking: Arc::default(),
        }
    }

    /// Looks and judges.
    pub async fn run(&self, depth: Depth) -> Report {
        if depth == Depth::Thorough {
            self.look_at_database().await;
        }
        let report = judge(&self.facts().await);
        self.ground.metrics().findings(|severity| {
            let named = report.findings.iter().filter(|finding| finding.severity.name() == severity.name());
            u64::try_from(named.count()).unwrap_or(u64::MAX)
        });
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(report.clone());
        report
    }

    /// What was found the last time; `None`: nobody looked yet.
    pub fn last(&self) -> Option<Report> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why the homeserver can't do its work, as far as the last look saw.
    pub fn preventing_work(&self) -> Vec<String> {
        let sentence = |finding: &Finding| format!("{}: {}", finding.subject, finding.cause);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let findings = last.iter().flat_map(|report| &report.findings);
        findings.filter(|finding| finding.prevents_work).map(sentence).collect()
    }

    /// What only the machine knows.
    pub async fn machine(&self) -> MachineFacts {
        timeout(MACHINE, self.machine.look()).await.unwrap_or_else(|_| MachineFacts {
            unseen: vec!["the machine".to_owned()],
            ..MachineFacts::default()
        })
    }

    /// Reads the whole database, however long that takes.
    pub async fn check_database(&self) -> Integrity {
        let _one = self.looking.lock().await;
        self.looked(self.machine.integrity().await)
    }

    /// The same for somebody who waits.
    async fn look_at_database(&self) {
        let looked = timeout(INTERACTIVE, async {
            let _one = self.looking.lock().await;
            if !self.is_fresh(self.ground.now()) {
                self.looked(self.machine.integrity().await);
            }
        });
        let known = || self.database.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if looked.await.is_err() && !known() {
            self.looked(Integrity::Unknown(format!("it takes longer than {} s", INTERACTIVE.as_secs())));
        }
    }

    /// Whether somebody looked a moment ago; a look of the future was one before the clock was set back.
    fn is_fresh(&self, now: Timestamp) -> bool {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        database.as_ref().is_some_and(|fact| fact.at <= now && now.since(fact.at) < FRESH)
    }

    fn looked(&self, integrity: Integrity) -> Integrity {
        let fact = DatabaseFact { integrity: integrity.clone(), at: self.ground.now() };
        *self.database.lock().unwrap_or_else(PoisonError::into_inner) = Some(fact);
        integrity
    }

    async fn facts(&self) -> Facts {
        let machine = self.machine().await;
        let (store, stored) = match timeout(STORE, self.stored()).await {
            Ok(Ok(stored)) => (None, stored),
            Ok(Err(cause)) => (Some(words(&cause)), Told::default()),
            Err(_) => (Some(format!("no answer within {} s", STORE.as_secs())), Told::default()),
        };
        let whole = Window { offset: 0, limit: PEERS };
        let peers = match timeout(STORE, self.peering.list("", None, whole)).await {
            Ok(Ok(page)) => page.rows.into_iter().map(PeerFact::from).collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        Facts {
            now: self.ground.now(),
            server: ServerFact::Running,
            machine,
            database: self.database.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            store,
            rolled_back_by: stored.rolled_back_by,
            log_damaged: stored.log_damaged,
            witnessing: stored.witnessing,
            peers,
            dead_letters: stored.dead_letters,
            jobs: stored.jobs,
        }
    }

    async fn witnessing(&self, tx: &mut dyn ReadTx) -> Result<WitnessingFact, StorageError> {
        let now = self.ground.now();
        let halted = self.ground.signing().halted();
        let silent = cosigning::standings(tx).await?.into_iter().filter_map(|standing| {
            let (why, at) = standing.failed.filter(|(_, at)| standing.named && at.after(SILENT) <= now)?;
            Some((standing.key.name().to_string(), format!("{why} (since {at})")))
        });
        let silent = silent.collect();
        let evidence = tx.kt_evidence_after(0, EVIDENCE).await?;
        let uncleared = evidence.into_iter().filter(|found| found.cleared_at.is_none());
        let two_histories: BTreeSet<String> = uncleared.map(|found| found.found.origin).collect();
        Ok(WitnessingFact { halted, silent, two_histories: two_histories.into_iter().collect() })
    }

    async fn stored(&self) -> Result<Told, StorageError> {
        let mut tx = self.ground.view().await?;
        let log = match self.ground.log_keys() {
            Some(keys) => qpq_transparency::open(tx.as_mut(), keys).await.map(drop),
            None => Ok(()),
        };
        let log_damaged = match log {
            Ok(()) => self.ground.log_fault(),
            Err(StorageError::Corrupt { what, .. }) => Some(what),
            Err(other) => return Err(other),
        };
        let witnessing = self.witnessing(tx.as_mut()).await?;
        Ok(Told {
            log_damaged,
            witnessing,
            jobs: tx.job_runs().await?,
            rolled_back_by: tx.rollback().await?.map(|rollback| rollback.shown_by),
            dead_letters: tx.dead_letters(None, Window { offset: 0, limit: 0 }).await?.total,
        })
    }
}

/// How long a witness that has failed is not worth a word.
const SILENT: Millis = Millis::from_secs(600);
/// How much evidence is looked at.
const EVIDENCE: usize = 200;

/// What the store tells.
#[derive(Debug, Default)]
struct Told {
    jobs: Vec<JobRun>,
    rolled_back_by: Option<Domain>,
    log_damaged: Option<String>,
    witnessing: WitnessingFact,
    dead_letters: u64,
}

impl From<PeerView> for PeerFact {
    fn from(peer: PeerView) -> Self {
        Self {
            domain: peer.domain,
            standing: peer.state,
            trouble: peer.last_error,
            queued: peer.queued,
            queue_percent: peer.queue_percent,
            oldest_ms: peer.oldest_queued_ms,
            skew_ms: peer.clock_skew_ms,
        }
    }
}

/// An error with what caused it.
fn words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
