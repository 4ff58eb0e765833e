//! Who may use the console, in memory.

mod links;
mod sessions;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use qpq_core::{AdminId, ConsoleSessionId, Digest, PasskeyId, Timestamp};

use super::MemoryTx;
use crate::{
    Admin, AdminLine, AdminLink, AdminName, AdminPasskey, AdminPassword, AdminRole, AdminsRead, AdminsWrite,
    ConsoleSession, SessionLife, Stored,
};

/// Accounts by id, and what they have.
#[derive(Clone, Default)]
pub(super) struct Admins {
    accounts: BTreeMap<AdminId, Admin>,
    passkeys: BTreeMap<PasskeyId, AdminPasskey>,
    codes: BTreeSet<(AdminId, Digest)>,
    links: BTreeMap<Digest, AdminLink>,
    sessions: BTreeMap<Digest, ConsoleSession>,
}

impl Admins {
    fn passkeys_of(&self, admin: &AdminId) -> Vec<AdminPasskey> {
        let mut found: Vec<_> = self.passkeys.values().filter(|key| key.admin == *admin).cloned().collect();
        found.sort_by_key(|key| (key.created_at, key.id));
        found
    }

    fn codes_of(&self, admin: &AdminId) -> usize {
        self.codes.iter().filter(|(owner, _)| owner == admin).count()
    }

    fn line(&self, admin: &Admin, life: &SessionLife) -> AdminLine {
        AdminLine {
            admin: admin.clone(),
            passkeys: count(self.passkeys_of(&admin.id).len()),
            recovery_codes: count(self.codes_of(&admin.id)),
            sessions: count(self.live(Some(&admin.id), life).len()),
        }
    }

    fn clear_factors(&mut self, id: &AdminId) {
        self.passkeys.retain(|_, key| key.admin != *id);
        self.codes.retain(|(owner, _)| owner != id);
        if let Some(admin) = self.accounts.get_mut(id) {
            admin.password = None;
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl MemoryTx {
    fn admins_mut(&mut self) -> &mut Admins {
        Arc::make_mut(&mut self.state.admins)
    }
}

#[async_trait]
impl AdminsRead for MemoryTx {
    async fn admin(&mut self, id: &AdminId) -> Stored<Option<Admin>> {
        Ok(self.state.admins.accounts.get(id).cloned())
    }

    async fn admin_named(&mut self, name: &AdminName) -> Stored<Option<Admin>> {
        Ok(self.state.admins.accounts.values().find(|admin| admin.name == *name).cloned())
    }

    async fn admins(&mut self, life: &SessionLife) -> Stored<Vec<AdminLine>> {
        let admins = &self.state.admins;
        let mut lines: Vec<_> = admins.accounts.values().map(|admin| admins.line(admin, life)).collect();
        lines.sort_by(|a, b| a.admin.name.cmp(&b.admin.name));
        Ok(lines)
    }

    async fn admin_passkeys(&mut self, admin: &AdminId) -> Stored<Vec<AdminPasskey>> {
        Ok(self.state.admins.passkeys_of(admin))
    }

    async fn admin_passkey(&mut self, credential_id: &[u8]) -> Stored<Option<AdminPasskey>> {
        let mut passkeys = self.state.admins.passkeys.values();
        Ok(passkeys.find(|key| key.credential_id == credential_id).cloned())
    }

    async fn admin_recovery_codes(&mut self, admin: &AdminId) -> Stored<u64> {
        Ok(count(self.state.admins.codes_of(admin)))
    }

    async fn admin_link(&mut self, token: &Digest) -> Stored<Option<AdminLink>> {
        Ok(self.state.admins.links.get(token).cloned())
    }

    async fn console_session(
        &mut self,
        cookie: &Digest,
        life: &SessionLife,
    ) -> Stored<Option<ConsoleSession>> {
        Ok(self.state.admins.sessions.get(cookie).filter(|session| life.holds(session)).cloned())
    }

    async fn console_sessions(
        &mut self,
        admin: Option<&AdminId>,
        life: &SessionLife,
    ) -> Stored<Vec<ConsoleSession>> {
        Ok(self.state.admins.live(admin, life))
    }
}

#[async_trait]
impl AdminsWrite for MemoryTx {
    async fn admin_create(&mut self, admin: &Admin) -> Stored<bool> {
        if self.state.admins.accounts.contains_key(&admin.id) {
            return Err(self.conflict("admin_create"));
        }
        if self.state.admins.accounts.values().any(|known| known.name == admin.name) {
            return Ok(false);
        }
        self.admins_mut().accounts.insert(admin.id, admin.clone());
        Ok(true)
    }

    async fn admin_remove(&mut self, id: &AdminId) -> Stored<bool> {
        let admins = self.admins_mut();
        admins.clear_factors(id);
        admins.links.retain(|_, link| link.admin.as_ref() != Some(id));
        admins.sessions.retain(|_, session| session.admin != *id);
        Ok(admins.accounts.remove(id).is_some())
    }

    async fn admin_role_set(&mut self, id: &AdminId, role: AdminRole) -> Stored<()> {
        if let Some(admin) = self.admins_mut().accounts.get_mut(id) {
            admin.role = role;
        }
        Ok(())
    }

    async fn admin_signed_in(&mut self, id: &AdminId, at: Timestamp) -> Stored<()> {
        if let Some(admin) = self.admins_mut().accounts.get_mut(id) {
            admin.last_sign_in_at = Some(at);
        }
        Ok(())
    }

    async fn admin_password_set(&mut self, id: &AdminId, password: &AdminPassword) -> Stored<()> {
        if let Some(admin) = self.admins_mut().accounts.get_mut(id) {
            admin.password = Some(password.clone());
        }
        Ok(())
    }

    async fn admin_totp_take(&mut self, id: &AdminId, step: u64, present: u64) -> Stored<bool> {
        let planted = self.planted;
        let admins = self.admins_mut();
        let password = admins.accounts.get_mut(id).and_then(|admin| admin.password.as_mut());
        let Some(password) = password else { return Ok(false) };
        let set_back = password.last_step > present.saturating_add(1);
        if step <= password.last_step && !set_back && !planted.steps_repeat() {
            return Ok(false);
        }
        password.last_step = step;
        Ok(true)
    }

    async fn admin_passkey_add(&mut self, passkey: &AdminPasskey) -> Stored<bool> {
        let admins = &self.state.admins;
        if !admins.accounts.contains_key(&passkey.admin) || admins.passkeys.contains_key(&passkey.id) {
            return Err(self.conflict("admin_passkey_add"));
        }
        if admins.passkeys.values().any(|known| known.credential_id == passkey.credential_id) {
            return Ok(false);
        }
        self.admins_mut().passkeys.insert(passkey.id, passkey.clone());
        Ok(true)
    }

    async fn admin_passkey_used(&mut self, id: &PasskeyId, credential: &str, at: Timestamp) -> Stored<()> {
        if let Some(passkey) = self.admins_mut().passkeys.get_mut(id) {
            credential.clone_into(&mut passkey.credential);
            passkey.last_used_at = Some(at);
        }
        Ok(())
    }

    async fn admin_passkey_remove(&mut self, admin: &AdminId, id: &PasskeyId) -> Stored<bool> {
        let own = self.state.admins.passkeys.get(id).is_some_and(|key| key.admin == *admin);
        Ok(own && self.admins_mut().passkeys.remove(id).is_some())
    }

    async fn admin_factors_clear(&mut self, id: &AdminId) -> Stored<()> {
        self.admins_mut().clear_factors(id);
        Ok(())
    }

    async fn admin_recovery_codes_set(&mut self, id: &AdminId, codes: &[Digest]) -> Stored<()> {
        if !self.state.admins.accounts.contains_key(id) {
            return Err(self.conflict("admin_recovery_codes_set"));
        }
        let admins = self.admins_mut();
        admins.codes.retain(|(owner, _)| owner != id);
        admins.codes.extend(codes.iter().map(|code| (*id, *code)));
        Ok(())
    }

    async fn admin_recovery_code_take(&mut self, id: &AdminId, code: &Digest) -> Stored<bool> {
        if self.planted.codes_repeat() {
            return Ok(self.state.admins.codes.contains(&(*id, *code)));
        }
        Ok(self.admins_mut().codes.remove(&(*id, *code)))
    }

    async fn admin_link_store(&mut self, link: &AdminLink, token: &Digest) -> Stored<()> {
        self.store_link(link, token)
    }

    async fn admin_link_take(&mut self, token: &Digest, now: Timestamp) -> Stored<Option<AdminLink>> {
        Ok(self.take_link(token, now))
    }

    async fn admin_link_void(&mut self, admin: Option<&AdminId>) -> Stored<()> {
        self.admins_mut().void_link(admin);
        Ok(())
    }

    async fn console_session_open(&mut self, session: &ConsoleSession, cookie: &Digest) -> Stored<()> {
        self.open_session(session, cookie)
    }

    async fn console_session_seen(&mut self, id: &ConsoleSessionId, at: Timestamp) -> Stored<()> {
        if let Some(session) = self.admins_mut().sessions.values_mut().find(|session| session.id == *id) {
            session.seen_at = at;
        }
        Ok(())
    }

    async fn console_session_end(&mut self, id: &ConsoleSessionId) -> Stored<bool> {
        Ok(self.admins_mut().end_sessions(|session| session.id == *id) > 0)
    }

    async fn console_sessions_end(
        &mut self,
        admin: &AdminId,
        besides: Option<&ConsoleSessionId>,
    ) -> Stored<u64> {
        let ends = |session: &ConsoleSession| session.admin == *admin && Some(&session.id) != besides;
        Ok(count(self.admins_mut().end_sessions(ends)))
    }

    async fn console_expire(&mut self, life: &SessionLife) -> Stored<u64> {
        let admins = self.admins_mut();
        let links = admins.links.len();
        admins.links.retain(|_, link| life.now < link.expires_at);
        let links = links - admins.links.len();
        Ok(count(links + admins.end_sessions(|session| !life.holds(session))))
    }
}
