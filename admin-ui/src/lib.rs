//! The web console: routes, templates, assets and locales for the person who runs one domain.
//!
//! Server-rendered pages that work without JavaScript, over the same list of admin actions that the command line uses
//! (`qpq-service`), so that neither can do what the other can't. `pages` holds what is shown, `frame` what is around it:
//! signing in, layout, and the one way by which forms change something.

mod frame;
mod pages;

pub use frame::console;
