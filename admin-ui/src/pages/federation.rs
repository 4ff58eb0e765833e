//! Other domains: how each peer stands, what waits for it, and who is let in.

use askama::Template;
use serde::Deserialize;

use super::{Desk, Page, Refused, ask::Ask};

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "they are called as in the action's answer")]
struct Peers {
    policy: String,
    peers: Vec<Peer>,
    total: u64,
    page: u64,
    pages: u64,
}

#[derive(Debug, Deserialize)]
struct Peer {
    domain: String,
    state: String,
    address: Option<String>,
    pin: String,
    key_exchange: Option<String>,
    queued: u64,
    queue_percent: u64,
    oldest_queued_ms: Option<u64>,
    last_error: Option<String>,
    retry_at: Option<String>,
    since: Option<String>,
    blocked: Option<Blocked>,
    federation_key: String,
    version: Option<u64>,
    clock_skew_ms: Option<i64>,
    /// Only where one peer is shown.
    #[serde(default)]
    parked: Vec<Parked>,
}

/// What is parked of one kind.
#[derive(Debug, Deserialize)]
struct Parked {
    kind: u64,
    rows: u64,
}

#[derive(Debug, Deserialize)]
struct Blocked {
    reason: String,
    until: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/federation.html")]
struct List<'a> {
    d: &'a Desk,
    ask: &'a Ask,
    view: Peers,
}

impl Peer {
    /// How far its clock is from ours, in milliseconds, whichever of them is ahead.
    fn skew(&self) -> Option<u64> {
        self.clock_skew_ms.map(i64::unsigned_abs)
    }
}

/// All peers.
pub(super) async fn list(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = d.read("peer.list", ask.arguments("peer.list")).await?;
    d.page("federation-title", &List { d: &d, ask: &ask, view })
}

#[derive(Template)]
#[template(path = "pages/peer.html")]
struct One<'a> {
    d: &'a Desk,
    view: Peer,
}

/// One peer.
pub(super) async fn show(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = d.read("peer.show", ask.arguments("peer.show")).await?;
    d.page("peer-title", &One { d: &d, view })
}

#[derive(Debug, Deserialize)]
struct Probe {
    domain: String,
    ok: bool,
    steps: Vec<Line>,
    theirs: Option<Theirs>,
}

#[derive(Debug, Deserialize)]
struct Line {
    step: String,
    outcome: String,
    took_ms: Option<u64>,
    said: String,
    remedy: Option<String>,
    runbook: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Theirs {
    state: String,
    trouble: Option<String>,
    retry_at: Option<String>,
    queued: u64,
    oldest_queued_ms: u64,
}

#[derive(Template)]
#[template(path = "pages/probe.html")]
struct Probed<'a> {
    d: &'a Desk,
    view: Probe,
}

/// A peer, looked at step by step while the page is asked for.
pub(super) async fn probe(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = d.read("peer.probe", ask.arguments("peer.probe")).await?;
    d.page("probe-title", &Probed { d: &d, view })
}

#[derive(Debug, Deserialize)]
struct Verdict {
    domain: String,
    allowed: bool,
    why: String,
}

#[derive(Template)]
#[template(path = "pages/would-allow.html")]
struct WouldAllow<'a> {
    d: &'a Desk,
    ask: &'a Ask,
    view: Option<Verdict>,
}

/// Whether a domain would be let in.
pub(super) async fn would_allow(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = if ask.is("domain", "") {
        None
    } else {
        Some(d.read("peer.would-allow", ask.arguments("peer.would-allow")).await?)
    };
    d.page("would-title", &WouldAllow { d: &d, ask: &ask, view })
}
