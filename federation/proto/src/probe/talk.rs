//! What both sides said to each other, judged.

use qpq_core::{Domain, ErrorCode, Millis, Pin, Timestamp};

use super::{Probe, ProbeStep};
use crate::{backoff::StopReason, peer::VersionRange};

const RUNBOOK: Option<&str> = Some("runbooks/peering.md");
/// A link's way and a busy moment explain less than this.
const SKEW_MS: u64 = 60_000;

/// What came of `hello`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelloSeen {
    /// It welcomes us, and we it; the version to speak.
    Welcome(u16),
    /// We don't say it: why, and what to do.
    Withheld {
        /// Why.
        cause: String,
        /// What to do.
        remedy: String,
    },
    /// It refuses us, in its words.
    Refused {
        /// Its code.
        code: ErrorCode,
        /// Its words.
        text: String,
        /// What it speaks.
        theirs: Option<VersionRange>,
    },
    /// What it says about itself or us is a reason to stop it.
    Unacceptable(StopReason),
    /// It didn't answer.
    NoAnswer,
    /// The connection broke, or the answer makes no sense.
    Broken(String),
}

/// What it says about us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeersView {
    /// Whether it has a link of its own to us.
    pub reachable: bool,
    /// In its words.
    pub state: String,
    /// One word of the protocol; empty: it doesn't tell.
    pub standing: String,
    /// What is wrong, in its words; empty: nothing.
    pub trouble: String,
    /// When it tries again.
    pub retry_at: Option<Timestamp>,
    /// Rows that wait there for us.
    pub queued: u64,
    /// How long the oldest of them has waited.
    pub oldest_queued: Millis,
    /// Its time.
    pub clock: Timestamp,
    /// The pin of our authority, as it knows it.
    pub pin: Option<Pin>,
}

/// What came of `federationHealth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthSeen {
    /// Its view; and when it was heard, between question and answer.
    View(Box<PeersView>, Timestamp),
    /// It refuses to say.
    Refused(String),
    /// It didn't answer.
    NoAnswer,
    /// The connection broke, or the answer makes no sense.
    Broken(String),
}

/// What we think of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnView {
    /// Why nothing is sent to it until somebody acts.
    pub stopped: Option<String>,
    /// Whether an admin of ours told its queue to wait.
    pub paused: bool,
    /// Rows that wait for it.
    pub queued: u64,
    /// The pin of our authority.
    pub pin: Pin,
}

impl Probe {
    /// Both introduced themselves, or not.
    pub fn handle_hello(&mut self, seen: HelloSeen, ours: VersionRange, took: Millis) {
        let step = ProbeStep::Hello;
        match seen {
            HelloSeen::Welcome(version) => self.pass(step, took, format!("version {version}")),
            HelloSeen::Withheld { cause, remedy } => self.fail(step, took, cause, remedy),
            HelloSeen::Refused { code, text, theirs } => self.refused(code, &text, ours, theirs, took),
            HelloSeen::Unacceptable(reason) => {
                let (cause, remedy) = unacceptable(reason, &self.us, &self.peer);
                self.fail_with(step, took, cause, remedy, RUNBOOK);
            }
            HelloSeen::NoAnswer => self.fail(
                step,
                took,
                "it completed the handshake and doesn't answer `hello`",
                "it is overloaded or hangs: its admin looks at `doctor` there",
            ),
            HelloSeen::Broken(why) => self.fail(
                step,
                took,
                format!("the connection broke at `hello`: {why}"),
                "try again; if it stays so, its log says more",
            ),
        }
    }

    fn refused(
        &mut self,
        code: ErrorCode,
        text: &str,
        ours: VersionRange,
        theirs: Option<VersionRange>,
        took: Millis,
    ) {
        let (us, peer) = (self.us.clone(), self.peer.clone());
        let (cause, remedy) = if code == ErrorCode::VersionUnsupported {
            versions(&peer, ours, theirs, text)
        } else if code == ErrorCode::CertificateExpired {
            (
                format!("`{peer}` says that this domain's certificate has expired"),
                "restart this homeserver, which renews it, and look at both clocks".to_owned(),
            )
        } else if code == ErrorCode::Untrusted {
            (
                format!("`{peer}` doesn't know or doesn't trust this domain: {text}"),
                format!("its admin makes this domain a peer: `peer invite {us}` there, `peer accept` here"),
            )
        } else if code == ErrorCode::PolicyRefused {
            (
                format!("`{peer}` keeps this domain out: {text}"),
                format!("ask its admin: `peer would-allow {us}` there says why"),
            )
        } else {
            (
                format!("`{peer}` refuses `hello` ({}): {text}", code.number()),
                "try again later; its log says more".to_owned(),
            )
        };
        self.fail_with(ProbeStep::Hello, took, cause, remedy, RUNBOOK);
    }

    /// It said what it thinks of us, or not; `ours` is what we think of it.
    pub fn handle_health(&mut self, seen: HealthSeen, ours: &OwnView, took: Millis) {
        let step = ProbeStep::Health;
        let (view, at) = match seen {
            HealthSeen::View(view, at) => (*view, at),
            HealthSeen::Refused(text) => {
                let remedy = format!("ask its admin: `peer show {}` there says why", self.us);
                return self.fail(step, took, format!("it doesn't say how it stands: {text}"), remedy);
            }
            HealthSeen::NoAnswer => {
                return self.fail(
                    step,
                    took,
                    "it doesn't answer `federationHealth`",
                    "its admin looks at `doctor` there",
                );
            }
            HealthSeen::Broken(why) => {
                let cause = format!("the connection broke at `federationHealth`: {why}");
                return self.fail(step, took, cause, "try again; if it stays so, its log says more");
            }
        };
        self.judge_health(&view, ours, took);
        self.judge_clock(view.clock, at);
        self.theirs = Some(view);
    }

    fn judge_health(&mut self, view: &PeersView, ours: &OwnView, took: Millis) {
        let (step, us, peer) = (ProbeStep::Health, self.us.clone(), self.peer.clone());
        let why = if view.trouble.is_empty() { &view.state } else { &view.trouble };
        if let Some(stopped) = &ours.stopped {
            let remedy = format!(
                "when the reason is gone, `peer confirm {peer}` releases it; {} rows wait",
                ours.queued
            );
            self.fail(step, took, format!("this domain sends nothing to `{peer}`: {stopped}"), remedy);
        } else if ours.paused {
            let cause = format!("what is for `{peer}` was paused here ({} rows wait)", ours.queued);
            self.fail(step, took, cause, format!("`peer resume {peer}` lets it go on"));
        } else if view.pin.is_some_and(|pin| pin != ours.pin) {
            let cause = format!("`{peer}` has pinned another authority for this domain than the one it has");
            self.fail_with(
                step,
                took,
                cause,
                "peer anew: remove each other and accept a new invite",
                RUNBOOK,
            );
        } else if view.standing == "refused" {
            let remedy =
                format!("its admin acts: `peer show {us}` there says why, `peer confirm {us}` releases it");
            let cause =
                format!("`{peer}` sends nothing to this domain: {why} ({} rows wait there)", view.queued);
            self.fail(step, took, cause, remedy);
        } else if view.standing == "paused" {
            let remedy = format!("its admin lets it go on: `peer resume {us}` there");
            let cause = format!(
                "an admin of `{peer}` paused what is for this domain ({} rows wait there)",
                view.queued
            );
            self.fail(step, took, cause, remedy);
        } else if view.standing == "backing-off" && !view.reachable {
            let cause = format!("`{peer}` is reached from here and can't reach this domain: {why}");
            let remedy = "UDP of `federation.listen` must be open from there at the address that it knows of this domain \
                          (`federation.address`, DNS)";
            self.fail_with(step, took, cause, remedy, Some("runbooks/peer-down.md"));
        } else {
            let waits = format!("{} rows wait here, {} there", ours.queued, view.queued);
            self.pass(step, took, format!("nothing is held back; {waits}"));
        }
    }

    fn judge_clock(&mut self, theirs: Timestamp, at: Timestamp) {
        let signed = |time: Timestamp| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let skew = signed(theirs).saturating_sub(signed(at));
        self.skew_ms = Some(skew);
        let (seconds, side) = (skew.unsigned_abs() / 1_000, if skew > 0 { "ahead of" } else { "behind" });
        if skew.unsigned_abs() > SKEW_MS {
            let cause = format!("the clock of `{}` is {seconds} s {side} ours", self.peer);
            let remedy = "compare both with a clock that you trust (`timedatectl`), and switch time synchronisation on \
                          where it is wrong";
            self.fail(ProbeStep::Clock, Millis(0), cause, remedy);
        } else {
            self.pass(ProbeStep::Clock, Millis(0), format!("{} ms {side} ours", skew.unsigned_abs()));
        }
    }
}

fn versions(peer: &Domain, ours: VersionRange, theirs: Option<VersionRange>, text: &str) -> (String, String) {
    let Some(theirs) = theirs else {
        return (format!("no common protocol version: {text}"), "upgrade the older of the two".to_owned());
    };
    let cause = format!(
        "no common protocol version: `{peer}` speaks {} to {}, this domain {} to {}",
        theirs.min, theirs.max, ours.min, ours.max
    );
    let who = if theirs.max < ours.min { "its admin upgrades it" } else { "upgrade this homeserver" };
    (cause, who.to_owned())
}

/// What we hold against it, and who can lift it.
fn unacceptable(reason: StopReason, us: &Domain, peer: &Domain) -> (String, String) {
    let remedy = match reason {
        StopReason::RefusedByPeer => format!("its admin makes this domain a peer: `peer invite {us}` there"),
        StopReason::VersionUnsupported => "upgrade the older of the two".to_owned(),
        StopReason::OurCertificateExpired => {
            "restart this homeserver, which renews its certificate".to_owned()
        }
        StopReason::UnprovenClaim
        | StopReason::ChainDiffers
        | StopReason::IncarnationWentBack
        | StopReason::CertificateRefused
        | StopReason::Policy => {
            format!(
                "find out what happened there (was it restored, or started twice?), then `peer confirm {peer}`"
            )
        }
    };
    (format!("`{peer}` can't be accepted as it is: {}", reason.words()), remedy)
}
