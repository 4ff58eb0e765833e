//! The state of everything at a glance, and the last day as charts.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Desk, Page, Refused,
    chart::{Drawing, HEIGHT, Series, WIDTH},
    desk::rendered,
    health::Report,
};

#[derive(Debug, Deserialize)]
struct Status {
    health: Health,
    queue: Queue,
    peers: BTreeMap<String, u64>,
    sessions_live: u64,
    users: u64,
    certificate: Option<Certificate>,
    database_bytes: Option<u64>,
    #[serde(default)]
    series: Vec<Series>,
}

#[derive(Debug, Deserialize)]
struct Health {
    worst: Option<String>,
    findings: u64,
}

#[derive(Debug, Deserialize)]
struct Queue {
    rows: u64,
    oldest_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Certificate {
    not_after: Option<String>,
    days: Option<i64>,
}

/// One chart with its words.
#[derive(Debug)]
struct Chart {
    id: String,
    title: String,
    drawing: Option<Drawing>,
}

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct Shown<'a> {
    d: &'a Desk,
    live: String,
}

#[derive(Template)]
#[template(path = "pages/overview-live.html")]
struct Live<'a> {
    d: &'a Desk,
    view: Status,
    report: Report,
    charts: Vec<Chart>,
}

/// The page.
pub(super) async fn show(d: Desk) -> Result<Page, Refused> {
    let live = now(&d).await?;
    d.page("overview-title", &Shown { d: &d, live })
}

/// Its part that is fetched again and again.
pub(super) async fn live(d: Desk) -> Result<Response, Refused> {
    Ok(Html(now(&d).await?).into_response())
}

async fn now(d: &Desk) -> Result<String, Refused> {
    let mut view: Status = d.read("status", json!({})).await?;
    // Fetched again and again: the whole database is read by a job and on the health page only.
    let report = d.read("doctor", json!({ "quick": true })).await?;
    let until = d.now.as_millis() / 1_000;
    let series = std::mem::take(&mut view.series);
    let charts = series.iter().enumerate().map(|(place, series)| Chart {
        id: format!("chart-{place}"),
        title: d.tv("chart", &series.name),
        drawing: series.draw(until),
    });
    let charts = charts.collect();
    rendered(&Live { d, view, report, charts })
}

#[derive(Debug, Deserialize)]
struct Facts {
    domain: String,
    version: String,
    client_address: String,
    federation_address: String,
    client_pin: String,
    federation_key: String,
    #[serde(default)]
    admin_url: Option<String>,
    #[serde(default)]
    since: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/about.html")]
struct About<'a> {
    d: &'a Desk,
    view: Facts,
}

/// What this homeserver is and where it is dialled.
pub(super) async fn about(d: Desk) -> Result<Page, Refused> {
    let view = d.read("info", Value::Object(serde_json::Map::default())).await?;
    d.page("about-title", &About { d: &d, view })
}
