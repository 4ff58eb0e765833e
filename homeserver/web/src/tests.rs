//! The routers as a browser, a supervisor and a stranger meet them.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
    response::Response,
    routing::get,
};
use tower::ServiceExt as _;

use super::{Hosts, Probes, Readiness, State, admin_router, public_router};

#[derive(Debug)]
struct Fixed(State);

#[async_trait::async_trait]
impl Readiness for Fixed {
    fn state(&self) -> State {
        self.0.clone()
    }

    async fn metrics(&self) -> (&'static str, String) {
        ("text/plain; version=0.0.4", "quicproquo_build_info 1\n".to_owned())
    }
}

fn admin(state: State) -> Router {
    let console = Router::new().route("/users", get(|| async { "users" }));
    admin_router(Probes::new(Arc::new(Fixed(state))), Some(console), Hosts::new(Some("admin.alpha.test")))
}

async fn asked(router: Router, host: &str, path: &str) -> Response {
    let request = Request::get(path).header(header::HOST, host).body(Body::empty()).unwrap();
    router.oneshot(request).await.unwrap()
}

#[tokio::test]
async fn readiness_is_a_status() {
    for (state, status) in [
        (State::Ready, StatusCode::OK),
        (State::Draining, StatusCode::SERVICE_UNAVAILABLE),
        (State::Failing(vec!["the disk is full".to_owned()]), StatusCode::SERVICE_UNAVAILABLE),
    ] {
        for path in ["/readyz", "/readyz?verbose"] {
            assert_eq!(
                asked(admin(state.clone()), "localhost:7445", path).await.status(),
                status,
                "{state:?} {path}"
            );
        }
        assert_eq!(asked(admin(state), "localhost:7445", "/livez").await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn the_admin_listener_answers_to_its_own_names_only() {
    for host in ["localhost", "localhost:7445", "127.0.0.1:7445", "[::1]:7445", "Admin.Alpha.Test"] {
        assert_eq!(asked(admin(State::Ready), host, "/users").await.status(), StatusCode::OK, "{host}");
    }
    for host in ["evil.test", "localhost.evil.test:7445", "127.0.0.1.evil.test", ""] {
        let answer = asked(admin(State::Ready), host, "/users").await;
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
}

#[tokio::test]
async fn nothing_of_the_console_is_public() {
    for path in ["/", "/users", "/metrics", "/readyz", "/setup/x", "/../users", "//users", "/%2e%2e/users"] {
        let answer = asked(public_router(), "anything.test", path).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(answer.headers().get(header::SET_COOKIE).is_none());
    }
    assert_eq!(asked(public_router(), "anything.test", "/livez").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn every_answer_says_how_little_a_browser_may_do_with_it() {
    let answer = asked(admin(State::Ready), "localhost", "/metrics").await;
    assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    assert!(answer.headers().contains_key(header::CONTENT_SECURITY_POLICY));
}
