//! What waits for a peer, and what it could not take.

use askama::Template;
use serde::Deserialize;

use super::{Desk, Page, Refused, ask::Ask};

#[derive(Debug, Deserialize)]
struct Queue {
    domain: String,
    streams: Vec<Line>,
    total: u64,
    page: u64,
    pages: u64,
}

#[derive(Debug, Deserialize)]
struct Line {
    stream: String,
    next: u64,
    rows: u64,
    bytes: u64,
    kind: String,
    oldest_at: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/queue.html")]
struct Waiting<'a> {
    d: &'a Desk,
    ask: &'a Ask,
    view: Queue,
}

/// What waits for one peer.
pub(super) async fn queue(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = d.read("peer.queue", ask.arguments("peer.queue")).await?;
    d.page("queue-title", &Waiting { d: &d, ask: &ask, view })
}

#[derive(Debug, Deserialize)]
struct Given {
    letters: Vec<Letter>,
    total: u64,
    page: u64,
    pages: u64,
}

#[derive(Debug, Deserialize)]
struct Letter {
    id: u64,
    domain: String,
    stream: String,
    kind: String,
    bytes: u64,
    reason: String,
    at: Option<String>,
    expires_at: Option<String>,
    replayable: bool,
}

#[derive(Template)]
#[template(path = "pages/dead-letters.html")]
struct Dead<'a> {
    d: &'a Desk,
    ask: &'a Ask,
    view: Given,
}

/// What peers could not take.
pub(super) async fn letters(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = d.read("peer.dead-letters.list", ask.arguments("peer.dead-letters.list")).await?;
    d.page("letters-title", &Dead { d: &d, ask: &ask, view })
}
