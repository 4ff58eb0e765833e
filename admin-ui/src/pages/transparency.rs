//! The key-transparency log: how it stands, its newest checkpoint, any of its entries, whether all of it is what was signed, who
//! witnesses it; and evidence against the logs of others.

use askama::Template;
use qpq_core::ErrorCode;
use serde::Deserialize;
use serde_json::json;

use super::{Desk, Page, Refused, ask::Ask};

#[derive(Debug, Deserialize)]
struct Status {
    origin: String,
    key: String,
    size: u64,
    root: String,
    last_entry_at: Option<String>,
    level: String,
    /// The size of the newest checkpoint that its witnesses have signed.
    cosigned: Option<u64>,
    /// Why nothing is signed.
    halted: Option<String>,
    config: Config,
}

/// What the domain says of itself.
#[derive(Debug, Deserialize)]
struct Config {
    keys: Vec<DomainKey>,
    witnesses: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct DomainKey {
    #[serde(rename = "use")]
    key_use: String,
    key: String,
    not_before: Option<String>,
    not_after: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/log.html")]
struct Log<'a> {
    d: &'a Desk,
    /// `None`: no log was opened.
    view: Option<Status>,
}

/// How the log stands.
pub(super) async fn show(d: Desk) -> Result<Page, Refused> {
    let view = match d.read("log.status", json!({})).await {
        Ok(status) => Some(status),
        // The area is in the menu all the same, so it says what is missing.
        Err(Refused(refusal)) if refusal.code == ErrorCode::NotFound => None,
        Err(refused) => return Err(refused),
    };
    d.page("log-title", &Log { d: &d, view })
}

#[derive(Debug, Deserialize)]
struct Head {
    size: u64,
    root: String,
    note: String,
}

#[derive(Template)]
#[template(path = "pages/log-head.html")]
struct Checkpoint<'a> {
    d: &'a Desk,
    view: Head,
}

/// The newest checkpoint.
pub(super) async fn head(d: Desk) -> Result<Page, Refused> {
    let view = d.read("log.head", json!({})).await?;
    d.page("log-head-title", &Checkpoint { d: &d, view })
}

#[derive(Debug, Deserialize)]
struct Entry {
    index: u64,
    kind: String,
    label_id: String,
    version: u64,
    at: Option<String>,
    prev: String,
    commitment: String,
    leaf: String,
    erased: bool,
    config: Option<Config>,
}

#[derive(Template)]
#[template(path = "pages/log-entry.html")]
struct One<'a> {
    d: &'a Desk,
    ask: &'a Ask,
    view: Option<Entry>,
}

/// One entry, or the question which.
pub(super) async fn entry(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view =
        if ask.is("index", "") { None } else { Some(d.read("log.entry", ask.arguments("log.entry")).await?) };
    d.page("log-entry-title", &One { d: &d, ask: &ask, view })
}

#[derive(Debug, Deserialize)]
struct Verified {
    ok: bool,
    entries: u64,
    labels: u64,
    broken: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/log-verify.html")]
struct Verify<'a> {
    d: &'a Desk,
    view: Verified,
}

/// Whether the log is what was signed.
pub(super) async fn verify(d: Desk) -> Result<Page, Refused> {
    let view = d.read("log.verify", json!({})).await?;
    d.page("log-verify-title", &Verify { d: &d, view })
}

#[derive(Debug, Deserialize)]
struct Witnesses {
    witnesses: Vec<Witness>,
}

#[derive(Debug, Deserialize)]
struct Witness {
    name: String,
    key: String,
    named: bool,
    size: u64,
    signed_at: Option<String>,
    failed: Option<String>,
    failed_at: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/log-witnesses.html")]
struct WhoWitnesses<'a> {
    d: &'a Desk,
    view: Witnesses,
}

/// Who witnesses the log.
pub(super) async fn witnesses(d: Desk) -> Result<Page, Refused> {
    let view = d.read("log.witness.list", json!({})).await?;
    d.page("log-witnesses", &WhoWitnesses { d: &d, view })
}

#[derive(Debug, Deserialize)]
struct AllEvidence {
    evidence: Vec<Evidence>,
}

#[derive(Debug, Deserialize)]
struct Evidence {
    id: u64,
    origin: String,
    sizes: (u64, u64),
    from: String,
    found_at: Option<String>,
    cleared_at: Option<String>,
    /// The evidence itself, where one piece is shown.
    #[serde(default)]
    text: String,
}

#[derive(Template)]
#[template(path = "pages/log-evidence.html")]
struct EvidenceList<'a> {
    d: &'a Desk,
    view: AllEvidence,
}

/// Logs that show two histories.
pub(super) async fn evidence(d: Desk) -> Result<Page, Refused> {
    let view = d.read("log.evidence.list", json!({})).await?;
    d.page("log-evidence-title", &EvidenceList { d: &d, view })
}

#[derive(Template)]
#[template(path = "pages/log-evidence-one.html")]
struct OneEvidence<'a> {
    d: &'a Desk,
    view: Evidence,
}

/// One piece of evidence.
pub(super) async fn one_evidence(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = d.read("log.evidence.show", ask.arguments("log.evidence.show")).await?;
    d.page("log-evidence-one", &OneEvidence { d: &d, view })
}
