//! `audit.*`: what admins did.

use super::Action;

pub(super) const ACTIONS: &[Action] = &[];
