//! Both TCP listeners: `admin` (health, metrics, the console) and `public` (the key-transparency log).
//!
//! The routers are put together here, the listeners bound and served with bounds on everything that a stranger can make
//! grow. What the console shows is handed in as a router; it is never mounted on `public`.

mod bind;
mod counted;
mod guard;
mod log;
mod places;
mod probes;
mod serve;

pub use bind::{BindError, Bound, bind_admin, bind_public};
pub use counted::counted;
pub use guard::Hosts;
pub use log::{Published, PublishedLog, Witnessed};
pub use probes::{Probes, Readiness, State};
pub use serve::{Site, Sites};

use std::sync::Arc;

use axum::{Router, middleware};

/// What the admin listener serves: probes and metrics, and the console if there is one.
pub fn admin_router(probes: Probes, console: Option<Router>, hosts: Hosts) -> Router {
    let probes = probes.router();
    let router = match console {
        Some(console) => probes.merge(console),
        None => probes.fallback(guard::nothing_here),
    };
    guard::bounded(router.layer(middleware::from_fn_with_state(hosts, guard::known_host)))
}

/// What the public listener serves: that it is alive, and the log.
pub fn public_router(log: Arc<dyn PublishedLog>) -> Router {
    guard::bounded(probes::alive_only().merge(log::routes(log)).fallback(guard::nothing_here))
}

#[cfg(test)]
mod tests;
