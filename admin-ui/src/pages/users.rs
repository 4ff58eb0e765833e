//! Users of this domain: the list, and one of them with devices, sessions and what can be done.

use askama::Template;
use serde::Deserialize;
use serde_json::json;

use super::{Desk, Page, Refused, ask::Ask};

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "they are called as in the action's answer")]
struct Users {
    users: Vec<Line>,
    total: u64,
    page: u64,
    pages: u64,
}

#[derive(Debug, Deserialize)]
struct Line {
    address: String,
    created: Option<String>,
    last_seen: Option<String>,
    devices: u64,
    banned: Option<Banned>,
}

#[derive(Debug, Deserialize)]
struct Banned {
    reason: String,
    until: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/users.html")]
struct List<'a> {
    d: &'a Desk,
    ask: &'a Ask,
    view: Users,
}

/// The list.
pub(super) async fn list(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = d.read("user.list", ask.arguments("user.list")).await?;
    d.page("users-title", &List { d: &d, ask: &ask, view })
}

#[derive(Debug, Deserialize)]
struct User {
    address: String,
    account: String,
    identity_key: String,
    created: Option<String>,
    last_seen: Option<String>,
    banned: Option<Banned>,
    devices: Vec<Device>,
    sessions: Vec<Session>,
}

#[derive(Debug, Deserialize)]
struct Device {
    id: String,
    signature_key: String,
    enrolled: Option<String>,
    last_seen: Option<String>,
    key_packages: Option<u64>,
    revoked: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Session {
    id: String,
    device: String,
    opened: Option<String>,
    resumed: Option<String>,
    resumable_until: Option<String>,
    live: bool,
}

/// What an action would do to a user.
#[derive(Debug, Deserialize)]
struct Effects {
    address: String,
    effect: String,
    sessions: u64,
    live_sessions: u64,
    devices: u64,
    groups: u64,
    waiting_messages: u64,
    key_packages: u64,
}

#[derive(Template)]
#[template(path = "pages/user.html")]
struct One<'a> {
    d: &'a Desk,
    view: User,
    ban: Option<Effects>,
    delete: Option<Effects>,
}

/// One user.
pub(super) async fn show(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view: User = d.read("user.show", ask.arguments("user.show")).await?;
    let ban = if d.may("user.ban") && view.banned.is_none() {
        Some(effects(&d, &view.address, "ban").await?)
    } else {
        None
    };
    let delete = if d.may("user.delete") { Some(effects(&d, &view.address, "delete").await?) } else { None };
    d.page("user-title", &One { d: &d, view, ban, delete })
}

async fn effects(d: &Desk, address: &str, effect: &str) -> Result<Effects, Refused> {
    d.read("user.preview", json!({ "address": address, "effect": effect })).await
}

#[derive(Template)]
#[template(path = "pages/preview.html")]
struct Preview<'a> {
    d: &'a Desk,
    view: Effects,
}

/// What banning or deleting a user would do, as a page of its own.
pub(super) async fn preview(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = d.read("user.preview", ask.arguments("user.preview")).await?;
    d.page("preview-title", &Preview { d: &d, view })
}
