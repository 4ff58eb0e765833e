//! What the frame learns of every request before anything else looks at it: who asks, in which language, from where.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use fluent_bundle::FluentValue;
use qpq_core::{RequestId, Timestamp};
use qpq_service::{AdminRole, SignedIn, SourceNetwork, Visit};
use tracing::{Instrument as _, info_span};

use super::{Console, cookies, language, layout, problem::Problem};
use crate::pages::{Answers, Desk, Markup, Words, ask, coded, moment};

/// Longest `User-Agent` that is kept.
const AGENT: usize = 200;

/// A request as the frame sees it.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) console: Arc<Console>,
    /// Its id, on the page and in the log.
    pub(super) request: RequestId,
    /// The texts.
    pub(super) words: Words,
    /// Who is signed in.
    pub(super) signed_in: Option<SignedIn>,
    /// The form token of who isn't; the browser gets it as a cookie.
    pub(super) visitor: String,
    new_visitor: bool,
    /// Where it comes from.
    pub(super) visit: Visit,
    /// Scheme, host and port by which we were called.
    pub(super) origin: String,
    /// The path.
    pub(super) path: String,
    /// The path and what is behind the `?`.
    pub(super) here: String,
    /// It asks for a page, rather than sending a form.
    read: bool,
    /// The page wants a part of itself anew.
    pub(super) partial: bool,
    /// What the request before did.
    pub(super) said: Option<String>,
    /// The time.
    pub(super) now: Timestamp,
}

/// Learns who asks, and puts the layout, the headers and the cookies around what comes back.
pub(super) async fn around(
    State(console): State<Arc<Console>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = console.actions.new_request();
    let (parts, body) = request.into_parts();
    let mut scene = Scene::of(console, id, &parts);
    request = Request::from_parts(parts, body);
    // What is logged on the way carries the id that the page shows.
    let span = info_span!("console", request = %id);
    let fault = scene.who(request.headers()).instrument(span.clone()).await.err();
    let mut response = match (fault, scene.elsewhere(request.method())) {
        (Some(problem), _) => problem.into_response(),
        (None, Some(place)) => Redirect::temporary(&place).into_response(),
        (None, None) => {
            let extensions = request.extensions_mut();
            extensions.insert(scene.clone());
            if let Some(desk) = scene.desk() {
                extensions.insert(desk);
            }
            next.run(request).instrument(span).await
        }
    };
    if scene.new_visitor {
        cookies::set(response.headers_mut(), cookies::VISITOR, &scene.visitor);
    }
    layout::around(scene, response)
}

/// Sends who isn't signed in to the door; a part of a page that renews itself takes the whole page there.
pub(super) async fn only_signed_in(scene: Scene, request: Request, next: Next) -> Response {
    if scene.signed_in.is_some() {
        return next.run(request).await;
    }
    let door = |back: &str| match back {
        "/" => "/sign-in".to_owned(),
        back => format!("/sign-in?back={}", ask::encoded(back)),
    };
    if scene.partial {
        let page = request.headers().get("hx-current-url").and_then(|url| url.to_str().ok());
        let page = page.and_then(|url| url.strip_prefix(&scene.origin)).unwrap_or("/");
        let door = HeaderValue::try_from(door(page)).unwrap_or(HeaderValue::from_static("/sign-in"));
        return (StatusCode::UNAUTHORIZED, [("hx-redirect", door)]).into_response();
    }
    Redirect::to(&door(&scene.here)).into_response()
}

impl Scene {
    fn of(console: Arc<Console>, request: RequestId, parts: &Parts) -> Self {
        let headers = &parts.headers;
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let host = text(header::HOST.as_str());
        let https = console.admins.place().origin.strip_prefix("https://");
        // A proxy may pass the port on; browsers leave the usual one out of an origin.
        let bare = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let (scheme, host) = if https.is_some_and(|named| named.eq_ignore_ascii_case(bare)) {
            ("https", host.strip_suffix(":443").unwrap_or(host))
        } else {
            ("http", host)
        };
        let known = cookies::get(headers, cookies::VISITOR)
            .filter(|token| token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let visitor = known.map_or_else(|| drawn(&console), str::to_owned);
        let address =
            parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
        let visit = Visit {
            network: network(address),
            address: address.map(|address| address.to_canonical().to_string()).unwrap_or_default(),
            agent: text(header::USER_AGENT.as_str()).chars().take(AGENT).collect(),
            request,
        };
        Self {
            request,
            words: Words(language::of(headers)),
            signed_in: None,
            new_visitor: known.is_none(),
            visitor,
            visit,
            origin: format!("{scheme}://{host}"),
            path: parts.uri.path().to_owned(),
            here: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            read: parts.method == Method::GET,
            partial: headers.contains_key("hx-request"),
            said: cookies::get(headers, cookies::SAID).map(str::to_owned),
            now: console.clock.now(),
            console,
        }
    }

    /// Learns who is signed in.
    async fn who(&mut self, headers: &HeaderMap) -> Result<(), Problem> {
        if let Some(cookie) = cookies::get(headers, cookies::SESSION) {
            let admins = &self.console.admins;
            self.signed_in = if self.partial {
                admins.session_unattended(cookie).await?
            } else {
                admins.session(cookie).await?
            };
        }
        Ok(())
    }

    /// Browsers make no passkeys for 127.0.0.1: who comes by that name is led to `localhost`.
    fn elsewhere(&self, method: &Method) -> Option<String> {
        let host = self.origin.strip_prefix("http://")?;
        let port = host.strip_prefix("127.0.0.1").or_else(|| host.strip_prefix("[::1]"))?;
        let moves = *method == Method::GET && self.console.admins.place().rp_id == "localhost";
        moves.then(|| format!("http://localhost{port}{}", self.here))
    }

    /// What pages have at hand, if somebody is signed in.
    pub(super) fn desk(&self) -> Option<Desk> {
        let signed_in = self.signed_in.as_ref()?;
        Some(Desk {
            actions: Arc::clone(&self.console.actions) as Arc<dyn Answers>,
            caller: signed_in.caller(self.request),
            words: self.words,
            form_token: signed_in.form_token.clone(),
            here: self.here.clone(),
            now: self.now,
        })
    }

    /// Where the switch of the language leads: this page, or what a form that was sent here was on.
    pub(super) fn leads_back(&self) -> &str {
        if self.read { &self.here } else { "/" }
    }

    /// What the forms of this page carry.
    pub(super) fn token(&self) -> &str {
        self.signed_in.as_ref().map_or(&self.visitor, |signed_in| &signed_in.form_token)
    }

    /// A text.
    pub(super) fn t(&self, key: &str) -> String {
        self.words.say(key, &[])
    }

    /// A text whose `commands` stand out.
    pub(super) fn rich(&self, key: &str) -> Markup {
        coded(&self.t(key))
    }

    /// A text about a name.
    pub(super) fn ts(&self, key: &str, name: &str) -> String {
        self.words.say(key, &[("name", FluentValue::from(name))])
    }

    /// A text about a number.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
    pub(super) fn tn(&self, key: &str, n: &u64) -> String {
        let n = *n;
        self.words.say(key, &[("n", n.into()), ("shown", n.to_string().into())])
    }

    /// What a role is called.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
    pub(super) fn role(&self, role: &AdminRole) -> String {
        self.t(&format!("role-{role}"))
    }

    /// A time.
    #[expect(
        clippy::unused_self,
        clippy::trivially_copy_pass_by_ref,
        reason = "templates pass references and have nothing but the scene at hand"
    )]
    pub(super) fn time(&self, time: &Timestamp) -> Markup {
        moment(&time.to_string())
    }
}

impl<S: Sync> FromRequestParts<S> for Scene {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        // `around` has put it there.
        parts.extensions.get::<Self>().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// 256 bits of chance as text.
fn drawn(console: &Console) -> String {
    [console.actions.new_request(), console.actions.new_request()]
        .map(|id| data_encoding::HEXLOWER.encode(id.as_bytes()))
        .concat()
}

/// The network that limits count: an IPv4 address, or the /64 of an IPv6 one, which is one site.
fn network(address: Option<IpAddr>) -> SourceNetwork {
    match address.map(|address| address.to_canonical()) {
        None => SourceNetwork::new("unknown"),
        Some(IpAddr::V4(four)) => SourceNetwork::new(&four.to_string()),
        Some(IpAddr::V6(six)) => {
            let [a, b, c, d, ..] = six.segments();
            SourceNetwork::new(&format!("{a:x}:{b:x}:{c:x}:{d:x}::/64"))
        }
    }
}
