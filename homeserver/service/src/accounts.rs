//! Accounts: shown to their owners, listed and deleted by admins.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{AccountId, Address, DeviceId, ErrorCode, Timestamp};
use qpq_storage::{
    Account, Page, ReadTx, Stored, UserFilter, UserLine, UserSort, UsersQuery, Window, WriteTx,
};

use crate::{
    Answered, Effects, Ground, LiveSessions, Refusal, SessionEnd, SessionHandle, Sessions, UserKeys, Wakes,
    WriteJob,
};

/// An account as its owner and admins see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// Its id.
    pub id: AccountId,
    /// Its address, identity key and active devices.
    pub keys: UserKeys,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The use cases of accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    ground: Arc<Ground>,
    sessions: Sessions,
}

impl Accounts {
    /// On this ground; deleting an account ends its sessions.
    pub const fn new(ground: Arc<Ground>, sessions: Sessions) -> Self {
        Self { ground, sessions }
    }

    /// The session's own account.
    pub async fn own(&self, session: &SessionHandle) -> Answered<AccountView> {
        session.check(self.ground.now())?;
        self.show(&session.device().user).await
    }

    /// Any account of this domain.
    pub async fn show(&self, address: &Address) -> Answered<AccountView> {
        let mut tx = self.ground.read().await?;
        let account = find(&self.ground, tx.as_mut(), address).await?;
        let (id, created_at) = (account.id, account.created_at);
        Ok(AccountView { id, created_at, keys: keys(address.clone(), &account, tx.as_mut()).await? })
    }

    /// A page of the accounts of this domain.
    pub async fn list(
        &self,
        search: &str,
        filter: UserFilter,
        sort: UserSort,
        window: Window,
    ) -> Answered<Page<UserLine>> {
        let search = search.trim().to_lowercase();
        let (domain, now) = (self.ground.domain(), self.ground.now());
        let query = UsersQuery { domain, search: &search, filter, sort, now, window };
        Ok(self.ground.read().await?.users(&query).await?)
    }

    /// Deletes an account with everything that is its own; its sessions end at once.
    pub async fn delete(&self, address: &Address) -> Answered<()> {
        let done = self.ground.write(self.deletion(address.clone())).await?;
        if done { Ok(()) } else { Err(unknown(address)) }
    }

    /// The job behind [`Accounts::delete`], for whoever adds something to its transaction.
    pub(crate) fn deletion(&self, address: Address) -> DeleteAccount {
        DeleteAccount {
            ours: address.domain() == self.ground.domain(),
            address,
            live: Arc::clone(self.sessions.live()),
            wakes: Arc::clone(self.ground.wakes()),
            gone: None,
        }
    }
}

/// The account of an address of this domain.
pub(crate) async fn find(ground: &Ground, tx: &mut dyn ReadTx, address: &Address) -> Answered<Account> {
    let account =
        if address.domain() == ground.domain() { tx.account_named(address.localpart()).await? } else { None };
    account.ok_or_else(|| unknown(address))
}

/// What the domain says about an account's keys.
pub(crate) async fn keys(address: Address, account: &Account, tx: &mut dyn ReadTx) -> Stored<UserKeys> {
    let devices = tx.devices(&account.id).await?;
    let active = devices.into_iter().filter(|device| device.revoked_at.is_none());
    Ok(UserKeys {
        address,
        identity_key: account.identity_key,
        devices: active.map(|device| device.certificate).collect(),
    })
}

/// No such account.
pub(crate) fn unknown(address: &Address) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no account `{address}` here"))
}

/// Deletes one account; `false` if there was none.
pub(crate) struct DeleteAccount {
    address: Address,
    ours: bool,
    live: Arc<LiveSessions>,
    wakes: Arc<Wakes>,
    gone: Option<(AccountId, Vec<DeviceId>)>,
}

#[async_trait]
impl WriteJob for DeleteAccount {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        self.gone = None;
        let account = if self.ours { tx.account_named(self.address.localpart()).await? } else { None };
        let Some(account) = account else { return Ok(false) };
        let devices = tx.devices(&account.id).await?;
        if !tx.account_delete(&account.id).await? {
            return Ok(false);
        }
        self.gone = Some((account.id, devices.into_iter().map(|d| d.certificate.device.device).collect()));
        Ok(true)
    }

    fn effects(&mut self) -> Effects {
        if let Some((account, devices)) = &self.gone {
            self.live.end_account(account, &SessionEnd::Revoked);
            for device in devices {
                self.wakes.end(device);
            }
        }
        Effects::default()
    }
}
