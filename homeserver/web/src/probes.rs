//! `/livez`, `/readyz` and `/metrics`: what supervisors, load balancers and Prometheus ask.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use axum::{
    Router,
    extract::{RawQuery, State as Shared},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::{Value, json};

use crate::guard::plain;

/// Whether the homeserver takes work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Ready,
    /// It is stopping: nothing new is taken.
    Draining,
    /// Something is so wrong that it can't do its work; the sentences say what.
    Failing(Vec<String>),
}

/// Knows how the homeserver is.
#[async_trait]
pub trait Readiness: Send + Sync + fmt::Debug {
    /// How it is now; must be cheap.
    fn state(&self) -> State;

    /// What the checks found when they last looked, as JSON; null: they have not yet. Must be cheap.
    fn report(&self) -> Value;

    /// The metrics in Prometheus' text form, with their content type.
    async fn metrics(&self) -> (&'static str, String);
}

/// The probes of the admin listener.
#[derive(Clone, Debug)]
pub struct Probes(Arc<dyn Readiness>);

impl Probes {
    /// Of this homeserver.
    pub fn new(readiness: Arc<dyn Readiness>) -> Self {
        Self(readiness)
    }

    pub(crate) fn router(self) -> Router {
        alive_only().merge(
            Router::new().route("/readyz", get(readyz)).route("/metrics", get(metrics)).with_state(self),
        )
    }
}

/// The one route that both listeners have.
pub(crate) fn alive_only() -> Router {
    Router::new().route("/livez", get(|| async { plain(StatusCode::OK, "ok\n") }))
}

async fn readyz(Shared(probes): Shared<Probes>, RawQuery(query): RawQuery) -> Response {
    let state = probes.0.state();
    let status = if state == State::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose =
        query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part == "verbose="));
    let (word, findings) = match state {
        State::Ready => ("ok", Vec::new()),
        State::Draining => ("draining", Vec::new()),
        State::Failing(findings) => ("failing", findings),
    };
    if verbose {
        let body = json!({ "state": word, "findings": findings, "checks": probes.0.report() });
        return (status, [(header::CONTENT_TYPE, "application/json")], format!("{body:#}\n")).into_response();
    }
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{word}\n")).into_response()
}

async fn metrics(Shared(probes): Shared<Probes>) -> Response {
    let (content_type, text) = probes.0.metrics().await;
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
