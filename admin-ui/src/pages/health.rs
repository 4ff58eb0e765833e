//! What is wrong with this homeserver and what to do about it, and what runs by itself.

use askama::Template;
use serde::Deserialize;
use serde_json::json;

use super::{Desk, Page, Refused};

/// What the checks found.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) ok: bool,
    #[serde(default)]
    pub(super) findings: Vec<Finding>,
    #[serde(default)]
    checks: Vec<Check>,
    at: Option<String>,
}

/// Something that is wrong.
#[derive(Debug, Deserialize)]
pub(super) struct Finding {
    pub(super) id: String,
    pub(super) severity: String,
    pub(super) subject: String,
    pub(super) cause: String,
    pub(super) remedy: String,
    pub(super) runbook: Option<String>,
    pub(super) is_cause: bool,
    pub(super) follows_from: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Check {
    id: String,
    about: String,
    ok: bool,
}

#[derive(Debug, Deserialize)]
struct Jobs {
    jobs: Vec<Job>,
}

#[derive(Debug, Deserialize)]
struct Job {
    id: String,
    about: String,
    schedule: String,
    last_started: Option<String>,
    last_duration_ms: Option<u64>,
    last_result: Option<String>,
    last_ok: Option<bool>,
    next_run: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/health.html")]
struct Shown<'a> {
    d: &'a Desk,
    view: Report,
}

/// The checks, run anew for this page.
pub(super) async fn show(d: Desk) -> Result<Page, Refused> {
    let view = d.read("doctor", json!({})).await?;
    d.page("health-title", &Shown { d: &d, view })
}

#[derive(Template)]
#[template(path = "pages/jobs.html")]
struct JobList<'a> {
    d: &'a Desk,
    view: Jobs,
}

/// What runs by itself.
pub(super) async fn jobs(d: Desk) -> Result<Page, Refused> {
    let view = d.read("job.list", json!({})).await?;
    d.page("jobs-title", &JobList { d: &d, view })
}
