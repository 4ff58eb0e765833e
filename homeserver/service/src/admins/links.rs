//! One-time links: for the first admin, for somebody who was added, for somebody who lost what they signed in with.

use async_trait::async_trait;
use qpq_core::{Digest, ErrorCode, Millis, Secret, Timestamp};
use qpq_metrics::SignInFailure;
use qpq_storage::{AdminLine, AdminLink, AdminRole, LinkPurpose, ReadTx, Stored, WriteTx};

use super::{Admins, LinkView, SetupLink, life, secrets};
use crate::{Answered, Ground, Refusal, WriteJob};

/// For the first admin, who sits before the terminal, and for a recovery, which somebody waits for.
const SHORT: Millis = Millis::from_secs(3_600);
/// For somebody who is told by another way.
const LONG: Millis = Millis::from_days(1);

/// A link that is not stored yet.
pub(crate) struct DraftLink {
    pub(super) link: AdminLink,
    token: Secret<String>,
}

impl DraftLink {
    pub(super) fn hash(&self) -> Digest {
        secrets::link_hash(self.token.expose())
    }
}

impl Admins {
    /// Whether anybody can sign in. Until somebody can, whoever finds the link can become the owner, so the console stays
    /// where only this machine reaches it.
    pub async fn anybody(ground: &Ground) -> Answered<bool> {
        let admins = ground.read().await?.admins(&life(ground.now())).await?;
        Ok(admins.iter().any(AdminLine::is_enrolled))
    }

    /// A fresh link for the first admin, which voids the one before; `None` once somebody can sign in.
    pub async fn first_run(&self) -> Answered<Option<SetupLink>> {
        let (shown, job) = self.first_link_job();
        match self.0.ground.write(job).await? {
            Ok(()) => {
                self.first_link_is(Some(shown.clone()));
                Ok(Some(shown))
            }
            Err(_there_is_somebody) => Ok(None),
        }
    }

    /// What a link is for.
    pub async fn link(&self, token: &str) -> Answered<LinkView> {
        let now = self.now();
        let mut tx = self.0.ground.read().await?;
        let found = usable(tx.as_mut(), &secrets::link_hash(token), now).await?;
        let link = self.metered(SignInFailure::SetupLink, found)?;
        let admin = match &link.admin {
            Some(id) => Some(tx.admin(id).await?.ok_or_else(gone)?),
            None => None,
        };
        Ok(LinkView {
            purpose: link.purpose,
            role: admin.as_ref().map_or(AdminRole::Owner, |admin| admin.role),
            name: admin.map(|admin| admin.name.to_string()),
            expires_at: link.expires_at,
        })
    }

    /// The job behind [`Admins::first_run`], and what is shown of the link.
    pub(crate) fn first_link_job(&self) -> (SetupLink, FirstLink) {
        let draft = self.draft_link(LinkPurpose::First, self.now());
        (self.shown(&draft), FirstLink { draft })
    }

    /// Tells who watches that the link for the first admin is another one, or was used.
    pub(crate) fn first_link_is(&self, link: Option<SetupLink>) {
        self.0.first_link.send_replace(link);
    }

    /// A new link; whose it is, its job says.
    pub(super) fn draft_link(&self, purpose: LinkPurpose, now: Timestamp) -> DraftLink {
        let lifetime = if purpose == LinkPurpose::Added { LONG } else { SHORT };
        let link = AdminLink { purpose, admin: None, created_at: now, expires_at: now.after(lifetime) };
        DraftLink { link, token: secrets::token(&self.0.ground) }
    }

    /// What is shown of a link, once.
    pub(super) fn shown(&self, draft: &DraftLink) -> SetupLink {
        SetupLink {
            url: format!("{}/setup/{}", self.0.place.origin, draft.token.expose()),
            expires_at: draft.link.expires_at,
        }
    }
}

/// Stores a link for the first admin, unless somebody can sign in already.
pub(crate) struct FirstLink {
    draft: DraftLink,
}

#[async_trait]
impl WriteJob for FirstLink {
    type Output = Answered<()>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        if tx.admins(&life(self.draft.link.created_at)).await?.iter().any(AdminLine::is_enrolled) {
            let text = "there is an admin who can sign in already: `admin add` adds another one, `admin recover` \
                        gives one a new link";
            return Ok(Err(Refusal::new(ErrorCode::NotAllowed, text)));
        }
        tx.admin_link_store(&self.draft.link, &self.draft.hash()).await?;
        Ok(Ok(()))
    }
}

/// The link of a token, if it can be used now.
pub(super) async fn usable<T: ReadTx + ?Sized>(
    tx: &mut T,
    token: &Digest,
    now: Timestamp,
) -> Stored<Answered<AdminLink>> {
    let link = tx.admin_link(token).await?.filter(|link| link.is_usable(now));
    Ok(link.ok_or_else(gone))
}

/// A link that was used, replaced, or whose time is over; one that never was looks the same.
pub(super) fn gone() -> Refusal {
    Refusal::new(
        ErrorCode::Gone,
        "this link was used before, was replaced by a newer one, or its time is over: ask for a new one, on the \
         machine with `qpq-server admin recover` or `qpq-server admin setup-link`",
    )
}
