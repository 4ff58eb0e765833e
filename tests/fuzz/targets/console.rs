//! Requests to the console from whoever reaches its listener: addresses, cookies, languages, forms.
//!
//! An input is a request as text: a line with method and target, lines with headers, an empty line, the body.
#![no_main]

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderName, HeaderValue, Request},
};
use libfuzzer_sys::fuzz_target;
use qpq_core::{Clock as _, SystemClock};
use qpq_fuzz::{home::Home, seeds};
use qpq_service::{Actions, Admins, Appliance, ConsolePlace, DomainFacts};
use tower::ServiceExt as _;

const ORIGIN: &str = "http://localhost:7445";

static HOME: LazyLock<Home> = LazyLock::new(Home::open);
static CONSOLE: LazyLock<Router> = LazyLock::new(|| {
    let place = ConsolePlace {
        origin: ORIGIN.to_owned(),
        rp_id: "localhost".to_owned(),
        domain: "alpha.test".to_owned(),
    };
    let admins = Admins::new(Arc::clone(&HOME.cases.ground), place).expect("a console's place");
    let facts = DomainFacts {
        domain: "alpha.test".to_owned(),
        version: "0".to_owned(),
        client_address: "127.0.0.1:7443".to_owned(),
        federation_address: "127.0.0.1:7444".to_owned(),
        client_pin: "pin".to_owned(),
        federation_key: "key".to_owned(),
        admin_url: ORIGIN.to_owned(),
        since: SystemClock.now(),
    };
    let peering = HOME.peering.clone();
    let actions = Actions::new(&HOME.cases, admins.clone(), peering, facts, Appliance::bare());
    qpq_admin_ui::console(Arc::new(actions), admins, Arc::new(SystemClock))
});

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    answered(bytes);
});

/// The status, if it was a request.
fn answered(bytes: &[u8]) -> Option<u16> {
    let request = request(bytes)?;
    HOME.runtime.block_on(async {
        let response = CONSOLE.clone().oneshot(request).await.expect("an answer");
        let status = response.status();
        assert!(!status.is_server_error(), "{status} is a fault of ours");
        to_bytes(response.into_body(), 1 << 22).await.expect("a page");
        Some(status.as_u16())
    })
}

fn request(bytes: &[u8]) -> Option<Request<Body>> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    let mut lines = bytes[..end].split(|byte| *byte == b'\n');
    let (method, target) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let mut request =
        Request::builder().method(method).uri(target).body(Body::from(bytes[end + 2..].to_vec())).ok()?;
    for line in lines {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':')?);
        let name = HeaderName::from_bytes(name).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(value.get(2..)?).ok()?);
    }
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 50_000))));
    Some(request)
}

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let form = |target: &str, body: &str| {
        let token = "0123456789abcdef".repeat(4);
        let headers = "host: localhost:7445\nsec-fetch-site: same-origin\ncontent-type: application/x-www-form-urlencoded";
        format!(
            "POST {target}\n{headers}\ncookie: __Host-quicproquo-visitor={token}\n\n_token={token}&_back=%2Fsign-in&{body}"
        )
        .into_bytes()
    };
    let seeds = vec![
        ("page", b"GET /sign-in?back=%2Fusers%3Fpage%3D2\nhost: localhost:7445\naccept-language: de-AT,en;q=0.5\ncookie: __Host-quicproquo-said=saved; __Host-quicproquo-language=de\n\n".to_vec()),
        ("inside", b"GET /users?search=a%20b&page=2\nhost: localhost:7445\ncookie: __Host-quicproquo=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\n".to_vec()),
        ("setup", b"GET /setup/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nhost: localhost:7445\n\n".to_vec()),
        ("language", form("/language", "language=de")),
        ("password", form("/sign-in", "name=olga&_password=four+words&_code=123456")),
        ("passkey", form("/sign-in/passkey", "_ceremony=AAAA&_answer=%7B%22id%22%3A%22AA%22%7D")),
        ("script", form("/sign-in/passkey/begin", "")),
    ];
    for (name, bytes) in &seeds {
        assert!(answered(bytes).is_some(), "`{name}` is a request");
    }
    seeds
}
