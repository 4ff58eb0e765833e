//! Who may use the console: accounts with their factors, and their sessions.

use askama::Template;
use serde::Deserialize;
use serde_json::json;

use super::{Desk, Page, Refused, ask::Ask};

#[derive(Debug, Deserialize)]
struct Admins {
    admins: Vec<Admin>,
}

#[derive(Debug, Deserialize)]
struct Admin {
    id: String,
    name: String,
    role: String,
    created: Option<String>,
    created_by: Option<String>,
    passkeys: u64,
    password: bool,
    totp: bool,
    recovery_codes_left: Option<u64>,
    last_sign_in: Option<String>,
    sessions: u64,
}

#[derive(Template)]
#[template(path = "pages/admins.html")]
struct List<'a> {
    d: &'a Desk,
    view: Admins,
    me: String,
}

/// The accounts.
pub(super) async fn list(d: Desk) -> Result<Page, Refused> {
    let view = d.read("admin.list", json!({})).await?;
    let me = d.caller.actor.to_string();
    d.page("admins-title", &List { d: &d, view, me })
}

#[derive(Debug, Deserialize)]
struct Sessions {
    sessions: Vec<Session>,
}

#[derive(Debug, Deserialize)]
struct Session {
    id: String,
    name: String,
    #[serde(default)]
    opened: Option<String>,
    #[serde(default)]
    last_seen: Option<String>,
    #[serde(default)]
    address: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/admin-sessions.html")]
struct SessionList<'a> {
    d: &'a Desk,
    ask: &'a Ask,
    view: Sessions,
}

/// Where admins are signed in.
pub(super) async fn sessions(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = d.read("admin.session-list", ask.arguments("admin.session-list")).await?;
    d.page("admin-sessions-title", &SessionList { d: &d, ask: &ask, view })
}
