//! `status`: the state of everything at a glance.

use super::Action;

pub(super) const ACTIONS: &[Action] = &[];
