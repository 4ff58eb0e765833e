//! The key-transparency log as everybody may read it: `/kt/v1/checkpoint` and `/kt/v1/tile/…` (C2SP tlog-tiles, "APIs").

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};

use crate::guard::plain;

/// The log, for whoever asks.
#[async_trait]
pub trait PublishedLog: Send + Sync + fmt::Debug {
    /// The newest checkpoint, a signed note.
    async fn checkpoint(&self) -> Published<String>;

    /// A tile of hashes or entries, by its path from `tile/` on.
    async fn tile(&self, path: &str) -> Published<Vec<u8>>;
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

/// The log's paths.
pub(crate) fn routes(log: Arc<dyn PublishedLog>) -> Router {
    Router::new()
        .route("/kt/v1/checkpoint", get(checkpoint))
        .route("/kt/v1/tile/{*path}", get(tile))
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

fn answer<T>(found: Published<T>, show: impl FnOnce(T) -> Response) -> Response {
    match found {
        Published::Found(found) => show(found),
        Published::Nothing => plain(StatusCode::NOT_FOUND, "The log has nothing here.\n"),
        Published::Malformed(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
        Published::Busy => plain(StatusCode::SERVICE_UNAVAILABLE, "The log can't be read now: try again.\n"),
    }
}
