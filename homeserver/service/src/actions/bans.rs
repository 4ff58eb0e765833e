//! `user.ban`, `user.unban`, `ban.list`, `peer.block`, `peer.unblock`: who is kept out.

use super::Action;

pub(super) const ACTIONS: &[Action] = &[];
