//! The web console: routes, templates, assets and locales for the person who runs one domain.
//!
//! Server-rendered pages that work without JavaScript, over the same list of admin actions that the command line uses
//! (`qpq-service`), so that neither can do what the other can't. The pages are here; the frame around them (sign-in,
//! layout, the handler of changes) is not yet, so nothing mounts them.

mod pages;

pub use pages::{Answers, Desk, Language, Page, Refused, Words, routes};
