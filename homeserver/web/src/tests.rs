//! The routers as a browser, a supervisor and a stranger meet them.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
    response::Response,
    routing::get,
};
use qpq_metrics::{Listener, Metrics, Snapshot};
use tower::ServiceExt as _;

use super::{
    Hosts, Probes, Published, PublishedLog, Readiness, State, Witnessed, admin_router, counted, public_router,
};

#[derive(Debug)]
struct Fixed(State);

#[async_trait::async_trait]
impl Readiness for Fixed {
    fn state(&self) -> State {
        self.0.clone()
    }

    fn report(&self) -> serde_json::Value {
        serde_json::json!({ "worst": "critical" })
    }

    async fn metrics(&self) -> (&'static str, String) {
        ("text/plain; version=0.0.4", "quicproquo_build_info 1\n".to_owned())
    }
}

fn admin(state: State) -> Router {
    let console = Router::new().route("/users", get(|| async { "users" }));
    admin_router(Probes::new(Arc::new(Fixed(state))), Some(console), Hosts::new(Some("admin.alpha.test")))
}

#[derive(Debug)]
struct Log;

#[async_trait::async_trait]
impl PublishedLog for Log {
    async fn checkpoint(&self) -> Published<String> {
        Published::Found("alpha.test/kt/v1\n".to_owned())
    }

    async fn tile(&self, path: &str) -> Published<Vec<u8>> {
        match path {
            "tile/0/x001/234" => Published::Found(vec![7; 32]),
            "tile/busy" => Published::Busy,
            "tile/0/1" => Published::Malformed("not a tile".to_owned()),
            _ => Published::Nothing,
        }
    }

    async fn add_checkpoint(&self, body: &[u8]) -> Published<Witnessed> {
        Published::Found(match body {
            b"signed" => Witnessed::Signed("a line\n".to_owned()),
            b"conflict" => Witnessed::Conflict(7),
            _ => Witnessed::Refused(404, "not witnessed here".to_owned()),
        })
    }

    async fn witnessed(&self, hash: &str) -> Published<String> {
        if hash == "ab" { Published::Found("a note\n".to_owned()) } else { Published::Nothing }
    }
}

fn public() -> Router {
    public_router(Arc::new(Log))
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
        let answer = asked(public(), "anything.test", path).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(answer.headers().get(header::SET_COOKIE).is_none());
    }
    assert_eq!(asked(public(), "anything.test", "/livez").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_log_is_read_by_everybody_and_tiles_are_kept_by_caches() {
    let checkpoint = asked(public(), "anything.test", "/kt/v1/checkpoint").await;
    assert_eq!(checkpoint.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(checkpoint.headers()[header::CACHE_CONTROL], "no-cache");
    let tile = asked(public(), "anything.test", "/kt/v1/tile/0/x001/234").await;
    assert_eq!(tile.status(), StatusCode::OK);
    assert_eq!(tile.headers()[header::CONTENT_TYPE], "application/octet-stream");
    assert_eq!(tile.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    for (path, status) in [
        ("/kt/v1/tile/0/1", StatusCode::BAD_REQUEST),
        ("/kt/v1/tile/0/000", StatusCode::NOT_FOUND),
        ("/kt/v1/tile/", StatusCode::NOT_FOUND),
        ("/kt/v1/tile/busy", StatusCode::SERVICE_UNAVAILABLE),
        ("/kt/v2/checkpoint", StatusCode::NOT_FOUND),
    ] {
        let answer = asked(public(), "anything.test", path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store", "{path}");
    }
    assert_eq!(
        asked(admin(State::Ready), "localhost", "/kt/v1/checkpoint").await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_witness_answers_as_its_specification_says() {
    let asks = async |body: Vec<u8>| {
        let request = Request::post("/kt/v1/add-checkpoint").header(header::HOST, "anything.test");
        public().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    };
    assert_eq!(asks(b"signed".to_vec()).await.status(), StatusCode::OK);
    let conflict = asks(b"conflict".to_vec()).await;
    assert_eq!(conflict.status(), StatusCode::CONFLICT);
    assert_eq!(conflict.headers()[header::CONTENT_TYPE], "text/x.tlog.size");
    let size = axum::body::to_bytes(conflict.into_body(), 100).await.unwrap();
    assert_eq!(&size[..], b"7\n");
    assert_eq!(asks(b"other".to_vec()).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(asks(vec![b'x'; 30_000]).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    for (path, status) in
        [("/kt/v1/ab/checkpoint", StatusCode::OK), ("/kt/v1/cd/checkpoint", StatusCode::NOT_FOUND)]
    {
        assert_eq!(asked(public(), "anything.test", path).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn every_answer_says_how_little_a_browser_may_do_with_it() {
    let answer = asked(admin(State::Ready), "localhost", "/metrics").await;
    assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    assert!(answer.headers().contains_key(header::CONTENT_SECURITY_POLICY));
}

#[tokio::test]
async fn requests_are_counted_by_template_and_class_and_never_by_what_was_typed() {
    let metrics = Metrics::new("0");
    let console = Router::new().route("/users/{name}", get(|| async { "a user" }));
    let admin = admin_router(Probes::new(Arc::new(Fixed(State::Ready))), Some(console), Hosts::new(None));
    let admin = counted(admin, Listener::Admin, metrics.clone());
    let public = counted(public(), Listener::Public, metrics.clone());
    for (router, host, path) in [
        (&admin, "localhost", "/users/alice"),
        (&admin, "localhost", "/users/bob"),
        (&admin, "evil.test", "/users/carol"),
        (&public, "anything.test", "/users/dave"),
    ] {
        drop(asked(router.clone(), host, path).await);
    }
    let text = metrics.render(&Snapshot::default());
    let told: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("quicproquo_http_request_duration_seconds_count"))
        .collect();
    for line in [
        "{listener=\"admin\",route=\"/users/{name}\",status=\"2xx\"} 2",
        "{listener=\"admin\",route=\"/users/{name}\",status=\"4xx\"} 1",
        "{listener=\"public\",route=\"unknown\",status=\"4xx\"} 1",
    ] {
        assert!(told.iter().any(|found| found.ends_with(line)), "{line} is not among {told:?}");
    }
    assert_eq!(told.len(), 3, "{told:?}");
    for name in ["alice", "bob", "carol", "dave"] {
        assert!(!text.contains(name), "{name} became a label");
    }
}
