//! The effective configuration: each value with its origin, and a form for what a reload changes.

use askama::Template;
use serde::Deserialize;
use serde_json::json;

use super::{Desk, Page, Refused};

#[derive(Debug, Deserialize)]
struct Settings {
    settings: Vec<Setting>,
}

#[derive(Debug, Deserialize)]
struct Setting {
    key: String,
    value: Option<String>,
    origin: Option<String>,
    variable: String,
    about: String,
    reloadable: bool,
    pending: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/settings.html")]
struct Shown<'a> {
    d: &'a Desk,
    view: Settings,
    pending: u64,
}

/// Every setting.
pub(super) async fn show(d: Desk) -> Result<Page, Refused> {
    let view: Settings = d.read("config.show", json!({})).await?;
    let pending = view.settings.iter().filter(|setting| setting.pending.is_some()).count();
    let pending = u64::try_from(pending).unwrap_or(u64::MAX);
    d.page("settings-title", &Shown { d: &d, view, pending })
}
