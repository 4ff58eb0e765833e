//! The metrics themselves, registered under the names and with the help texts of the table.

use std::{
    hash::Hash,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Metric as RegistryMetric, Registry, Unit},
};

use crate::{
    Bans, DiscoveryFailure, Limit, LoginFailure, PeerState, SignInFailure, Snapshot,
    labels::{
        BanLabels, CallLabels, CertificateLabels, DiscoveryFailureLabels, JobLabels, LimitLabels,
        LoginFailureLabels, OperationLabels, PeerCallLabels, RequestLabels, SeverityLabels,
        SignInFailureLabels, StateLabels,
    },
    table,
};

/// Upper bounds of durations, in seconds: from a cached read to a call that hits its deadline.
const SECONDS: [f64; 12] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

type Durations<Labels> = Family<Labels, Histogram, fn() -> Histogram>;
type Real = Gauge<f64, AtomicU64>;

pub(crate) struct Inner {
    registry: Mutex<Registry>,
    pub(crate) calls: Durations<CallLabels>,
    pub(crate) peer_calls: Durations<PeerCallLabels>,
    pub(crate) requests: Durations<RequestLabels>,
    pub(crate) storage: Durations<OperationLabels>,
    pub(crate) login_failures: Family<LoginFailureLabels, Counter>,
    pub(crate) sign_in_failures: Family<SignInFailureLabels, Counter>,
    pub(crate) discovery_failures: Family<DiscoveryFailureLabels, Counter>,
    pub(crate) limits: Family<LimitLabels, Counter>,
    pub(crate) findings: Family<SeverityLabels, Gauge>,
    pub(crate) job_succeeded: Family<JobLabels, Gauge>,
    pub(crate) job_ended: Family<JobLabels, Real>,
    pub(crate) job_took: Family<JobLabels, Real>,
    pub(crate) certificates: Family<CertificateLabels, Real>,
    pub(crate) started: Real,
    scrapes: Counter,
    sessions: Gauge,
    write_queue: Gauge,
    queue_rows: Gauge,
    queue_oldest: Real,
    dead_letters: Gauge,
    peers: Family<StateLabels, Gauge>,
    bans: Family<BanLabels, Gauge>,
    audit_rows: Gauge,
    log_entries: Gauge,
    log_cosigned_entries: Gauge,
    database: Gauge,
    database_wal: Gauge,
}

impl Inner {
    pub(crate) fn new(version: &str) -> Self {
        let inner = Self {
            registry: Mutex::default(),
            calls: Family::new_with_constructor(durations),
            peer_calls: Family::new_with_constructor(durations),
            requests: Family::new_with_constructor(durations),
            storage: Family::new_with_constructor(durations),
            login_failures: Family::default(),
            sign_in_failures: Family::default(),
            discovery_failures: Family::default(),
            limits: Family::default(),
            findings: Family::default(),
            job_succeeded: Family::default(),
            job_ended: Family::default(),
            job_took: Family::default(),
            certificates: Family::default(),
            started: Gauge::default(),
            scrapes: Counter::default(),
            sessions: Gauge::default(),
            write_queue: Gauge::default(),
            queue_rows: Gauge::default(),
            queue_oldest: Gauge::default(),
            dead_letters: Gauge::default(),
            peers: Family::default(),
            bans: Family::default(),
            audit_rows: Gauge::default(),
            log_entries: Gauge::default(),
            log_cosigned_entries: Gauge::default(),
            database: Gauge::default(),
            database_wal: Gauge::default(),
        };
        *inner.registry.lock().unwrap_or_else(PoisonError::into_inner) = inner.registered(version);
        inner.begin_at_zero();
        inner
    }

    fn registered(&self, version: &str) -> Registry {
        let mut registry = Registry::with_prefix("quicproquo");
        let build = Info::new(vec![("version".to_owned(), version.to_owned())]);
        add(&mut registry, "build", build);
        add(&mut registry, "process_start_timestamp", self.started.clone());
        add(&mut registry, "database", self.database.clone());
        add(&mut registry, "database_wal", self.database_wal.clone());
        add(&mut registry, "certificate_not_after_timestamp", self.certificates.clone());
        add(&mut registry, "scrapes", self.scrapes.clone());
        add(&mut registry, "peers", self.peers.clone());
        add(&mut registry, "federation_queue_rows", self.queue_rows.clone());
        add(&mut registry, "federation_queue_oldest_age", self.queue_oldest.clone());
        add(&mut registry, "federation_dead_letters", self.dead_letters.clone());
        add(&mut registry, "federation_call_duration", self.peer_calls.clone());
        add(&mut registry, "federation_discovery_failures", self.discovery_failures.clone());
        add(&mut registry, "rpc_duration", self.calls.clone());
        add(&mut registry, "storage_duration", self.storage.clone());
        add(&mut registry, "write_queue_jobs", self.write_queue.clone());
        add(&mut registry, "http_request_duration", self.requests.clone());
        add(&mut registry, "sessions_live", self.sessions.clone());
        add(&mut registry, "login_failures", self.login_failures.clone());
        add(&mut registry, "console_sign_in_failures", self.sign_in_failures.clone());
        add(&mut registry, "limits_hit", self.limits.clone());
        add(&mut registry, "bans", self.bans.clone());
        add(&mut registry, "check_findings", self.findings.clone());
        add(&mut registry, "job_last_succeeded", self.job_succeeded.clone());
        add(&mut registry, "job_last_run_timestamp", self.job_ended.clone());
        add(&mut registry, "job_last_duration", self.job_took.clone());
        add(&mut registry, "audit_rows", self.audit_rows.clone());
        add(&mut registry, "log_entries", self.log_entries.clone());
        add(&mut registry, "log_cosigned_entries", self.log_cosigned_entries.clone());
        registry
    }

    /// A counter that appears with its first event hides that event from `increase()`, so what is known begins at zero.
    fn begin_at_zero(&self) {
        begin(&self.login_failures, LoginFailure::ALL);
        begin(&self.sign_in_failures, SignInFailure::ALL);
        begin(&self.discovery_failures, DiscoveryFailure::ALL);
        begin(&self.limits, Limit::ALL);
        begin(&self.bans, Bans::ALL);
        for state in PeerState::ALL {
            drop(self.peers.get_or_create(&StateLabels { state: *state }));
        }
    }

    /// Takes over what was looked at.
    pub(crate) fn take(&self, now: &Snapshot) {
        self.scrapes.inc();
        self.sessions.set(signed(now.sessions));
        self.write_queue.set(signed(now.write_queue_jobs));
        if let Some(queue) = &now.queue {
            self.queue_rows.set(signed(queue.rows));
            self.queue_oldest.set(queue.oldest.as_secs_f64());
        }
        for (state, count) in &now.peers {
            self.peers.get_or_create(&StateLabels { state: *state }).set(signed(*count));
        }
        for (kind, count) in &now.bans {
            self.bans.get_or_create(&(*kind).into()).set(signed(*count));
        }
        for (gauge, seen) in [
            (&self.dead_letters, now.dead_letters),
            (&self.audit_rows, now.audit_rows),
            (&self.log_entries, now.log_entries),
            (&self.log_cosigned_entries, now.log_cosigned_entries),
            (&self.database, now.database_bytes),
            (&self.database_wal, now.database_wal_bytes),
        ] {
            if let Some(seen) = seen {
                gauge.set(signed(seen));
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner)).ok();
        text
    }
}

fn begin<Labels, Value, Metric>(family: &Family<Labels, Metric>, values: &[Value])
where
    Labels: Clone + Hash + Eq + EncodeLabelSet + From<Value>,
    Value: Copy,
    Metric: Default + Clone,
{
    for value in values {
        drop(family.get_or_create(&Labels::from(*value)));
    }
}

/// Registers with the help and the unit that the table has.
fn add(registry: &mut Registry, name: &str, metric: impl RegistryMetric) {
    let entry = table::metrics().find(|entry| entry.name == name);
    let (help, unit) = entry.map_or(("undocumented", ""), |entry| (entry.help, entry.unit));
    match unit {
        "seconds" => registry.register_with_unit(name, help, Unit::Seconds, metric),
        "bytes" => registry.register_with_unit(name, help, Unit::Bytes, metric),
        _ => registry.register(name, help, metric),
    }
}

fn durations() -> Histogram {
    Histogram::new(SECONDS)
}

pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
