//! Style, script and icon, embedded in the program. Their names hold a part of their hash, so that browsers keep them for
//! good and yet never use an old one.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::headers;

/// A file that pages refer to.
#[derive(Debug)]
pub(super) struct Asset {
    /// Its address.
    pub(super) path: String,
    name: String,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! asset {
    ($name:ident, $file:literal, $stem:literal, $end:literal, $kind:literal) => {
        pub(super) static $name: LazyLock<Asset> =
            LazyLock::new(|| Asset::new($stem, $end, $kind, include_bytes!(concat!("../../assets/", $file))));
    };
}

asset!(STYLE, "console.css", "console", "css", "text/css; charset=utf-8");
asset!(SCRIPT, "console.js", "console", "js", "text/javascript; charset=utf-8");
asset!(HTMX, "vendor/htmx-4.0.1.min.js", "htmx", "js", "text/javascript; charset=utf-8");
asset!(ICON, "icon.svg", "icon", "svg", "image/svg+xml");

impl Asset {
    fn new(stem: &str, end: &str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let hash: String = HEXLOWER.encode(&Sha256::digest(bytes)).chars().take(16).collect();
        let name = format!("{stem}-{hash}.{end}");
        Self { path: format!("/assets/{name}"), name, kind, bytes }
    }
}

/// Where they are; no session is needed for them.
pub(super) fn routes() -> Router {
    Router::new().route("/assets/{name}", get(serve))
}

async fn serve(Path(name): Path<String>) -> Response {
    let all: [&Asset; 4] = [&STYLE, &SCRIPT, &HTMX, &ICON];
    let mut response = match all.into_iter().find(|asset| asset.name == name) {
        Some(asset) => ([(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response(),
        None => (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response(),
    };
    let found = response.status() == StatusCode::OK;
    headers::put(response.headers_mut(), false);
    if found {
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().insert(header::CACHE_CONTROL, forever);
    }
    response
}
