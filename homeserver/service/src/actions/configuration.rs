//! `config.*`: the effective configuration, and changes to what can be reloaded.

use super::Action;

pub(super) const ACTIONS: &[Action] = &[];
