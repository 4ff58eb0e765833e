//! `doctor`: what is wrong with this homeserver, and what to do.

use super::Action;

pub(super) const ACTIONS: &[Action] = &[];
