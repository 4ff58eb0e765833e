//! Using a link: somebody chooses how to sign in, and is signed in with it.

use qpq_core::{AdminId, Digest, ErrorCode, PasskeyId, Secret, Timestamp};
use qpq_storage::{Admin, AdminLink, AdminName, AdminPasskey, AdminPassword, AdminRole};
use serde_json::Value;
use webauthn_rs::prelude::Passkey;

use super::{
    Admins, Ceremony, TotpOffer, Visit, Welcome,
    ceremonies::{Pending, gone},
    deeds,
    enrol::{Enrol, NewFactor},
    links, passkeys, secrets,
    totp::TotpSecret,
};
use crate::{Answered, Caller, Refusal};

/// What the first passkey is called.
const FIRST_LABEL: &str = "Passkey";

/// Whom a link is for.
pub(super) struct Invited {
    pub(super) link: AdminLink,
    pub(super) token: Digest,
    pub(super) name: AdminName,
    role: AdminRole,
    /// The account that is there, or the id of the one that will be.
    pub(super) id: AdminId,
}

impl Admins {
    /// Begins to make a passkey with a link. `name` counts for the first admin only.
    pub async fn begin_setup_passkey(&self, token: &str, name: &str) -> Answered<Ceremony> {
        let invited = self.invited(token, name).await?;
        // An authenticator that had a passkey of this account before may get another one: the old ones go.
        let (options, state) = self.0.passkeys.begin_registration(invited.id, invited.name.as_str(), &[])?;
        let pending = Pending::SetupPasskey {
            link: invited.token,
            admin: invited.id,
            name: invited.name,
            state: Box::new(state),
        };
        Ok(self.begun(pending, options))
    }

    /// Uses the link up: the passkey is stored and its owner signed in.
    pub async fn finish_setup_passkey(
        &self,
        token: &str,
        name: &str,
        ceremony: &str,
        answer: Value,
        visit: &Visit,
    ) -> Answered<Welcome> {
        let mut invited = self.invited(token, name).await?;
        let state = match self.0.ceremonies.take(ceremony, self.now())? {
            Pending::SetupPasskey { link, admin, name, state }
                if link == invited.token && name == invited.name =>
            {
                // The passkey carries the id that was drawn when it was begun.
                invited.id = admin;
                state
            }
            _ => return Err(gone()),
        };
        let passkey = self.0.passkeys.finish_registration(answer, &state)?;
        let factor = NewFactor::Passkey(self.new_passkey(invited.id, FIRST_LABEL, &passkey)?);
        self.enrol(invited, factor, visit).await
    }

    /// Offers a TOTP secret with a link.
    pub async fn begin_setup_password(&self, token: &str) -> Answered<TotpOffer> {
        let view = self.link(token).await?;
        let secret = TotpSecret::random(&self.0.ground);
        let pending = Pending::SetupTotp { link: secrets::link_hash(token), secret: secret.clone() };
        let id = self.begun(pending, Value::Null).id;
        Ok(secret.offer(&id, &self.0.place.domain, view.name.as_deref()))
    }

    /// The same offer again, after a typing mistake.
    pub async fn setup_offer(&self, token: &str, offer: &str) -> Answered<TotpOffer> {
        let view = self.link(token).await?;
        let secret = self.0.ceremonies.setup_totp(offer, &secrets::link_hash(token), self.now())?;
        Ok(secret.offer(offer, &self.0.place.domain, view.name.as_deref()))
    }

    /// Uses the link up: password and TOTP secret are stored and their owner signed in.
    pub async fn finish_setup_password(
        &self,
        token: &str,
        name: &str,
        password: &Secret<String>,
        offer: &str,
        code: &str,
        visit: &Visit,
    ) -> Answered<Welcome> {
        let invited = self.invited(token, name).await?;
        let secret = self.0.ceremonies.setup_totp(offer, &invited.token, self.now())?;
        let password = self.new_password(password, &secret, code).await?;
        let welcome = self.enrol(invited, NewFactor::Password(password), visit).await?;
        self.0.ceremonies.end(offer);
        Ok(welcome)
    }

    /// A password with the second factor that a code has just confirmed.
    pub(super) async fn new_password(
        &self,
        password: &Secret<String>,
        secret: &TotpSecret,
        code: &str,
    ) -> Answered<AdminPassword> {
        let step = secret.step_of(code, self.now()).ok_or_else(|| {
            let text = "the six digits are not those of this secret now: check the clock of your device and take \
                        the next ones";
            Refusal::new(ErrorCode::LoginFailed, text)
        })?;
        let hash = self.0.passwords.hash(&self.0.ground, password).await?;
        Ok(AdminPassword { hash, totp_secret: secret.to_bytes(), last_step: step })
    }

    /// A passkey as the store keeps it.
    pub(super) fn new_passkey(
        &self,
        admin: AdminId,
        label: &str,
        passkey: &Passkey,
    ) -> Answered<AdminPasskey> {
        Ok(AdminPasskey {
            id: self.0.ground.draw(PasskeyId::random),
            admin,
            credential_id: passkey.cred_id().clone(),
            label: label.to_owned(),
            rp_id: self.0.passkeys.rp_id().to_owned(),
            credential: passkeys::stored_form(passkey)?,
            created_at: self.now(),
            last_used_at: None,
        })
    }

    /// Whom a link is for; the first admin's name must be free and well formed.
    async fn invited(&self, token: &str, name: &str) -> Answered<Invited> {
        let token = secrets::link_hash(token);
        let mut tx = self.0.ground.read().await?;
        let link = links::usable(tx.as_mut(), &token, self.now()).await??;
        let Some(id) = link.admin else {
            let name: AdminName =
                name.parse().map_err(|error| Refusal::malformed(format!("`name`: {error}")))?;
            if tx.admin_named(&name).await?.is_some() {
                return Err(taken(&name));
            }
            let id = self.0.ground.draw(AdminId::random);
            return Ok(Invited { link, token, name, role: AdminRole::Owner, id });
        };
        let admin = tx.admin(&id).await?.ok_or_else(links::gone)?;
        Ok(Invited { link, token, name: admin.name, role: admin.role, id })
    }

    async fn enrol(&self, invited: Invited, factor: NewFactor, visit: &Visit) -> Answered<Welcome> {
        let codes = secrets::recovery_codes(&self.0.ground);
        let now = self.now();
        let draft = self.draft_session(invited.id, visit);
        let caller = Caller {
            actor: crate::Actor::Admin { id: invited.id, name: invited.name.to_string() },
            role: invited.role,
            proof: crate::Proof::At(now),
            request: visit.request,
        };
        let job = Enrol {
            account: invited.link.admin.is_none().then(|| first(&invited, now)),
            entry: caller.entry(&self.0.ground, deeds::SETUP, invited.name.to_string(), String::new()),
            id: invited.id,
            name: invited.name,
            token: invited.token,
            factor,
            codes: codes.iter().filter_map(|code| secrets::code_hash(code)).collect(),
            session: draft.session.clone(),
            cookie: draft.hash(),
            now,
        };
        let (name, role) = self.0.ground.write(job).await??;
        // Whoever was first, the link for the first admin is void.
        self.first_link_is(None);
        Ok(Welcome { session: draft.opened(&name, role), recovery_codes: codes })
    }
}

fn first(invited: &Invited, now: Timestamp) -> Admin {
    Admin {
        id: invited.id,
        name: invited.name.clone(),
        role: AdminRole::Owner,
        created_at: now,
        created_by: "setup-link".to_owned(),
        last_sign_in_at: None,
        password: None,
    }
}

/// Somebody else has the name.
pub(super) fn taken(name: &AdminName) -> Refusal {
    Refusal::new(ErrorCode::NameTaken, format!("there is an admin `{name}` already: choose another name"))
}
