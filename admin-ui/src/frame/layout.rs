//! What stands around every page: the domain, where to go, who is signed in, what the last form did, the request's id.

use askama::Template;
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use qpq_service::{Action, Actions, NewSession, SignedIn};
use tracing::warn;

use super::{assets, cookies, headers, problem::Problem, said, scene::Scene};
use crate::pages::{Page, Refused};

/// The areas of the console: the action whose page each begins with, its name, and what else belongs to it.
const AREAS: &[(&str, &str, &[&str])] = &[
    ("status", "nav-overview", &[]),
    ("user.list", "nav-users", &["/users", "/bans", "/devices", "/sessions"]),
    ("token.list", "nav-tokens", &["/tokens"]),
    ("peer.list", "nav-federation", &["/federation"]),
    ("log.status", "nav-transparency", &["/transparency"]),
    ("audit.list", "nav-audit", &["/audit"]),
    ("config.show", "nav-settings", &["/settings"]),
    ("admin.list", "nav-admins", &["/admins"]),
    ("doctor", "nav-health", &["/health", "/doctor", "/jobs"]),
];

/// A session that took the place of another one: the browser gets its cookie.
#[derive(Clone)]
pub(super) struct Rotated(pub(super) NewSession);

struct Area {
    path: &'static str,
    name: String,
    /// What `aria-current` says.
    current: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "frame/layout.html")]
struct Layout<'a> {
    s: &'a Scene,
    title: &'a str,
    content: &'a str,
    domain: &'a str,
    areas: Vec<Area>,
    said: Option<String>,
}

/// Makes a whole answer of what a page, or a problem, left.
pub(super) fn around(mut scene: Scene, mut response: Response) -> Response {
    if let Some(Rotated(session)) = response.extensions_mut().remove::<Rotated>() {
        cookies::set(response.headers_mut(), cookies::SESSION, session.cookie.expose());
        scene.signed_in = Some(session.signed_in);
    }
    let refused =
        response.extensions_mut().remove::<Refused>().map(|Refused(refusal)| Problem::from(refusal));
    let problem = response.extensions_mut().remove::<Problem>().or(refused);
    if let Some(problem) = &problem {
        *response.status_mut() = problem.status;
        if problem.is_ours() {
            let (status, reason) = (problem.status.as_u16(), &problem.text);
            warn!(request = %scene.request, status, reason, "the console could not do what it was asked");
        }
    }
    let page = response.extensions_mut().remove::<Page>();
    let html = match (&problem, page) {
        (Some(problem), _) if scene.partial => Some(problem.part(&scene)),
        (Some(problem), _) => Some(written(&scene, &problem.page(&scene), None)),
        (None, Some(page)) => {
            let said = scene.said.take().filter(|_| response.status() == StatusCode::OK);
            let said = said.and_then(|said| said::text(scene.words, &said));
            if said.is_some() {
                cookies::remove(response.headers_mut(), cookies::SAID);
            }
            Some(written(&scene, &page, said))
        }
        (None, None) => None,
    };
    if let Some(html) = html {
        *response.body_mut() = Body::from(html);
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let https = scene.console.admins.place().origin.starts_with("https://");
    headers::put(response.headers_mut(), https);
    response
}

fn written(scene: &Scene, page: &Page, said: Option<String>) -> String {
    let layout = Layout {
        s: scene,
        title: &page.title,
        content: &page.content,
        domain: &scene.console.actions.facts().domain,
        areas: scene.signed_in.as_ref().map(|who| areas(scene, who)).unwrap_or_default(),
        said,
    };
    layout.render().unwrap_or_else(|_| page.title.clone())
}

fn areas(scene: &Scene, who: &SignedIn) -> Vec<Area> {
    let known = |verb: &str| Actions::all().find(|action| action.verb == verb);
    let mine = |action: &&Action| who.role >= action.role;
    let found = AREAS.iter().filter_map(|(verb, key, places)| {
        let action = known(verb).filter(mine)?;
        let below = |place: &&str| {
            scene.path.strip_prefix(*place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let current = if scene.path == action.route {
            Some("page")
        } else {
            places.iter().any(below).then_some("true")
        };
        Some(Area { path: action.route, name: scene.t(key), current })
    });
    found.collect()
}
