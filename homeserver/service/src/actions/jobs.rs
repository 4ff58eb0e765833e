//! `job.list`: what runs by itself.

use super::Action;

pub(super) const ACTIONS: &[Action] = &[];
