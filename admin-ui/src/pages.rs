//! The console's pages: each reads what it shows through the actions, as a value that its template prints, and holds
//! nothing but forms that post to the actions. What a page needs of its surroundings is a [`Desk`].

mod admins;
pub(crate) mod ask;
mod audit;
mod bans;
mod chart;
mod desk;
mod federation;
mod health;
mod overview;
mod places;
mod queues;
mod settings;
mod shown;
#[cfg(test)]
mod tests;
mod tokens;
mod transparency;
mod users;
mod words;

use std::collections::BTreeSet;

use axum::{
    Router,
    routing::{MethodRouter, get},
};
use qpq_service::Actions;

pub(crate) use desk::{Answers, Desk, Markup, Page, Refused, coded, moment};
pub(crate) use words::{Language, Words};

/// Every page that reads, where its action says that it is. The frame adds signing in and the forms' targets.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new().route("/live", get(overview::live));
    let mut taken = BTreeSet::new();
    for action in Actions::all().filter(|action| action.audit.is_none() && !action.route.is_empty()) {
        if let (Some(page), true) = (page(action.verb), taken.insert(action.route)) {
            router = router.route(action.route, page);
        }
    }
    router
}

/// The page of a reading action.
fn page<S: Clone + Send + Sync + 'static>(verb: &str) -> Option<MethodRouter<S>> {
    Some(match verb {
        "info" => get(overview::about),
        "status" => get(overview::show),
        "user.list" => get(users::list),
        "user.show" => get(users::show),
        "user.preview" => get(users::preview),
        "ban.list" => get(bans::list),
        "session.list" => get(places::sessions),
        "device.list" => get(places::devices),
        "token.list" => get(tokens::list),
        "peer.list" => get(federation::list),
        "peer.show" => get(federation::show),
        "peer.probe" => get(federation::probe),
        "peer.queue" => get(queues::queue),
        "peer.dead-letters.list" => get(queues::letters),
        "peer.would-allow" => get(federation::would_allow),
        "audit.list" => get(audit::list),
        "audit.export" => get(audit::export),
        "audit.verify" => get(audit::verify),
        "log.status" => get(transparency::show),
        "log.head" => get(transparency::head),
        "log.entry" => get(transparency::entry),
        "log.verify" => get(transparency::verify),
        "log.witness.list" => get(transparency::witnesses),
        "log.evidence.list" => get(transparency::evidence),
        "log.evidence.show" => get(transparency::one_evidence),
        "config.show" => get(settings::show),
        "admin.list" => get(admins::list),
        "admin.session-list" => get(admins::sessions),
        "doctor" => get(health::show),
        "job.list" => get(health::jobs),
        _ => return None,
    })
}
