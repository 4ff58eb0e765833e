//! The transaction that uses a link up: account, factor, recovery codes and session, all or nothing.

use async_trait::async_trait;
use qpq_core::{AdminId, Digest, Timestamp};
use qpq_storage::{
    Admin, AdminLine, AdminName, AdminPasskey, AdminPassword, AdminRole, AuditEntry, ConsoleSession,
    LinkPurpose, Stored, WriteTx,
};

use super::{life, links, own, setup};
use crate::{Answered, WriteJob};

/// What the link's owner chose to sign in with.
pub(super) enum NewFactor {
    Passkey(AdminPasskey),
    Password(AdminPassword),
}

/// Uses a link up.
pub(super) struct Enrol {
    /// The first admin's account, which is made now.
    pub(super) account: Option<Admin>,
    pub(super) id: AdminId,
    pub(super) name: AdminName,
    pub(super) token: Digest,
    pub(super) factor: NewFactor,
    pub(super) codes: Vec<Digest>,
    pub(super) session: ConsoleSession,
    pub(super) cookie: Digest,
    pub(super) now: Timestamp,
    pub(super) entry: AuditEntry,
}

#[async_trait]
impl WriteJob for Enrol {
    type Output = Answered<(AdminName, AdminRole)>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        // All questions first: a refusal is an output, and what was written before it would stay.
        let link = match links::usable(tx, &self.token, self.now).await? {
            Ok(link) => link,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let first = link.purpose == LinkPurpose::First;
        if first && tx.admins(&life(self.now)).await?.iter().any(AdminLine::is_enrolled) {
            return Ok(Err(links::gone()));
        }
        let role = match (&self.account, tx.admin(&self.id).await?) {
            (Some(_), _) if tx.admin_named(&self.name).await?.is_some() => {
                return Ok(Err(setup::taken(&self.name)));
            }
            (Some(account), _) => account.role,
            (None, Some(admin)) if link.admin == Some(self.id) => admin.role,
            (None, _) => return Ok(Err(links::gone())),
        };
        if let NewFactor::Passkey(passkey) = &self.factor
            && let Some(known) = tx.admin_passkey(&passkey.credential_id).await?
            && known.admin != self.id
        {
            return Ok(Err(own::known_passkey()));
        }

        tx.admin_link_take(&self.token, self.now).await?;
        // Somebody can sign in now, so nobody becomes the first any more.
        tx.admin_link_void(None).await?;
        if let Some(account) = &self.account {
            tx.admin_create(account).await?;
        }
        // Who comes back starts anew: whatever was lost opens nothing.
        tx.admin_factors_clear(&self.id).await?;
        tx.console_sessions_end(&self.id, None).await?;
        match &self.factor {
            NewFactor::Passkey(passkey) => drop(tx.admin_passkey_add(passkey).await?),
            NewFactor::Password(password) => tx.admin_password_set(&self.id, password).await?,
        }
        tx.admin_recovery_codes_set(&self.id, &self.codes).await?;
        tx.admin_signed_in(&self.id, self.now).await?;
        tx.console_session_open(&self.session, &self.cookie).await?;
        tx.audit_append(&self.entry).await?;
        Ok(Ok((self.name.clone(), role)))
    }
}
