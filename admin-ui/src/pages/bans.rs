//! Who is kept out: users of this and of other domains, and whole domains.

use askama::Template;
use serde::Deserialize;

use super::{Desk, Page, Refused, ask::Ask};

#[derive(Debug, Deserialize)]
struct Bans {
    #[serde(rename = "bans")]
    rows: Vec<Ban>,
    total: u64,
    page: u64,
    pages: u64,
}

#[derive(Debug, Deserialize)]
struct Ban {
    subject: String,
    kind: String,
    local: bool,
    reason: String,
    by: String,
    since: Option<String>,
    until: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/bans.html")]
struct List<'a> {
    d: &'a Desk,
    ask: &'a Ask,
    view: Bans,
}

/// The list.
pub(super) async fn list(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = d.read("ban.list", ask.arguments("ban.list")).await?;
    d.page("bans-title", &List { d: &d, ask: &ask, view })
}
