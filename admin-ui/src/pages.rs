//! The console's pages: each reads what it shows through the actions, as a value that its template prints, and holds
//! nothing but forms that post to the actions. What a page needs of its surroundings is a [`Desk`].

mod admins;
mod ask;
mod audit;
mod bans;
mod chart;
mod desk;
mod federation;
mod health;
mod overview;
mod places;
mod settings;
mod shown;
#[cfg(test)]
mod tests;
mod tokens;
mod users;
mod words;

use axum::{Router, routing::get};

pub use desk::{Desk, Page, Refused};
pub use words::{Language, Words};

/// Every page that reads, where its action says it is. The frame adds signing in and the forms' targets.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(overview::show))
        .route("/live", get(overview::live))
        .route("/about", get(overview::about))
        .route("/users", get(users::list))
        .route("/users/show", get(users::show))
        .route("/users/preview", get(users::preview))
        .route("/bans", get(bans::list))
        .route("/sessions", get(places::sessions))
        .route("/devices", get(places::devices))
        .route("/tokens", get(tokens::list))
        .route("/federation", get(federation::list))
        .route("/federation/show", get(federation::show))
        .route("/federation/would-allow", get(federation::would_allow))
        .route("/audit", get(audit::list))
        .route("/audit/export", get(audit::export))
        .route("/audit/verify", get(audit::verify))
        .route("/settings", get(settings::show))
        .route("/admins", get(admins::list))
        .route("/admins/sessions", get(admins::sessions))
        .route("/health", get(health::show))
        .route("/jobs", get(health::jobs))
}
