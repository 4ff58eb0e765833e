//! Each fault that can be seen is named by the step where it is, and the later steps are skipped.

use std::net::SocketAddr;

use qpq_core::{Digest, Domain, ErrorCode, Pin, Timestamp};

use super::{
    ProbeStep::{Addresses, Alpn, Certificate, Clock, Dns, Health, Hello, Quic},
    *,
};
use crate::{
    Answer, Forbidden, Heard, LookupFailure, Presented, Question, StopReason, Target, Undiscovered,
    VersionRange, Vouched,
};

const OURS: VersionRange = VersionRange { min: 2, max: 3 };
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const TOOK: Millis = Millis(7);

fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

fn pin(number: u8) -> Pin {
    Pin::from_digest(Digest::from_bytes([number; 32]))
}

fn at() -> SocketAddr {
    "9.9.9.9:7444".parse().unwrap()
}

/// What is seen on a way on which all is well.
struct Seen {
    found: Result<Vec<Target>, Undiscovered>,
    dial: DialSeen,
    presented: Presented,
    hello: HelloSeen,
    health: HealthSeen,
    ours: OwnView,
}

fn view() -> PeersView {
    PeersView {
        reachable: true,
        state: "connected".to_owned(),
        standing: "healthy".to_owned(),
        trouble: String::new(),
        retry_at: None,
        queued: 3,
        oldest_queued: Millis(0),
        clock: NOW.after(Millis(20)),
        pin: Some(pin(1)),
    }
}

fn answered(view: PeersView) -> HealthSeen {
    HealthSeen::View(Box::new(view), NOW)
}

fn fine() -> Seen {
    Seen {
        found: Ok(vec![Target { address: at(), host: None }]),
        dial: DialSeen::Connected("X25519MLKEM768".to_owned()),
        presented: Presented::Trusted,
        hello: HelloSeen::Welcome(3),
        health: answered(view()),
        ours: OwnView { stopped: None, paused: false, queued: 0, pin: pin(1) },
    }
}

/// Looks as the driver does: as long as nothing has failed.
fn looked(seen: Seen) -> ProbeReport {
    let mut probe = Probe::new(domain("alpha.test"), domain("beta.test"));
    let question = Question::Addresses(domain("beta.test"));
    let heard = Heard { answer: Answer::Addresses(vec![at().ip()]), ttl: Millis(1), proof: Vouched::Signed };
    probe.handle_discovery(&[(question, heard)], &seen.found, TOOK);
    if !probe.is_over() {
        probe.handle_dials(&[("9.9.9.8:7444".parse().unwrap(), DialSeen::NoAnswer), (at(), seen.dial)], TOOK);
    }
    if !probe.is_over() {
        let (not_before, not_after) = (NOW.before(Millis(9)), NOW.after(Millis(9)));
        let (presented, pin, pinned) = (seen.presented, pin(2), pin(3));
        probe.handle_certificate(&CertificateSeen { presented, pin, pinned, not_before, not_after });
    }
    if !probe.is_over() {
        probe.handle_hello(seen.hello, OURS, TOOK);
    }
    if !probe.is_over() {
        probe.handle_health(seen.health, &seen.ours, TOOK);
    }
    probe.finish(Millis(30))
}

#[test]
fn a_peer_that_is_well_passes_every_step() {
    let report = looked(fine());
    assert!(report.is_fine(), "{report:?}");
    assert_eq!(report.steps.iter().map(|(step, _)| *step).collect::<Vec<_>>(), ProbeStep::ALL);
    assert_eq!((report.skew_ms, report.theirs), (Some(20), Some(view())));
}

#[test]
fn every_fault_is_named_by_its_step() {
    let lookup =
        |failure| Err(Undiscovered::Lookup { question: Question::Service(domain("beta.test")), failure });
    let private = Err(Undiscovered::Refused {
        host: domain("qpq.beta.test"),
        address: "10.0.0.1".parse().unwrap(),
        reason: Forbidden::Private,
    });
    let no_records = Err(Undiscovered::NoRecords { domain: domain("beta.test") });
    let refused = |code, text: &str, theirs| HelloSeen::Refused { code, text: text.to_owned(), theirs };
    let newer = VersionRange { min: 5, max: 6 };
    let older = VersionRange { min: 1, max: 1 };
    let saying = |change: fn(&mut PeersView)| {
        let mut view = view();
        change(&mut view);
        answered(view)
    };
    let stopped = OwnView { stopped: Some("both differ".to_owned()), paused: false, queued: 9, pin: pin(1) };
    for (seen, step, cause, remedy) in [
        (Seen { found: lookup(LookupFailure::NoAnswer), ..fine() }, Dns, "no name server", "federation.dns"),
        (Seen { found: lookup(LookupFailure::Bogus), ..fine() }, Dns, "DNSSEC", "delv"),
        (Seen { found: no_records, ..fine() }, Dns, "neither an SRV record", "peer address beta.test"),
        (Seen { found: private, ..fine() }, Addresses, "10.0.0.1", "peer address beta.test"),
        (
            Seen { dial: DialSeen::NoAnswer, ..fine() },
            Quic,
            "nobody answers at 9.9.9.8:7444, 9.9.9.9:7444",
            "UDP",
        ),
        (
            Seen { dial: DialSeen::OtherProtocol, ..fine() },
            Alpn,
            "9.9.9.9:7444 doesn't speak",
            "another service",
        ),
        (
            Seen { dial: DialSeen::OtherDomain(vec![domain("gamma.test")]), ..fine() },
            Certificate,
            "another domain (`gamma.test`)",
            "peer address",
        ),
        (Seen { presented: Presented::Unpinned, ..fine() }, Certificate, "isn't pinned", "set up anew"),
        (Seen { presented: Presented::Expired, ..fine() }, Certificate, "has expired", "renews"),
        (Seen { presented: Presented::NotYetValid, ..fine() }, Certificate, "clocks is wrong", "time server"),
        (
            Seen { hello: refused(ErrorCode::Untrusted, "no peer here", None), ..fine() },
            Hello,
            "doesn't know or doesn't trust this domain: no peer here",
            "peer invite alpha.test",
        ),
        (
            Seen { hello: refused(ErrorCode::VersionUnsupported, "", Some(newer)), ..fine() },
            Hello,
            "speaks 5 to 6, this domain 2 to 3",
            "upgrade this homeserver",
        ),
        (
            Seen { hello: refused(ErrorCode::VersionUnsupported, "", Some(older)), ..fine() },
            Hello,
            "speaks 1 to 1",
            "its admin upgrades it",
        ),
        (
            Seen { hello: refused(ErrorCode::PolicyRefused, "blocked: spam", None), ..fine() },
            Hello,
            "keeps this domain out: blocked: spam",
            "peer would-allow alpha.test",
        ),
        (
            Seen { hello: HelloSeen::Unacceptable(StopReason::IncarnationWentBack), ..fine() },
            Hello,
            "started twice",
            "peer confirm beta.test",
        ),
        (Seen { hello: HelloSeen::NoAnswer, ..fine() }, Hello, "doesn't answer `hello`", "overloaded"),
        (
            Seen {
                health: saying(|view| {
                    view.standing = "refused".to_owned();
                    view.trouble = "an admin stopped it".to_owned();
                }),
                ..fine()
            },
            Health,
            "sends nothing to this domain: an admin stopped it (3 rows wait there)",
            "peer confirm alpha.test",
        ),
        (
            Seen {
                health: saying(|view| {
                    view.standing = "backing-off".to_owned();
                    view.reachable = false;
                }),
                ..fine()
            },
            Health,
            "can't reach this domain",
            "federation.address",
        ),
        (
            Seen { health: saying(|view| view.pin = Some(pin(9))), ..fine() },
            Health,
            "another authority",
            "anew",
        ),
        (
            Seen { ours: stopped, ..fine() },
            Health,
            "sends nothing to `beta.test`: both differ",
            "9 rows wait",
        ),
        (
            Seen { health: saying(|view| view.clock = NOW.after(Millis::from_secs(600))), ..fine() },
            Clock,
            "600 s ahead of ours",
            "timedatectl",
        ),
        (
            Seen { health: saying(|view| view.clock = NOW.before(Millis::from_secs(61))), ..fine() },
            Clock,
            "61 s behind ours",
            "timedatectl",
        ),
    ] {
        let report = looked(seen);
        let (failed, diagnosis) = report.failed().unwrap();
        assert_eq!(failed, step, "{report:?}");
        assert!(diagnosis.cause.contains(cause), "{diagnosis:?}");
        assert!(diagnosis.remedy.contains(remedy), "{diagnosis:?}");
        for (after, outcome) in report.steps.iter().filter(|(after, _)| *after > step) {
            // The clock is told together with the health, so it is judged whatever that says.
            let seen_anyway = step == Health && *after == Clock;
            assert_eq!(*outcome == StepOutcome::Skipped, !seen_anyway, "{after:?} after {step:?}");
        }
    }
}

#[test]
fn a_probe_whose_time_is_over_names_the_step_that_did_not_end() {
    let mut probe = Probe::new(domain("alpha.test"), domain("beta.test"));
    probe.handle_timeout(Millis(14_000));
    let report = probe.finish(Millis(14_000));
    assert_eq!(report.failed().map(|(step, _)| step), Some(Dns));
    // One that has failed already keeps its reason.
    let mut probe = Probe::new(domain("alpha.test"), domain("beta.test"));
    probe.handle_discovery(&[], &Ok(vec![Target { address: at(), host: None }]), TOOK);
    probe.handle_dials(&[(at(), DialSeen::NoAnswer)], TOOK);
    probe.handle_timeout(Millis(14_000));
    assert_eq!(probe.finish(Millis(14_000)).failed().map(|(step, _)| step), Some(Quic));
}
