//! The one way in for forms: a page of our own sent it, it carries its token, it is not too long, and who needs a session
//! has one. All that before anything looks at what the form is about.

use axum::{
    extract::Request,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use qpq_core::ErrorCode;
use qpq_service::{Caller, NewSession, Refusal, SignedIn};
use sha2::{Digest, Sha256};

use super::{
    fields::{BACK, Fields, TOKEN},
    layout::Rotated,
    problem::Problem,
    scene::Scene,
    targets::Who,
};

/// A form that came in.
#[derive(Debug)]
pub(super) struct Posted {
    /// Who sent it, and from where.
    pub(super) scene: Scene,
    /// What it holds.
    pub(super) fields: Fields,
    /// A session that took the place of the one before while the form was dealt with.
    pub(super) rotated: Option<NewSession>,
}

/// Lets a form in.
pub(super) async fn enter(who: Who, scene: Scene, request: Request) -> Result<Posted, Problem> {
    if !ours(request.headers(), &scene.origin) {
        return Err(Problem::cross_site());
    }
    let fields = Fields::read(request).await?;
    let token = match (&scene.signed_in, who) {
        (Some(signed_in), _) => &signed_in.form_token,
        (None, Who::Anybody) => &scene.visitor,
        (None, Who::Admin) => return Err(Problem::no_session(local(fields.get(BACK)))),
    };
    if token.is_empty() || !same(token, fields.get(TOKEN)) {
        return Err(Problem::wrong_token(local(fields.get(BACK))));
    }
    Ok(Posted { scene, fields, rotated: None })
}

impl Posted {
    /// Who sent it.
    pub(super) fn signed_in(&self) -> Result<&SignedIn, Problem> {
        self.scene.signed_in.as_ref().ok_or_else(|| Problem::no_session(self.back()))
    }

    /// As whom an action is performed.
    pub(super) fn caller(&self) -> Result<Caller, Refusal> {
        let ended = || Refusal::new(ErrorCode::SessionExpired, "the session has ended");
        Ok(self.scene.signed_in.as_ref().ok_or_else(ended)?.caller(self.scene.request))
    }

    /// The answer, and with it the cookie of a session that began meanwhile.
    pub(super) fn with_cookie(&self, answer: Result<Response, Problem>) -> Response {
        let mut response = answer.unwrap_or_else(IntoResponse::into_response);
        if let Some(session) = &self.rotated {
            response.extensions_mut().insert(Rotated(session.clone()));
        }
        response
    }

    /// The path that the form leads back to.
    pub(super) fn back(&self) -> String {
        local(self.fields.get(BACK))
    }
}

/// Whether a page of ours sent this. Browsers say so in `Sec-Fetch-Site`, which scripts can't set; those that don't know it
/// send `Origin`. Our pages send no referrer, which makes the origin of their forms `null`: that is no more than silence.
fn ours(headers: &HeaderMap, origin: &str) -> bool {
    let only = |name| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Some(None),
            (Some(value), None) => value.to_str().ok().map(Some),
            _ => None,
        }
    };
    let (Some(site), Some(from)) = (only("sec-fetch-site"), only(header::ORIGIN.as_str())) else {
        return false;
    };
    match (site, from) {
        (Some("same-origin"), None | Some("null")) => true,
        (Some("same-origin") | None, Some(from)) => from == origin,
        _ => false,
    }
}

/// Compares without telling by the time it takes how much is the same.
fn same(expected: &str, given: &str) -> bool {
    Sha256::digest(expected) == Sha256::digest(given)
}

/// A path of ours; anything else leads to the beginning.
pub(super) fn local(path: &str) -> String {
    let ours = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 2_000
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if ours { path.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn judged(site: Option<&'static str>, origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        ours(&headers, "http://localhost:7445")
    }

    #[test]
    fn only_our_own_pages_may_send_forms() {
        let origin = Some("http://localhost:7445");
        for (site, from) in [
            (Some("same-origin"), origin),
            (Some("same-origin"), Some("null")),
            (Some("same-origin"), None),
            (None, origin),
        ] {
            assert!(judged(site, from), "{site:?} {from:?}");
        }
        for (site, from) in [
            (None, None),
            (None, Some("null")),
            (None, Some("http://localhost:7446")),
            (None, Some("https://localhost:7445")),
            (Some("cross-site"), origin),
            (Some("same-site"), origin),
            (Some("none"), None),
            (Some("same-origin"), Some("http://evil.test")),
            (Some(""), None),
        ] {
            assert!(!judged(site, from), "{site:?} {from:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append("sec-fetch-site", HeaderValue::from_static("same-origin"));
        twice.append("sec-fetch-site", HeaderValue::from_static("cross-site"));
        assert!(!ours(&twice, "http://localhost:7445"));
    }

    #[test]
    fn a_form_leads_back_to_pages_of_ours_only() {
        assert_eq!(local("/users?page=2"), "/users?page=2");
        for elsewhere in [
            "",
            "users",
            "//evil.test",
            "/\\evil.test",
            "http://evil.test",
            "/a\r\nset-cookie: x=y",
            "/ä",
            "/a b",
        ] {
            assert_eq!(local(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
