//! One-time links, in memory.

use qpq_core::{AdminId, Digest, Timestamp};

use super::Admins;
use crate::{AdminLink, Stored, memory::MemoryTx};

impl Admins {
    pub(super) fn void_link(&mut self, admin: Option<&AdminId>) {
        self.links.retain(|_, link| link.admin.as_ref() != admin);
    }
}

impl MemoryTx {
    pub(super) fn store_link(&mut self, link: &AdminLink, token: &Digest) -> Stored<()> {
        let unknown = link.admin.is_some_and(|admin| !self.state.admins.accounts.contains_key(&admin));
        if unknown || self.state.admins.links.contains_key(token) {
            return Err(self.conflict("admin_link_store"));
        }
        let admins = self.admins_mut();
        admins.void_link(link.admin.as_ref());
        admins.links.insert(*token, link.clone());
        Ok(())
    }

    pub(super) fn take_link(&mut self, token: &Digest, now: Timestamp) -> Option<AdminLink> {
        let link = self.state.admins.links.get(token).filter(|link| link.is_usable(now)).cloned()?;
        if !self.planted.links_repeat() {
            self.admins_mut().links.remove(token);
        }
        Some(link)
    }
}
