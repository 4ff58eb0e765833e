//! `admin.*`: who may use the console.

use super::Action;

pub(super) const ACTIONS: &[Action] = &[];
