//! Faults that are planted in the facts of a sound homeserver: each is found first and marked as the cause, and what
//! follows from it is said to.

use qpq_core::{Millis, Timestamp};
use qpq_storage::JobRun;

use super::{
    CHECKS, CertificateFact, ConfigurationFact, DatabaseFact, DiskFact, Facts, FileFact, FileState,
    Integrity, MachineFacts, PeerFact, Room, ServerFact, Severity, SocketFact, SocketState, WitnessingFact,
    judge,
};
use crate::PeerStanding;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

fn days(days: u64) -> Millis {
    Millis::from_days(days)
}

fn file(path: &str) -> FileFact {
    FileFact { path: path.to_owned(), state: FileState::Fine }
}

fn peer(name: &str) -> PeerFact {
    PeerFact {
        domain: format!("{name}.test").parse().unwrap(),
        standing: PeerStanding::Healthy,
        trouble: None,
        queued: 0,
        queue_percent: 0,
        oldest_ms: None,
        skew_ms: Some(120),
    }
}

fn disk(bytes: Room, inodes: Room) -> DiskFact {
    DiskFact { path: "/data".to_owned(), bytes, inodes: Some(inodes) }
}

/// A homeserver with three peers where nothing is wrong.
fn sound() -> Facts {
    let room = Room { free: 50 * GIB, total: 100 * GIB };
    Facts {
        now: NOW,
        server: ServerFact::Running,
        machine: MachineFacts {
            files: vec![
                file("/data/keys/federation"),
                file("/data/keys/tls.key"),
                file("/data/homeserver.db"),
            ],
            disk: Some(disk(room, Room { free: 900, total: 1_000 })),
            sockets: vec![SocketFact {
                setting: "client.listen",
                address: "0.0.0.0:7443".to_owned(),
                state: SocketState::Granted(2 * MIB),
            }],
            certificates: vec![CertificateFact {
                purpose: "listeners",
                validity: Ok((NOW.before(days(100)), NOW.after(days(200)))),
            }],
            configuration: Some(ConfigurationFact {
                path: "/data/quicproquo.toml".to_owned(),
                ..ConfigurationFact::default()
            }),
            database_bytes: Some(GIB),
            log_bytes: Some(MIB),
            unseen: Vec::new(),
        },
        database: Some(DatabaseFact { integrity: Integrity::Whole, at: NOW }),
        store: None,
        rolled_back_by: None,
        log_damaged: None,
        witnessing: WitnessingFact::default(),
        dead_letters: 0,
        peers: vec![peer("beta"), peer("delta"), peer("gamma")],
        jobs: vec![run(true)],
    }
}

fn run(ok: bool) -> JobRun {
    JobRun { job: "upkeep".to_owned(), started: NOW, duration: Millis(3), ok, result: "it is so".to_owned() }
}

type Plant = fn(&mut Facts);

/// What is planted, what is to be found first, and how bad that is.
const FAULTS: &[(&str, Plant, &str, Severity)] = &[
    (
        "loose permissions on a key file",
        |facts| facts.machine.files[0].state = FileState::Loose { mode: 0o644, wanted: 0o600 },
        "keys.loose",
        Severity::Critical,
    ),
    (
        "a key file is missing, and the certificate with it",
        |facts| {
            facts.machine.files[1].state = FileState::Missing;
            facts.machine.certificates[0].validity = Err("no such file".to_owned());
        },
        "keys.missing",
        Severity::Critical,
    ),
    (
        "a key file of another user",
        |facts| facts.machine.files[0].state = FileState::Foreign { owner: 0, own: 998 },
        "keys.foreign",
        Severity::Critical,
    ),
    (
        "the database key is gone, and the database stays closed",
        |facts| {
            facts.machine.files[0].state = FileState::Missing;
            facts.database =
                Some(DatabaseFact { integrity: Integrity::Closed("no key".to_owned()), at: NOW });
        },
        "keys.missing",
        Severity::Critical,
    ),
    (
        "a full disk, where jobs fail and the store with them",
        |facts| {
            facts.machine.disk = Some(disk(Room { free: 0, total: 48 * MIB }, Room { free: 9, total: 10 }));
            facts.store = Some("disk I/O error".to_owned());
            facts.jobs = vec![run(false)];
            facts.machine.log_bytes = Some(GIB);
        },
        "disk.full",
        Severity::Critical,
    ),
    (
        "no inode is left",
        |facts| {
            facts.machine.disk =
                Some(disk(Room { free: 9 * GIB, total: 9 * GIB }, Room { free: 0, total: 1_000 }));
        },
        "disk.full",
        Severity::Critical,
    ),
    (
        "a disk that is nearly full",
        |facts| {
            facts.machine.disk = Some(disk(Room { free: GIB, total: 99 * GIB }, Room { free: 9, total: 10 }));
        },
        "disk.nearly-full",
        Severity::Critical,
    ),
    (
        "a disk that fills",
        |facts| {
            facts.machine.disk =
                Some(disk(Room { free: 8 * GIB, total: 99 * GIB }, Room { free: 9, total: 10 }));
        },
        "disk.low",
        Severity::Warning,
    ),
    (
        "an expired certificate, which peers refuse",
        |facts| {
            facts.machine.certificates[0].validity = Ok((NOW.before(days(400)), NOW.before(days(1))));
            facts.peers[0].standing = PeerStanding::Refused;
            facts.peers[1].standing = PeerStanding::BackingOff;
        },
        "certificates.expired",
        Severity::Critical,
    ),
    (
        "a certificate that ends in six days",
        |facts| facts.machine.certificates[0].validity = Ok((NOW.before(days(400)), NOW.after(days(6)))),
        "certificates.ending",
        Severity::Critical,
    ),
    (
        "a certificate that ends in twenty days",
        |facts| facts.machine.certificates[0].validity = Ok((NOW.before(days(400)), NOW.after(days(20)))),
        "certificates.ending",
        Severity::Warning,
    ),
    (
        "a configuration that was changed and not reloaded",
        |facts| configuration(facts).not_reloaded = vec!["log.filter"],
        "configuration.not-reloaded",
        Severity::Warning,
    ),
    (
        "a configuration that takes a restart",
        |facts| configuration(facts).takes_restart = vec!["client.listen"],
        "configuration.takes-restart",
        Severity::Warning,
    ),
    (
        "a configuration that no start would take",
        |facts| configuration(facts).unusable = Some("unknown key `lisen`".to_owned()),
        "configuration.unusable",
        Severity::Critical,
    ),
    (
        "a peer that can't be reached for eight days",
        |facts| {
            facts.peers[2] = PeerFact {
                standing: PeerStanding::BackingOff,
                queued: 7,
                oldest_ms: Some(days(8).0),
                ..peer("gamma")
            }
        },
        "peers.unreachable",
        Severity::Warning,
    ),
    (
        "so much waits for a peer that nothing more is taken",
        |facts| facts.peers[2] = PeerFact { queued: 9, queue_percent: 99, ..peer("gamma") },
        "peers.queue-full",
        Severity::Critical,
    ),
    (
        "much waits for a peer",
        |facts| facts.peers[2] = PeerFact { queued: 9, queue_percent: 80, ..peer("gamma") },
        "peers.queue-full",
        Severity::Warning,
    ),
    (
        "one peer's clock is off",
        |facts| facts.peers[1].skew_ms = Some(-700_000),
        "clocks.skew",
        Severity::Critical,
    ),
    (
        "our clock is off: most peers say so, and our certificate seems to have ended",
        |facts| {
            facts.peers[0].skew_ms = Some(-9_000_000);
            facts.peers[2].skew_ms = Some(-9_000_500);
            facts.peers[2].standing = PeerStanding::Refused;
            facts.machine.certificates[0].validity = Ok((NOW.before(days(400)), NOW.before(Millis(60))));
        },
        "clocks.ours",
        Severity::Critical,
    ),
    (
        "a damaged database, where jobs fail",
        |facts| {
            let faults = vec!["HMAC verification failed for page 7".to_owned()];
            facts.database = Some(DatabaseFact { integrity: Integrity::Damaged(faults), at: NOW });
            facts.store = Some("the store is damaged".to_owned());
            facts.jobs = vec![run(false)];
        },
        "database.damaged",
        Severity::Critical,
    ),
    (
        "a log that is not emptied",
        |facts| facts.machine.log_bytes = Some(GIB),
        "database.log-large",
        Severity::Warning,
    ),
    (
        "small UDP buffers",
        |facts| facts.machine.sockets[0].state = SocketState::Granted(212_992),
        "network.small-buffers",
        Severity::Warning,
    ),
    (
        "a port that somebody else holds",
        |facts| facts.machine.sockets[0].state = SocketState::Taken("address in use".to_owned()),
        "network.port-taken",
        Severity::Critical,
    ),
    (
        "a database that was put back",
        |facts| facts.rolled_back_by = Some("beta.test".parse().unwrap()),
        "database.rolled-back",
        Severity::Critical,
    ),
    (
        "a log that is not what it signed",
        |facts| facts.log_damaged = Some("the tiles are not those of 7 entries".to_owned()),
        "log.damaged",
        Severity::Critical,
    ),
    (
        "a log that is not signed any more",
        |facts| facts.witnessing.halted = Some("this database is older".to_owned()),
        "log.halted",
        Severity::Critical,
    ),
    (
        "a log with two histories",
        |facts| facts.witnessing.two_histories = vec!["beta/kt/v1".to_owned()],
        "log.evidence",
        Severity::Critical,
    ),
    (
        "a witness that is silent",
        |facts| facts.witnessing.silent = vec![("beta/kt-witness/v1".to_owned(), "no answer".to_owned())],
        "log.witness-silent",
        Severity::Warning,
    ),
    (
        "messages that peers can't read",
        |facts| facts.dead_letters = 3,
        "peers.dead-letters",
        Severity::Warning,
    ),
    ("a job that fails", |facts| facts.jobs = vec![run(false)], "jobs.failed", Severity::Warning),
    (
        "a server that does not answer",
        |facts| facts.server = ServerFact::Silent("no answer".to_owned()),
        "server.silent",
        Severity::Critical,
    ),
    (
        "a file system that does not answer",
        |facts| facts.machine.unseen = vec!["`/data`".to_owned()],
        "server.unseen",
        Severity::Warning,
    ),
];

fn configuration(facts: &mut Facts) -> &mut ConfigurationFact {
    facts.machine.configuration.as_mut().unwrap()
}

#[test]
fn a_sound_homeserver_has_no_finding() {
    let report = judge(&sound());
    assert_eq!((report.ok, report.worst, report.findings.len()), (true, None, 0), "{:?}", report.findings);
    assert_eq!(report.checks.len(), CHECKS.len());
    assert!(report.checks.iter().all(|check| check.ok));
}

#[test]
fn every_planted_fault_is_first_and_the_one_cause() {
    for (what, plant, id, severity) in FAULTS {
        let mut facts = sound();
        plant(&mut facts);
        let report = judge(&facts);
        let first = report.findings.first().unwrap_or_else(|| panic!("{what}: nothing was found"));
        assert_eq!((first.id, first.severity, first.is_cause), (*id, *severity, true), "{what}");
        assert!(!report.ok && report.worst >= Some(*severity), "{what}");
        let causes: Vec<&str> =
            report.findings.iter().filter(|finding| finding.is_cause).map(|finding| finding.id).collect();
        assert_eq!(causes, [*id], "{what}: {:#?}", report.findings);
        assert!(report.findings.iter().skip(1).all(|finding| finding.follows_from.is_some()), "{what}");
        let check = report.checks.iter().find(|check| id.starts_with(&format!("{}.", check.id)));
        assert_eq!(check.map(|check| check.ok), Some(false), "{what}");
        for finding in &report.findings {
            let told = !finding.cause.is_empty() && !finding.remedy.is_empty() && !finding.subject.is_empty();
            assert!(told, "{what}: {finding:?}");
        }
    }
}

#[test]
fn every_check_has_a_fault_that_it_notices() {
    for check in CHECKS {
        let noticed = FAULTS.iter().any(|(_, _, id, _)| id.starts_with(&format!("{}.", check.id)));
        assert!(noticed, "nothing is planted for `{}`", check.id);
    }
}

#[test]
fn every_runbook_that_a_finding_names_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut named = 0;
    for (_, plant, ..) in FAULTS {
        let mut facts = sound();
        plant(&mut facts);
        for runbook in judge(&facts).findings.iter().filter_map(|finding| finding.runbook) {
            assert!(root.join(runbook).is_file(), "{runbook}");
            named += 1;
        }
    }
    assert!(named > 0);
}

#[test]
fn of_two_faults_the_worse_comes_first_and_its_effects_follow_it() {
    let mut facts = sound();
    facts.machine.sockets[0].state = SocketState::Granted(MIB);
    facts.peers[2] =
        PeerFact { standing: PeerStanding::Refused, queued: 1, oldest_ms: Some(days(9).0), ..peer("gamma") };
    facts.machine.files[0].state = FileState::Loose { mode: 0o666, wanted: 0o600 };
    let report = judge(&facts);
    let found: Vec<(&str, bool)> =
        report.findings.iter().map(|finding| (finding.id, finding.is_cause)).collect();
    assert_eq!(
        found,
        [
            ("peers.refused", true),
            ("peers.waiting", false),
            ("keys.loose", true),
            ("network.small-buffers", true)
        ]
    );
}

#[test]
fn a_blocked_peer_may_wait_and_one_skewed_peer_of_two_does_not_accuse_us() {
    let mut facts = sound();
    facts.peers[0] = PeerFact {
        standing: PeerStanding::Blocked,
        oldest_ms: Some(days(20).0),
        skew_ms: None,
        ..peer("beta")
    };
    facts.peers[1].skew_ms = Some(61_000);
    let found: Vec<&str> = judge(&facts).findings.iter().map(|finding| finding.id).collect();
    assert_eq!(found, ["clocks.skew"]);
}

#[test]
fn only_what_keeps_it_from_working_makes_it_unready() {
    for (plant, prevents) in [
        ("disk.full", true),
        ("disk.nearly-full", false),
        ("database.damaged", true),
        ("certificates.expired", true),
        ("keys.loose", false),
        ("peers.unreachable", false),
    ] {
        let (_, act, ..) = FAULTS.iter().find(|(_, _, id, _)| *id == plant).unwrap();
        let mut facts = sound();
        act(&mut facts);
        let report = judge(&facts);
        assert_eq!(report.findings.iter().any(|finding| finding.prevents_work), prevents, "{plant}");
    }
}
