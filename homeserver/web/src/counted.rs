//! Every request of a listener is counted and timed, by the template of its route: what a stranger types into an address
//! never becomes a label.

use axum::{
    Router,
    extract::{MatchedPath, Request},
    middleware::{self, Next},
    response::Response,
};
use qpq_metrics::{Listener, Metrics};
use tokio::time::Instant;

/// Where nothing is.
const UNKNOWN: &str = "unknown";

/// The router with its requests counted. What was mounted before is counted, what comes later isn't: call it last.
pub fn counted(router: Router, listener: Listener, metrics: Metrics) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        answer(listener, metrics.clone(), request, next)
    }))
}

async fn answer(listener: Listener, metrics: Metrics, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    let response = next.run(request).await;
    let template = route.as_ref().map_or(UNKNOWN, MatchedPath::as_str);
    metrics.request(listener, template, response.status().as_u16(), started.elapsed());
    response
}
