//! Accounts, devices and sessions, in memory.

use std::{cmp::Reverse, collections::BTreeMap, ops::Bound, sync::Arc};

use async_trait::async_trait;
use qpq_core::{
    AccountId, Address, DeviceAddress, DeviceCertificate, DeviceId, Digest, Localpart, SessionId, Timestamp,
    TokenId,
};

use super::MemoryTx;
use crate::{
    Account, AccountCreated, AccountsRead, AccountsWrite, BanSubject, Device, DeviceEnrolled, Page, Rekey,
    Resumed, Session, Stored, UserFilter, UserLine, UserSort, UsersQuery,
};

/// Accounts and what hangs on them.
#[derive(Clone, Default)]
pub(super) struct Accounts {
    by_name: BTreeMap<Localpart, Arc<Account>>,
    devices: BTreeMap<DeviceId, Arc<Device>>,
    sessions: BTreeMap<SessionId, (Session, Digest)>,
}

impl Accounts {
    pub(super) fn by_id(&self, id: &AccountId) -> Option<&Arc<Account>> {
        self.by_name.values().find(|account| account.id == *id)
    }

    fn devices_of(&self, account: &AccountId) -> Vec<Device> {
        let mut found: Vec<Device> = self
            .devices
            .values()
            .filter(|device| device.account == *account)
            .map(|d| (**d).clone())
            .collect();
        found.sort_by_key(age);
        found
    }

    /// Whether a device is enrolled and not revoked.
    pub(super) fn is_active(&self, id: &DeviceId) -> bool {
        self.devices.get(id).is_some_and(|device| device.revoked_at.is_none())
    }

    /// Whether exactly this device of exactly this address is active here.
    pub(super) fn is_local(&self, address: &DeviceAddress) -> bool {
        self.devices
            .get(&address.device)
            .is_some_and(|device| device.revoked_at.is_none() && device.certificate.device == *address)
    }

    /// Whether a device was ever enrolled.
    pub(super) fn knows(&self, id: &DeviceId) -> bool {
        self.devices.contains_key(id)
    }

    fn saw(&mut self, id: &DeviceId, now: Timestamp) {
        if let Some(device) = self.devices.get_mut(id) {
            let device = Arc::make_mut(device);
            device.last_seen_at = device.last_seen_at.max(now);
        }
    }
}

/// Oldest first.
fn age(device: &Device) -> (Timestamp, DeviceId) {
    (device.enrolled_at, device.certificate.device.device)
}

#[async_trait]
impl AccountsRead for MemoryTx {
    async fn account_named(&mut self, localpart: &Localpart) -> Stored<Option<Account>> {
        Ok(self.state.accounts.by_name.get(localpart).map(|account| (**account).clone()))
    }

    async fn account(&mut self, id: &AccountId) -> Stored<Option<Account>> {
        Ok(self.state.accounts.by_id(id).map(|account| (**account).clone()))
    }

    async fn accounts(&mut self, after: Option<&Localpart>, limit: usize) -> Stored<Vec<Account>> {
        let from = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let range = self.state.accounts.by_name.range::<Localpart, _>(from);
        Ok(range.take(limit).map(|(_, account)| (**account).clone()).collect())
    }

    async fn devices(&mut self, account: &AccountId) -> Stored<Vec<Device>> {
        Ok(self.state.accounts.devices_of(account))
    }

    async fn device(&mut self, id: &DeviceId) -> Stored<Option<Device>> {
        Ok(self.state.accounts.devices.get(id).map(|device| (**device).clone()))
    }

    async fn all_devices(&mut self, after: Option<&DeviceId>, limit: usize) -> Stored<Vec<Device>> {
        let devices = &self.state.accounts.devices;
        let from = match after.map(|id| devices.get(id)) {
            None => None,
            Some(Some(device)) => Some(age(device)),
            Some(None) => return Ok(Vec::new()),
        };
        let mut all: Vec<&Arc<Device>> =
            devices.values().filter(|device| from.is_none_or(|from| age(device) > from)).collect();
        all.sort_by_key(|device| age(device));
        Ok(all.into_iter().take(limit).map(|device| (**device).clone()).collect())
    }

    async fn users(&mut self, query: &UsersQuery<'_>) -> Stored<Page<UserLine>> {
        let mut found = Vec::new();
        for account in self.state.accounts.by_name.values() {
            let address = Address::new(account.localpart.clone(), query.domain.clone());
            let searched = address.to_string().contains(query.search);
            let ban = self.state.bans.active(&BanSubject::User(address), query.now);
            let wanted = match query.filter {
                UserFilter::All => true,
                UserFilter::Active => ban.is_none(),
                UserFilter::Banned => ban.is_some(),
            };
            if !searched || !wanted {
                continue;
            }
            let devices = self.state.accounts.devices_of(&account.id);
            let active = devices.iter().filter(|device| device.revoked_at.is_none()).count();
            let seen = devices.iter().map(|device| device.last_seen_at).max();
            found.push(UserLine {
                id: account.id,
                localpart: account.localpart.clone(),
                created_at: account.created_at,
                last_seen_at: seen.unwrap_or(account.created_at),
                devices: u64::try_from(active).unwrap_or(u64::MAX),
                ban,
            });
        }
        match query.sort {
            UserSort::Name => {}
            UserSort::Created => found.sort_by_key(|line| (Reverse(line.created_at), line.id)),
            UserSort::Seen => found.sort_by_key(|line| (Reverse(line.last_seen_at), line.id)),
        }
        Ok(Page::of(found, query.window))
    }

    async fn session_of_token(&mut self, token: &Digest) -> Stored<Option<Session>> {
        let mut sessions = self.state.accounts.sessions.values();
        Ok(sessions.find(|(_, known)| known == token).map(|(session, _)| session.clone()))
    }

    async fn session(&mut self, id: &SessionId) -> Stored<Option<Session>> {
        Ok(self.state.accounts.sessions.get(id).map(|(session, _)| session.clone()))
    }

    async fn sessions(&mut self, account: Option<&AccountId>, limit: usize) -> Stored<Vec<Session>> {
        let sessions = self.state.accounts.sessions.values().map(|(session, _)| session);
        let mut found: Vec<Session> =
            sessions.filter(|session| account.is_none_or(|id| session.account == *id)).cloned().collect();
        found.sort_by_key(|session| (Reverse(session.opened_at), session.id));
        found.truncate(limit);
        Ok(found)
    }
}

#[async_trait]
impl AccountsWrite for MemoryTx {
    async fn account_create(
        &mut self,
        account: &Account,
        first: &Device,
        token: Option<&TokenId>,
    ) -> Stored<AccountCreated> {
        if token.is_some_and(|id| !self.state.tokens.usable(id, account.created_at)) {
            return Ok(AccountCreated::TokenRefused);
        }
        let id = first.certificate.device.device;
        let known = &self.state.accounts;
        if known.by_name.contains_key(&account.localpart) {
            return Ok(AccountCreated::NameTaken);
        }
        if known.by_id(&account.id).is_some() || known.knows(&id) || first.account != account.id {
            return Err(self.conflict("account_create"));
        }
        if let Some(token) = token {
            Arc::make_mut(&mut self.state.tokens).take_use(token, account.created_at);
        }
        let accounts = Arc::make_mut(&mut self.state.accounts);
        accounts.by_name.insert(account.localpart.clone(), Arc::new(account.clone()));
        accounts.devices.insert(id, Arc::new(first.clone()));
        Arc::make_mut(&mut self.state.feeds).open(id);
        Ok(AccountCreated::Created)
    }

    async fn account_rekey(&mut self, account: &AccountId, rekey: &Rekey) -> Stored<bool> {
        let planted = self.planted;
        let known = &self.state.accounts;
        if known.by_id(account).is_none() {
            return Ok(false);
        }
        let fits = |certificate: &DeviceCertificate| {
            let device = known.devices.get(&certificate.device.device);
            device.is_some_and(|device| device.fits(account, certificate))
        };
        if !rekey.certificates.iter().all(fits) {
            return Err(self.conflict("account_rekey"));
        }
        let accounts = Arc::make_mut(&mut self.state.accounts);
        if let Some(account) = accounts.by_name.values_mut().find(|known| known.id == *account) {
            let account = Arc::make_mut(account);
            account.identity_key = rekey.identity_key;
            account.sealed_identity.clone_from(&rekey.sealed_identity);
        }
        for certificate in &rekey.certificates {
            if let Some(device) = accounts.devices.get_mut(&certificate.device.device)
                && device.revoked_at.is_none()
                && !planted.certificates_stay()
            {
                Arc::make_mut(device).certificate = certificate.clone();
            }
        }
        Ok(true)
    }

    async fn account_delete(&mut self, id: &AccountId) -> Stored<bool> {
        let Some(localpart) = self.state.accounts.by_id(id).map(|account| account.localpart.clone()) else {
            return Ok(false);
        };
        for device in self.state.accounts.devices_of(id) {
            let device = device.certificate.device.device;
            self.forget_belongings(&device);
            Arc::make_mut(&mut self.state.accounts).devices.remove(&device);
        }
        Arc::make_mut(&mut self.state.accounts).by_name.remove(&localpart);
        Arc::make_mut(&mut self.state.contacts).forget(id);
        Ok(true)
    }

    async fn device_enrol(&mut self, device: &Device, most: usize) -> Stored<DeviceEnrolled> {
        let id = device.certificate.device.device;
        let accounts = &self.state.accounts;
        if let Some(known) = accounts.devices.get(&id) {
            let same = known.fits(&device.account, &device.certificate);
            return Ok(match (same, known.revoked_at) {
                (false, _) => DeviceEnrolled::Taken,
                (true, Some(_)) => DeviceEnrolled::Revoked,
                (true, None) => {
                    if let Some(known) = Arc::make_mut(&mut self.state.accounts).devices.get_mut(&id) {
                        Arc::make_mut(known).certificate = device.certificate.clone();
                    }
                    DeviceEnrolled::Known
                }
            });
        }
        if accounts.by_id(&device.account).is_none() {
            return Err(self.conflict("device_enrol"));
        }
        let active = accounts.devices_of(&device.account).iter().filter(|d| d.revoked_at.is_none()).count();
        if active >= most {
            return Ok(DeviceEnrolled::TooMany);
        }
        Arc::make_mut(&mut self.state.accounts).devices.insert(id, Arc::new(device.clone()));
        Arc::make_mut(&mut self.state.feeds).open(id);
        Ok(DeviceEnrolled::New)
    }

    async fn device_revoke(&mut self, id: &DeviceId, now: Timestamp) -> Stored<bool> {
        if !self.state.accounts.is_active(id) {
            return Ok(false);
        }
        self.forget_belongings(id);
        if let Some(device) = Arc::make_mut(&mut self.state.accounts).devices.get_mut(id) {
            Arc::make_mut(device).revoked_at = Some(now);
        }
        Ok(true)
    }

    async fn session_open(&mut self, session: &Session, token: &Digest) -> Stored<()> {
        let accounts = &self.state.accounts;
        let owned = accounts.devices.get(&session.device).is_some_and(|d| d.account == session.account);
        let taken = accounts.sessions.contains_key(&session.id)
            || accounts.sessions.values().any(|(_, known)| known == token);
        if !owned || !accounts.is_active(&session.device) || taken {
            return Err(self.conflict("session_open"));
        }
        let accounts = Arc::make_mut(&mut self.state.accounts);
        accounts.sessions.insert(session.id, (session.clone(), *token));
        accounts.saw(&session.device, session.opened_at);
        Ok(())
    }

    async fn session_resume(
        &mut self,
        token: &Digest,
        next: &Digest,
        now: Timestamp,
        resumable_until: Timestamp,
    ) -> Stored<Resumed> {
        let known =
            |wanted: &Digest| self.state.accounts.sessions.values().find(|(_, token)| token == wanted);
        let resumable = match known(token) {
            None => return Ok(Resumed::Unknown),
            Some((session, _)) => session.resumable_until > now,
        };
        if !resumable {
            return Ok(Resumed::Expired);
        }
        // Looked at last: a client that repeats a lost call offers the token that its session has by now.
        if known(next).is_some() {
            return Err(self.conflict("session_resume"));
        }
        let accounts = Arc::make_mut(&mut self.state.accounts);
        let Some((session, hash)) = accounts.sessions.values_mut().find(|(_, known)| known == token) else {
            return Ok(Resumed::Unknown);
        };
        *hash = *next;
        session.resumed_at = now;
        session.resumable_until = resumable_until;
        let session = session.clone();
        accounts.saw(&session.device, now);
        Ok(Resumed::Resumed(session))
    }

    async fn session_revoke(&mut self, id: &SessionId) -> Stored<bool> {
        Ok(Arc::make_mut(&mut self.state.accounts).sessions.remove(id).is_some())
    }

    async fn sessions_expire(&mut self, now: Timestamp) -> Stored<u64> {
        let sessions = &mut Arc::make_mut(&mut self.state.accounts).sessions;
        let before = sessions.len();
        sessions.retain(|_, (session, _)| session.resumable_until > now);
        Ok(u64::try_from(before - sessions.len()).unwrap_or(u64::MAX))
    }
}

impl MemoryTx {
    /// What goes when a device does: sessions, KeyPackages, notices, and its place in groups.
    fn forget_belongings(&mut self, device: &DeviceId) {
        Arc::make_mut(&mut self.state.accounts).sessions.retain(|_, (session, _)| session.device != *device);
        Arc::make_mut(&mut self.state.key_packages).forget_device(device);
        Arc::make_mut(&mut self.state.feeds).close(device);
        Arc::make_mut(&mut self.state.groups).forget_device(device);
    }
}
