//! What owners do to accounts: add, remove, give another role, send back to a new link. What must hold for it (an owner
//! stays, nobody takes their own right away) holds in the transaction, so two at once can't break it together.

use async_trait::async_trait;
use qpq_core::{AdminId, ErrorCode, Timestamp};
use qpq_storage::{Admin, AdminLine, AdminName, AdminRole, LinkPurpose, ReadTx, Stored, WriteTx};

use super::{Admins, SetupLink, life, links::DraftLink, setup};
use crate::{Actor, Answered, Refusal, WriteJob};

impl Admins {
    /// All accounts by name.
    pub(crate) async fn list(&self) -> Answered<Vec<AdminLine>> {
        Ok(self.0.ground.read().await?.admins(&life(self.now())).await?)
    }

    /// The job that adds an account, and the link by which its owner comes in.
    pub(crate) fn addition(&self, actor: &Actor, name: AdminName, role: AdminRole) -> (SetupLink, AddAdmin) {
        let now = self.now();
        let mut draft = self.draft_link(LinkPurpose::Added, now);
        let shown = self.shown(&draft);
        let admin = Admin {
            id: self.0.ground.draw(AdminId::random),
            name,
            role,
            created_at: now,
            created_by: actor.to_string(),
            last_sign_in_at: None,
            password: None,
        };
        draft.link.admin = Some(admin.id);
        (shown, AddAdmin { actor: actor.clone(), admin, draft })
    }

    /// The job that gives an account a new link, and the link.
    pub(crate) fn recovery(&self, actor: &Actor, name: AdminName) -> (SetupLink, RecoverAdmin) {
        let draft = self.draft_link(LinkPurpose::Recovery, self.now());
        (self.shown(&draft), RecoverAdmin { actor: actor.clone(), name, draft })
    }

    /// The job that removes an account.
    pub(crate) fn removal(&self, actor: &Actor, name: AdminName) -> RemoveAdmin {
        RemoveAdmin { actor: actor.clone(), name, now: self.now() }
    }

    /// The job that gives an account another role.
    pub(crate) fn new_role(&self, actor: &Actor, name: AdminName, role: AdminRole) -> NewRole {
        NewRole { actor: actor.clone(), name, role, now: self.now() }
    }
}

/// Adds an account with its link.
pub(crate) struct AddAdmin {
    actor: Actor,
    admin: Admin,
    draft: DraftLink,
}

#[async_trait]
impl WriteJob for AddAdmin {
    type Output = Answered<()>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        if let Err(refusal) = still_owner(tx, &self.actor).await? {
            return Ok(Err(refusal));
        }
        if !tx.admin_create(&self.admin).await? {
            return Ok(Err(setup::taken(&self.admin.name)));
        }
        tx.admin_link_store(&self.draft.link, &self.draft.hash()).await?;
        Ok(Ok(()))
    }
}

/// Gives an account a new link and ends its sessions. What it signs in with stays until the link is used.
pub(crate) struct RecoverAdmin {
    actor: Actor,
    name: AdminName,
    draft: DraftLink,
}

#[async_trait]
impl WriteJob for RecoverAdmin {
    type Output = Answered<()>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        if let Err(refusal) = still_owner(tx, &self.actor).await? {
            return Ok(Err(refusal));
        }
        let Some(admin) = tx.admin_named(&self.name).await? else { return Ok(Err(unknown(&self.name))) };
        self.draft.link.admin = Some(admin.id);
        tx.console_sessions_end(&admin.id, None).await?;
        tx.admin_link_store(&self.draft.link, &self.draft.hash()).await?;
        Ok(Ok(()))
    }
}

/// Removes an account with all it has.
pub(crate) struct RemoveAdmin {
    actor: Actor,
    name: AdminName,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for RemoveAdmin {
    type Output = Answered<()>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        let admin = match target(tx, &self.actor, &self.name).await? {
            Ok(admin) => admin,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if is_last_owner(tx, &admin, self.now).await? {
            return Ok(Err(last_owner(&admin.name)));
        }
        tx.admin_remove(&admin.id).await?;
        Ok(Ok(()))
    }
}

/// Gives an account another role.
pub(crate) struct NewRole {
    actor: Actor,
    name: AdminName,
    role: AdminRole,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for NewRole {
    type Output = Answered<()>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        let admin = match target(tx, &self.actor, &self.name).await? {
            Ok(admin) => admin,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if admin.role == self.role {
            let text = format!("`{}` is {} already", admin.name, admin.role);
            return Ok(Err(Refusal::new(ErrorCode::NotAllowed, text)));
        }
        if is_last_owner(tx, &admin, self.now).await? {
            return Ok(Err(last_owner(&admin.name)));
        }
        tx.admin_role_set(&admin.id, self.role).await?;
        Ok(Ok(()))
    }
}

/// The account that an owner may remove or give another role: not their own.
async fn target(tx: &mut dyn WriteTx, actor: &Actor, name: &AdminName) -> Stored<Answered<Admin>> {
    if let Err(refusal) = still_owner(tx, actor).await? {
        return Ok(Err(refusal));
    }
    let Some(admin) = tx.admin_named(name).await? else { return Ok(Err(unknown(name))) };
    if matches!(actor, Actor::Admin { id, .. } if *id == admin.id) {
        let text = "that is your own account: another owner can do it, or the command line on the machine";
        return Ok(Err(Refusal::new(ErrorCode::NotAllowed, text)));
    }
    Ok(Ok(admin))
}

/// Refuses an admin who was removed, or lost the role, while the request was on its way.
async fn still_owner<T: ReadTx + ?Sized>(tx: &mut T, actor: &Actor) -> Stored<Answered<()>> {
    let Actor::Admin { id, .. } = actor else { return Ok(Ok(())) };
    let owner = tx.admin(id).await?.is_some_and(|admin| admin.role == AdminRole::Owner);
    let text = "you are no owner any more";
    Ok(if owner { Ok(()) } else { Err(Refusal::new(ErrorCode::RoleRefused, text)) })
}

/// Whether nobody else who can sign in is an owner. Who never signed in is no owner that anybody could rely on.
async fn is_last_owner<T: ReadTx + ?Sized>(tx: &mut T, admin: &Admin, now: Timestamp) -> Stored<bool> {
    let lines = tx.admins(&life(now)).await?;
    let mut owners = lines.iter().filter(|line| line.admin.role == AdminRole::Owner && line.is_enrolled());
    Ok(owners.clone().any(|line| line.admin.id == admin.id) && owners.all(|line| line.admin.id == admin.id))
}

fn last_owner(name: &AdminName) -> Refusal {
    let text = format!("`{name}` is the last owner who can sign in: make another one first");
    Refusal::new(ErrorCode::NotAllowed, text)
}

/// No such account.
pub(super) fn unknown(name: &AdminName) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no admin `{name}`; `admin list` shows who is"))
}
