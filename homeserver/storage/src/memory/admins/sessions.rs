//! Signed-in browsers, in memory.

use std::cmp::Reverse;

use qpq_core::{AdminId, Digest};

use super::Admins;
use crate::{ConsoleSession, SessionLife, Stored, memory::MemoryTx};

impl Admins {
    pub(super) fn live(&self, admin: Option<&AdminId>, life: &SessionLife) -> Vec<ConsoleSession> {
        let wanted = |session: &&ConsoleSession| {
            admin.is_none_or(|admin| session.admin == *admin) && life.holds(session)
        };
        let mut found: Vec<_> = self.sessions.values().filter(wanted).cloned().collect();
        found.sort_by_key(|session| (Reverse(session.opened_at), session.id));
        found
    }

    pub(super) fn end_sessions(&mut self, ends: impl Fn(&ConsoleSession) -> bool) -> usize {
        let before = self.sessions.len();
        self.sessions.retain(|_, session| !ends(session));
        before - self.sessions.len()
    }
}

impl MemoryTx {
    pub(super) fn open_session(&mut self, session: &ConsoleSession, cookie: &Digest) -> Stored<()> {
        let admins = &self.state.admins;
        let known = admins.sessions.values().any(|known| known.id == session.id);
        if known || admins.sessions.contains_key(cookie) || !admins.accounts.contains_key(&session.admin) {
            return Err(self.conflict("console_session_open"));
        }
        self.admins_mut().sessions.insert(*cookie, session.clone());
        Ok(())
    }
}
