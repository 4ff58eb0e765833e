//! What an action answers once and never again: tokens and links, on a page of their own, to copy or to scan.

use askama::Template;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::{problem::Problem, qr, scene::Scene, sign_in};
use crate::pages::{Markup, moment};

/// Actions whose answers hold a secret.
pub(super) const SHOWN: &[&str] =
    &["admin.add", "admin.recover", "admin.setup-link", "peer.invite", "token.create"];

#[derive(Template)]
#[template(path = "frame/once.html")]
struct Once<'a> {
    s: &'a Scene,
    back: &'a str,
    title: &'a str,
    hint: String,
    /// The secret.
    secret: &'a str,
    /// The same to be scanned.
    qr: Markup,
    /// What can be sent to who shall use it.
    message: Option<String>,
    message_key: &'a str,
    expires: Option<Markup>,
}

/// The page; `None`: this action's answer holds no secret.
pub(super) fn page(
    scene: &Scene,
    verb: &str,
    answer: &Value,
    back: &str,
) -> Result<Option<Response>, Problem> {
    if !SHOWN.contains(&verb) {
        return Ok(None);
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let facts = scene.console.actions.facts();
    let (title, hint, secret, message) = match verb {
        "token.create" => {
            let token = text("token");
            let command = format!(
                "qpq register NAME@{} --server {} --pin {} --registration-token {token}",
                facts.domain, facts.client_address, facts.client_pin
            );
            ("once-token", scene.t("once-token-hint"), token, Some(command))
        }
        "peer.invite" => {
            let token = text("token");
            let command = format!("qpq-server peer accept {token}");
            ("once-invite", scene.t("once-invite-hint"), token, Some(command))
        }
        "admin.add" => ("once-admin", scene.ts("once-admin-hint", text("name")), text("url"), None),
        "admin.recover" => ("once-recover", scene.ts("once-recover-hint", text("name")), text("url"), None),
        _ => ("once-link", scene.t("once-link-hint"), text("url"), None),
    };
    let expires = answer.get("expires").and_then(Value::as_str).map(moment);
    let qr = qr::svg(secret, &scene.t("once-qr"));
    let message_key = if verb == "token.create" { "once-token-message" } else { "once-invite-message" };
    let view = Once { s: scene, back, title, hint, secret, qr, message, message_key, expires };
    Ok(Some(sign_in::page(scene, title, &view)?.into_response()))
}
