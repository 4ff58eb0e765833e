//! The frame around the pages: who may see one, what surrounds it, and the one way by which a form changes something.
//!
//! Every request passes [`scene`], which learns who asks and in which language, and puts the layout and the headers
//! around what comes back. Everything that changes something is a [`Target`](targets::Target) of a form, and all of them
//! are entered through [`entry`], which refuses other sites, forms without token, and who isn't signed in.

mod account;
mod again;
mod arguments;
mod assets;
mod change;
mod cookies;
mod entry;
mod fields;
mod headers;
mod language;
mod layout;
mod once;
mod problem;
mod prove;
mod qr;
mod said;
mod scene;
mod setup;
mod sign_in;
mod targets;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use qpq_core::Clock;
use qpq_service::{Actions, Admins};

use crate::pages;
use problem::Problem;
use scene::Scene;

/// What the frame stands on.
#[derive(Debug)]
struct Console {
    actions: Arc<Actions>,
    admins: Admins,
    clock: Arc<dyn Clock>,
}

/// The whole console: pages, sign-in, the targets of its forms, its assets. Belongs on the admin listener only.
pub fn console(actions: Arc<Actions>, admins: Admins, clock: Arc<dyn Clock>) -> Router {
    let console = Arc::new(Console { actions, admins, clock });
    let signed_in = pages::routes()
        .merge(overview())
        .route("/account", get(account::show))
        .route("/prove", get(prove::show))
        .route_layer(middleware::from_fn(scene::only_signed_in));
    let router = signed_in
        .route("/sign-in", get(sign_in::show))
        .route("/setup/{token}", get(setup::show))
        .merge(targets())
        .fallback(async || Problem::nothing_here().into_response())
        .method_not_allowed_fallback(async || Problem::only_a_form().into_response());
    router
        // Forms bound themselves, so that too long a one gets a page.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(console, scene::around))
        .merge(assets::routes())
}

/// Where `/` leads while no action has its page there.
fn overview() -> Router {
    let taken = Actions::all().any(|action| action.audit.is_none() && action.route == "/");
    if taken { Router::new() } else { Router::new().route("/", get(async || Redirect::to("/users"))) }
}

/// The targets of all forms: of actions that change something, and of the frame's own.
fn targets() -> Router {
    let mut router = Router::new();
    let mut taken = BTreeSet::new();
    for target in targets::all() {
        if taken.insert(target.path) {
            router = router.route(
                target.path,
                post(async move |scene: Scene, request: Request| posted(target, scene, request).await),
            );
        }
    }
    router
}

async fn posted(target: targets::Target, scene: Scene, request: Request) -> Response {
    // The console's script asks for what begins a passkey's ceremony; it reads no pages.
    let script = target.path.ends_with("/begin").then(|| scene.clone());
    let answer = match entry::enter(target.who, scene, request).await {
        Ok(posted) => target.run(posted).await,
        Err(problem) => Err(problem),
    };
    match (answer, script) {
        (Ok(response), _) => response,
        (Err(problem), Some(scene)) => problem.json(&scene),
        (Err(problem), None) => problem.into_response(),
    }
}
