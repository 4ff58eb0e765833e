//! The web console: routes, templates, assets and locales for the person who runs one domain.
//!
//! Empty until the appliance issue. What will live here: server-rendered pages that work without JavaScript, over the
//! same list of admin actions that the command line uses (`qpq-service`), so that neither can do what the other can't.
//! It will be mounted by `qpq-web` on the admin listener only.

mod pages;

pub use pages::{Answers, Desk, Language, Page, Refused, Words, routes};
