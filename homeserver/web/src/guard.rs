//! What every request meets first: bounds on size and time, a host name that is ours, and a sentence where nothing is.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};

/// The longest body of a request.
const BODY_BYTES: usize = 64 * 1024;
/// The whole time of a request.
const DEADLINE: Duration = Duration::from_secs(30);

/// The host names by which the admin listener may be called. A page of another site that made its own name point at this
/// machine (DNS rebinding) calls it by that name, and is told off.
#[derive(Clone, Debug)]
pub struct Hosts(Arc<[String]>);

impl Hosts {
    /// The loopback names and, if the console is behind a name of its own, that one.
    pub fn new(name: Option<&str>) -> Self {
        let names = ["localhost", "127.0.0.1", "[::1]"].into_iter().chain(name);
        Self(names.map(str::to_ascii_lowercase).collect())
    }

    fn know(&self, host: &str) -> bool {
        let bare = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        self.0.iter().any(|name| name.eq_ignore_ascii_case(bare))
    }
}

pub(crate) async fn known_host(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let named = named.or_else(|| request.uri().host());
    if named.is_some_and(|host| hosts.know(host)) {
        return next.run(request).await;
    }
    plain(
        StatusCode::MISDIRECTED_REQUEST,
        "This console is called by another name: use localhost, or the name that `admin.name` gives it.\n",
    )
}

/// Bounds for a whole router.
pub(crate) fn bounded(router: Router) -> Router {
    router
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::map_response(with_safe_headers))
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => plain(StatusCode::GATEWAY_TIMEOUT, "The homeserver is too busy to answer: try again.\n"),
    }
}

/// Headers that no answer goes without; a page may set stricter ones itself.
async fn with_safe_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Where nothing is.
pub(crate) async fn nothing_here() -> Response {
    plain(StatusCode::NOT_FOUND, "There is nothing here.\n")
}

pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
