//! Why there is no page: a status, what it means in the reader's language, a sentence of who refused, and what helps.

use std::fmt;

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use qpq_core::{ErrorCode, Millis};
use qpq_service::Refusal;
use serde_json::json;

use super::{again::Again, scene::Scene};
use crate::pages::{Markup, Page, ask, coded};

/// A request that got no page of its own.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The text that says what it means: `error-404`, with `error-404-do` beside it.
    pub(super) key: &'static str,
    /// The sentence of who refused, in English.
    pub(super) text: String,
    /// When to try again.
    pub(super) retry_after: Option<Millis>,
    /// The page that the form was on.
    pub(super) back: Option<String>,
    /// The form that was refused, to be corrected.
    pub(super) again: Option<Box<Again>>,
}

impl Problem {
    fn new(status: StatusCode, key: &'static str) -> Self {
        Self { status, key, text: String::new(), retry_after: None, back: None, again: None }
    }

    /// No page has this address.
    pub(super) fn nothing_here() -> Self {
        Self::new(StatusCode::NOT_FOUND, "error-404")
    }

    /// The address is where a form is sent.
    pub(super) fn only_a_form() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "error-405")
    }

    /// Another site sent this form.
    pub(super) fn cross_site() -> Self {
        Self::new(StatusCode::FORBIDDEN, "error-cross-site")
    }

    /// The form is not of this session.
    pub(super) fn wrong_token(back: String) -> Self {
        Self { back: Some(back), ..Self::new(StatusCode::FORBIDDEN, "error-token") }
    }

    /// The session has ended.
    pub(super) fn no_session(back: String) -> Self {
        Self { back: Some(back), ..Self::new(StatusCode::UNAUTHORIZED, "error-401") }
    }

    /// The form is too long.
    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "error-413")
    }

    /// The form can't be read.
    pub(super) fn malformed(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::new(StatusCode::BAD_REQUEST, "error-400") }
    }

    /// A page can't be made.
    pub(super) fn internal(text: String) -> Self {
        Self { text, ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "error-500") }
    }

    /// Whether it is the homeserver's own trouble, which belongs in its log.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.key, "error-500" | "error-503")
    }

    /// Where to sign in again, or to prove who one is, if that is what helps.
    fn door(&self) -> Option<String> {
        let back = ask::encoded(self.back.as_deref().unwrap_or("/"));
        match self.key {
            "error-401" => Some(format!("/sign-in?back={back}")),
            "error-proof" => Some(format!("/prove?back={back}")),
            _ => None,
        }
    }

    /// What helps.
    fn remedy(&self, scene: &Scene) -> Markup {
        scene.rich(&format!("{}-do", self.key))
    }

    /// The sentence of who refused.
    pub(super) fn sentence(&self) -> Markup {
        coded(&self.text)
    }

    /// What the way on is called.
    fn onward(&self, scene: &Scene) -> String {
        scene.t(&format!("{}-go", self.key))
    }

    /// Whole seconds until it makes sense to try again, rounded up.
    pub(super) fn wait(&self) -> Option<u64> {
        self.retry_after.map(|span| span.0.div_ceil(1_000).max(1))
    }

    /// A page of its own that shows this problem among other things.
    pub(super) fn on(&self, page: Page) -> Response {
        let mut response = (self.status, page).into_response();
        if let Some(after) = self.wait() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after));
        }
        response
    }

    /// The page that says so.
    pub(super) fn page(&self, scene: &Scene) -> Page {
        let title = scene.t(self.key);
        let view = Shown { s: scene, problem: self, title: &title, door: self.door() };
        let content = view.render().unwrap_or_else(|_| title.clone());
        Page { title, content }
    }

    /// The same for a part of a page, which stands where the part was.
    pub(super) fn part(&self, scene: &Scene) -> String {
        Part { s: scene, problem: self }.render().unwrap_or_default()
    }

    /// The same for the console's script.
    pub(super) fn json(&self, scene: &Scene) -> Response {
        let body = json!({ "error": scene.t(self.key), "text": self.text, "go": self.door() });
        (self.status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}

#[derive(Template)]
#[template(path = "frame/problem.html")]
struct Shown<'a> {
    s: &'a Scene,
    problem: &'a Problem,
    title: &'a str,
    door: Option<String>,
}

#[derive(Template)]
#[template(path = "frame/problem-part.html")]
struct Part<'a> {
    s: &'a Scene,
    problem: &'a Problem,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, key) = match refusal.code {
            ErrorCode::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "error-413"),
            ErrorCode::NotFound => (StatusCode::NOT_FOUND, "error-404"),
            ErrorCode::Gone => (StatusCode::GONE, "error-410"),
            ErrorCode::LoginFailed => (StatusCode::UNAUTHORIZED, "error-login"),
            ErrorCode::SessionExpired | ErrorCode::Revoked => (StatusCode::UNAUTHORIZED, "error-401"),
            ErrorCode::RoleRefused => (StatusCode::FORBIDDEN, "error-role"),
            ErrorCode::ReauthenticationNeeded => (StatusCode::FORBIDDEN, "error-proof"),
            ErrorCode::NotAllowed | ErrorCode::Banned | ErrorCode::PolicyRefused => {
                (StatusCode::FORBIDDEN, "error-403")
            }
            ErrorCode::NameTaken | ErrorCode::IdReused => (StatusCode::CONFLICT, "error-409"),
            ErrorCode::RateLimited | ErrorCode::Overloaded => (StatusCode::TOO_MANY_REQUESTS, "error-429"),
            ErrorCode::PeerUnreachable => (StatusCode::BAD_GATEWAY, "error-502"),
            ErrorCode::Draining => (StatusCode::SERVICE_UNAVAILABLE, "error-draining"),
            ErrorCode::NotStored => (StatusCode::SERVICE_UNAVAILABLE, "error-503"),
            ErrorCode::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "error-500"),
            _ => (StatusCode::BAD_REQUEST, "error-400"),
        };
        Self { text: refusal.text, retry_after: refusal.retry_after, ..Self::new(status, key) }
    }
}

impl IntoResponse for Problem {
    /// An answer without a page yet; the layout makes one of what is beside it.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(after) = self.wait() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
