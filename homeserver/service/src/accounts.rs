//! Accounts: shown to their owners, listed and deleted by admins.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{AccountId, Address, DeviceId, ErrorCode, Timestamp};
use qpq_storage::{
    Account, Page, ReadTx, Stored, UserFilter, UserLine, UserSort, UsersQuery, Window, WriteTx,
};

use crate::{
    Answered, Effects, Ground, LiveSessions, Refusal, SessionEnd, SessionHandle, Sessions, UserKeys, Wakes,
    WriteJob, transparency::logged,
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
        let keys = logged::user_keys(&self.ground, tx.as_mut(), address, &account).await?;
        Ok(AccountView { id, keys, created_at })
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
        let deletion = self.deletion(address.clone()).await?;
        let done = self.ground.write(deletion).await?;
        if done { Ok(()) } else { Err(unknown(address)) }
    }

    /// The job behind [`Accounts::delete`], for whoever adds something to its transaction.
    pub(crate) async fn deletion(&self, address: Address) -> Answered<DeleteAccount> {
        self.ground.signing().pass().await?;
        Ok(DeleteAccount {
            ground: Arc::clone(&self.ground),
            now: self.ground.now(),
            address,
            live: Arc::clone(self.sessions.live()),
            wakes: Arc::clone(self.ground.wakes()),
            gone: None,
        })
    }
}

/// The account of an address of this domain.
pub(crate) async fn find(ground: &Ground, tx: &mut dyn ReadTx, address: &Address) -> Answered<Account> {
    let account =
        if address.domain() == ground.domain() { tx.account_named(address.localpart()).await? } else { None };
    account.ok_or_else(|| unknown(address))
}

/// No such account.
pub(crate) fn unknown(address: &Address) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no account `{address}` here"))
}

/// Deletes one account; `false` if there was none.
pub(crate) struct DeleteAccount {
    ground: Arc<Ground>,
    address: Address,
    now: Timestamp,
    live: Arc<LiveSessions>,
    wakes: Arc<Wakes>,
    gone: Option<(AccountId, Vec<DeviceId>)>,
}

#[async_trait]
impl WriteJob for DeleteAccount {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        self.gone = None;
        let ours = self.address.domain() == self.ground.domain();
        let account = if ours { tx.account_named(self.address.localpart()).await? } else { None };
        let Some(account) = account else { return Ok(false) };
        let devices = tx.devices(&account.id).await?;
        if !tx.account_delete(&account.id).await? {
            return Ok(false);
        }
        logged::close(&self.ground, tx, &self.address, self.now).await?;
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
