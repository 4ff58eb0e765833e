//! Accounts and devices; their sessions are in a file of their own.

mod devices;
mod sessions;
mod users;

use async_trait::async_trait;
use qpq_core::{AccountId, DeviceId, Digest, IdentityKey, Localpart, SessionId, Timestamp, TokenId};
use qpq_storage::{
    Account, AccountCreated, AccountsRead, AccountsWrite, Device, DeviceEnrolled, Page, Rekey, Resumed,
    Session, Stored, UserLine, UsersQuery,
};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, size, sql, time},
};

fn account(row: Fields<'_>) -> Stored<Account> {
    Ok(Account {
        id: AccountId::from_bytes(row.bytes("id")?),
        localpart: row.parsed("localpart")?,
        opaque_record: row.blob("opaque_record")?,
        identity_key: IdentityKey::from_bytes(row.bytes("identity_key")?),
        sealed_identity: row.blob("sealed_identity")?,
        created_at: row.time("created_at")?,
    })
}

#[async_trait]
impl AccountsRead for Transaction {
    async fn account_named(&mut self, localpart: &Localpart) -> Stored<Option<Account>> {
        let query = sql("SELECT id, localpart, identity_key, created_at, opaque_record, sealed_identity
                         FROM accounts WHERE localpart = ?")
        .bind(localpart.to_string());
        let row = self.row("account_named", query).await?;
        one("accounts", row.as_ref(), account)
    }

    async fn account(&mut self, id: &AccountId) -> Stored<Option<Account>> {
        let query = sql("SELECT id, localpart, identity_key, created_at, opaque_record, sealed_identity
                         FROM accounts WHERE id = ?")
        .bind(id.as_bytes().to_vec());
        let row = self.row("account", query).await?;
        one("accounts", row.as_ref(), account)
    }

    async fn accounts(&mut self, after: Option<&Localpart>, limit: usize) -> Stored<Vec<Account>> {
        // No name is empty, so the empty text comes before all of them.
        let query = sql("SELECT id, localpart, identity_key, created_at, opaque_record, sealed_identity
                         FROM accounts WHERE localpart > ? ORDER BY localpart LIMIT ?")
        .bind(after.map(ToString::to_string).unwrap_or_default())
        .bind(size(limit));
        each("accounts", &self.rows("accounts", query).await?, account)
    }

    async fn devices(&mut self, account: &AccountId) -> Stored<Vec<Device>> {
        self.devices_of(account).await
    }

    async fn device(&mut self, id: &DeviceId) -> Stored<Option<Device>> {
        self.device_of_id(id).await
    }

    async fn all_devices(&mut self, after: Option<&DeviceId>, limit: usize) -> Stored<Vec<Device>> {
        self.devices_after(after, limit).await
    }

    async fn users(&mut self, query: &UsersQuery<'_>) -> Stored<Page<UserLine>> {
        self.users_page(query).await
    }

    async fn session_of_token(&mut self, token: &Digest) -> Stored<Option<Session>> {
        self.session_of_hash("session_of_token", token).await
    }

    async fn session(&mut self, id: &SessionId) -> Stored<Option<Session>> {
        self.session_of_id(id).await
    }

    async fn sessions(&mut self, account: Option<&AccountId>, limit: usize) -> Stored<Vec<Session>> {
        self.sessions_of(account, limit).await
    }
}

#[async_trait]
impl AccountsWrite for Transaction {
    async fn account_create(
        &mut self,
        account: &Account,
        first: &Device,
        token: Option<&TokenId>,
    ) -> Stored<AccountCreated> {
        let what = "account_create";
        if let Some(token) = token
            && !self.take_use(token, account.created_at).await?
        {
            return Ok(AccountCreated::TokenRefused);
        }
        let insert = sql("INSERT INTO accounts
                          (id, localpart, identity_key, created_at, last_seen_at, opaque_record,
                           sealed_identity)
                          VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (localpart) DO NOTHING")
        .bind(account.id.as_bytes().to_vec())
        .bind(account.localpart.to_string())
        .bind(account.identity_key.as_bytes().to_vec())
        .bind(time(account.created_at))
        .bind(time(first.last_seen_at))
        .bind(account.opaque_record.clone())
        .bind(account.sealed_identity.clone());
        if self.run(what, insert).await? == 0 {
            if let Some(token) = token {
                self.give_use_back(token).await?;
            }
            return Ok(AccountCreated::NameTaken);
        }
        if first.account != account.id {
            return Err(self.conflict(what));
        }
        self.device_insert(what, first).await?;
        Ok(AccountCreated::Created)
    }

    async fn account_rekey(&mut self, account: &AccountId, rekey: &Rekey) -> Stored<bool> {
        let what = "account_rekey";
        let update = sql("UPDATE accounts SET identity_key = ?, sealed_identity = ? WHERE id = ?")
            .bind(rekey.identity_key.as_bytes().to_vec())
            .bind(rekey.sealed_identity.clone())
            .bind(account.as_bytes().to_vec());
        if self.run(what, update).await? == 0 {
            return Ok(false);
        }
        for certificate in &rekey.certificates {
            self.recertify(what, account, certificate).await?;
        }
        Ok(true)
    }

    async fn account_delete(&mut self, id: &AccountId) -> Stored<bool> {
        let what = "account_delete";
        let ends = sql("UPDATE members SET left_seq = COALESCE(left_seq, g.last_seq),
                            acknowledged_seq = MAX(acknowledged_seq,
                                                   COALESCE(needs_resync, left_seq, g.last_seq))
                        FROM mls_groups g
                        WHERE g.pk = members.group_pk AND members.local = 1
                          AND members.device IN (SELECT id FROM devices WHERE account = ?)")
        .bind(id.as_bytes().to_vec());
        self.run(what, ends).await?;
        let delete = sql("DELETE FROM accounts WHERE id = ?").bind(id.as_bytes().to_vec());
        Ok(self.run(what, delete).await? > 0)
    }

    async fn device_enrol(&mut self, device: &Device, most: usize) -> Stored<DeviceEnrolled> {
        self.enrol(device, most).await
    }

    async fn device_revoke(&mut self, id: &DeviceId, now: Timestamp) -> Stored<bool> {
        self.revoke(id, now).await
    }

    async fn session_open(&mut self, session: &Session, token: &Digest) -> Stored<()> {
        self.open_session(session, token).await
    }

    async fn session_resume(
        &mut self,
        token: &Digest,
        next: &Digest,
        now: Timestamp,
        resumable_until: Timestamp,
    ) -> Stored<Resumed> {
        self.resume(token, next, now, resumable_until).await
    }

    async fn session_revoke(&mut self, id: &SessionId) -> Stored<bool> {
        let delete = sql("DELETE FROM sessions WHERE id = ?").bind(id.as_bytes().to_vec());
        Ok(self.run("session_revoke", delete).await? > 0)
    }

    async fn sessions_expire(&mut self, now: Timestamp) -> Stored<u64> {
        let delete = sql("DELETE FROM sessions WHERE resumable_until <= ?").bind(time(now));
        self.run_job("sessions_expire", delete).await
    }
}
