//! The key-transparency log as everybody may read it: `/kt/v1/checkpoint` and `/kt/v1/tile/…` (C2SP tlog-tiles, "APIs"); and the
//! witness of others' logs: `POST /kt/v1/add-checkpoint`, `/kt/v1/<hash of an origin>/checkpoint` (C2SP tlog-witness).

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};

use crate::guard::plain;

/// The log, for whoever asks.
#[async_trait]
pub trait PublishedLog: Send + Sync + fmt::Debug {
    /// The newest checkpoint, a signed note.
    async fn checkpoint(&self) -> Published<String>;

    /// A tile of hashes or entries, by its path from `tile/` on.
    async fn tile(&self, path: &str) -> Published<Vec<u8>>;

    /// Asks for a cosignature; the body is as tlog-witness says.
    async fn add_checkpoint(&self, body: &[u8]) -> Published<Witnessed>;

    /// The last checkpoint that was cosigned of the log whose origin has this SHA-256, in lowercase hexadecimal.
    async fn witnessed(&self, hash: &str) -> Published<String>;
}

/// What a witness answers to `add-checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Witnessed {
    /// Its signature lines.
    Signed(String),
    /// The last checkpoint that it cosigned has this size (409).
    Conflict(u64),
    /// No signature: the HTTP status that tlog-witness gives, and why in words.
    Refused(u16, String),
}

/// What the log has under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published<T> {
    /// This, and it never changes under a tile's path.
    Found(T),
    /// Nothing, or nothing yet.
    Nothing,
    /// The path names no tile; the sentence says why.
    Malformed(String),
    /// The store can't be read now.
    Busy,
}

/// The longest request for a cosignature: a note and a proof (C2SP tlog-witness).
const CHECKPOINT_BYTES: usize = 24 * 1024;

/// The log's paths.
pub(crate) fn routes(log: Arc<dyn PublishedLog>) -> Router {
    Router::new()
        .route("/kt/v1/checkpoint", get(checkpoint))
        .route("/kt/v1/tile/{*path}", get(tile))
        .route("/kt/v1/add-checkpoint", post(add_checkpoint).layer(DefaultBodyLimit::max(CHECKPOINT_BYTES)))
        .route("/kt/v1/{hash}/checkpoint", get(witnessed))
        .with_state(log)
}

async fn checkpoint(State(log): State<Arc<dyn PublishedLog>>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    answer(log.checkpoint().await, |note| (headers, note).into_response())
}

async fn tile(State(log): State<Arc<dyn PublishedLog>>, Path(path): Path<String>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    answer(log.tile(&format!("tile/{path}")).await, |bytes| (headers, bytes).into_response())
}

async fn add_checkpoint(State(log): State<Arc<dyn PublishedLog>>, body: Bytes) -> Response {
    let text = |kind: &'static str| [(header::CONTENT_TYPE, kind)];
    answer(log.add_checkpoint(&body).await, |said| match said {
        Witnessed::Signed(lines) => (text("text/plain; charset=utf-8"), lines).into_response(),
        Witnessed::Conflict(size) => {
            (StatusCode::CONFLICT, text("text/x.tlog.size"), format!("{size}\n")).into_response()
        }
        Witnessed::Refused(status, why) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            (status, format!("{why}\n")).into_response()
        }
    })
}

async fn witnessed(State(log): State<Arc<dyn PublishedLog>>, Path(hash): Path<String>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    answer(log.witnessed(&hash).await, |note| (headers, note).into_response())
}

fn answer<T>(found: Published<T>, show: impl FnOnce(T) -> Response) -> Response {
    match found {
        Published::Found(found) => show(found),
        Published::Nothing => plain(StatusCode::NOT_FOUND, "The log has nothing here.\n"),
        Published::Malformed(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
        Published::Busy => plain(StatusCode::SERVICE_UNAVAILABLE, "The log can't be read now: try again.\n"),
    }
}
