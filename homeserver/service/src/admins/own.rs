//! One's own account: what the signed-in admin has, and changes to it, which want a fresh proof.

use async_trait::async_trait;
use qpq_core::{Digest, ErrorCode, PasskeyId, RequestId, Secret, Timestamp};
use qpq_storage::{AdminPasskey, AdminPassword, AuditEntry, Stored, WriteTx};
use serde_json::Value;

use super::{
    Admins, Ceremony, OwnAccount, PasskeyView, SignedIn, TotpOffer,
    ceremonies::{Pending, gone},
    deeds, secrets, sessions,
    totp::TotpSecret,
};
use crate::{Answered, Refusal, WriteJob, caller};

/// The most passkeys of one admin.
const PASSKEYS: usize = 20;
/// The longest label.
const LABEL: usize = 64;

impl Admins {
    /// What the signed-in admin has.
    pub async fn own(&self, signed_in: &SignedIn) -> Answered<OwnAccount> {
        let mut tx = self.0.ground.read().await?;
        let admin = tx.admin(&signed_in.admin).await?.ok_or_else(sessions::over)?;
        let passkeys = tx.admin_passkeys(&admin.id).await?;
        let view = |passkey: AdminPasskey| PasskeyView {
            usable_here: self.0.passkeys.usable(&passkey),
            id: passkey.id,
            label: passkey.label,
            created_at: passkey.created_at,
            last_used_at: passkey.last_used_at,
        };
        Ok(OwnAccount {
            name: admin.name.to_string(),
            role: admin.role,
            passkeys: passkeys.into_iter().map(view).collect(),
            password: admin.password.is_some(),
            totp: admin.password.is_some(),
            recovery_codes_left: tx.admin_recovery_codes(&admin.id).await?,
        })
    }

    /// Begins to make another passkey.
    pub async fn begin_add_passkey(&self, signed_in: &SignedIn) -> Answered<Ceremony> {
        caller::fresh(signed_in.proved_at, self.now())?;
        let known = self.0.ground.read().await?.admin_passkeys(&signed_in.admin).await?;
        let (options, state) =
            self.0.passkeys.begin_registration(signed_in.admin, &signed_in.name, &known)?;
        let pending = Pending::AddPasskey { admin: signed_in.admin, state: Box::new(state) };
        Ok(self.begun(pending, options))
    }

    /// Stores it.
    pub async fn add_passkey(
        &self,
        signed_in: &SignedIn,
        label: &str,
        ceremony: &str,
        answer: Value,
        request: RequestId,
    ) -> Answered<()> {
        caller::fresh(signed_in.proved_at, self.now())?;
        let label = label_of(label)?;
        let state = match self.0.ceremonies.take(ceremony, self.now())? {
            Pending::AddPasskey { admin, state } if admin == signed_in.admin => state,
            _ => return Err(gone()),
        };
        let passkey = self.0.passkeys.finish_registration(answer, &state)?;
        let passkey = self.new_passkey(signed_in.admin, &label, &passkey)?;
        let id = passkey.id.to_string();
        self.change(signed_in, deeds::PASSKEY_ADD, &id, Change::AddPasskey(passkey), request).await
    }

    /// Removes a passkey; never the last factor. Other sessions end.
    pub async fn remove_passkey(
        &self,
        signed_in: &SignedIn,
        id: PasskeyId,
        request: RequestId,
    ) -> Answered<()> {
        let change = Change::RemovePasskey { id, here: self.0.passkeys.rp_id().to_owned() };
        self.change(signed_in, deeds::PASSKEY_REMOVE, &id.to_string(), change, request).await
    }

    /// Offers a TOTP secret for a new password.
    #[expect(clippy::unused_async, reason = "callers treat all steps alike, wherever a step is kept")]
    pub async fn begin_set_password(&self, signed_in: &SignedIn) -> Answered<TotpOffer> {
        caller::fresh(signed_in.proved_at, self.now())?;
        let secret = TotpSecret::random(&self.0.ground);
        let pending = Pending::OwnTotp { admin: signed_in.admin, secret: secret.clone() };
        let id = self.begun(pending, Value::Null).id;
        Ok(secret.offer(&id, &self.0.place.domain, Some(&signed_in.name)))
    }

    /// The same offer again, after a typing mistake.
    #[expect(clippy::unused_async, reason = "callers treat all steps alike, wherever a step is kept")]
    pub async fn own_offer(&self, signed_in: &SignedIn, offer: &str) -> Answered<TotpOffer> {
        let secret = self.0.ceremonies.own_totp(offer, &signed_in.admin, self.now())?;
        Ok(secret.offer(offer, &self.0.place.domain, Some(&signed_in.name)))
    }

    /// Sets password and TOTP secret in place of those before. Other sessions end.
    pub async fn set_password(
        &self,
        signed_in: &SignedIn,
        password: &Secret<String>,
        offer: &str,
        code: &str,
        request: RequestId,
    ) -> Answered<()> {
        caller::fresh(signed_in.proved_at, self.now())?;
        let secret = self.0.ceremonies.own_totp(offer, &signed_in.admin, self.now())?;
        let password = self.new_password(password, &secret, code).await?;
        self.change(signed_in, deeds::PASSWORD_SET, "", Change::SetPassword(password), request).await?;
        self.0.ceremonies.end(offer);
        Ok(())
    }

    /// Makes new recovery codes in place of all that are left.
    pub async fn new_recovery_codes(
        &self,
        signed_in: &SignedIn,
        request: RequestId,
    ) -> Answered<Vec<String>> {
        let codes = secrets::recovery_codes(&self.0.ground);
        let hashes = codes.iter().filter_map(|code| secrets::code_hash(code)).collect();
        self.change(signed_in, deeds::RECOVERY_CODES, "", Change::SetCodes(hashes), request).await?;
        Ok(codes)
    }

    /// Performs a change with its audit row, whose target is the admin and what of theirs.
    async fn change(
        &self,
        signed_in: &SignedIn,
        action: &str,
        what: &str,
        change: Change,
        request: RequestId,
    ) -> Answered<()> {
        let now = self.now();
        caller::fresh(signed_in.proved_at, now)?;
        let target = format!("{} {what}", signed_in.name).trim_end().to_owned();
        let entry = signed_in.caller(request).entry(&self.0.ground, action, target, String::new());
        self.0.ground.write(OwnChange { signed_in: signed_in.clone(), change, now, entry }).await?
    }
}

/// A change of one's own factors.
enum Change {
    AddPasskey(AdminPasskey),
    RemovePasskey { id: PasskeyId, here: String },
    SetPassword(AdminPassword),
    SetCodes(Vec<Digest>),
}

struct OwnChange {
    signed_in: SignedIn,
    change: Change,
    now: Timestamp,
    entry: AuditEntry,
}

#[async_trait]
impl WriteJob for OwnChange {
    type Output = Answered<()>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        let SignedIn { admin, session, .. } = &self.signed_in;
        // Whoever was removed or signed out meanwhile changes nothing.
        if !sessions::lives(tx, admin, session, self.now).await? {
            return Ok(Err(sessions::over()));
        }
        match &self.change {
            Change::AddPasskey(passkey) => {
                if tx.admin_passkeys(admin).await?.len() >= PASSKEYS {
                    let text = format!("you have {PASSKEYS} passkeys: remove one first");
                    return Ok(Err(Refusal::new(ErrorCode::TooLarge, text)));
                }
                if !tx.admin_passkey_add(passkey).await? {
                    return Ok(Err(known_passkey()));
                }
            }
            Change::RemovePasskey { id, here } => {
                let passkeys = tx.admin_passkeys(admin).await?;
                let Some(gone) = passkeys.iter().find(|passkey| passkey.id == *id) else {
                    let text = format!("you have no passkey `{id}`");
                    return Ok(Err(Refusal::new(ErrorCode::NotFound, text)));
                };
                let password = tx.admin(admin).await?.is_some_and(|admin| admin.password.is_some());
                // One that was made for another place opens nothing here.
                let another =
                    |key: &AdminPasskey| key.id != *id && (key.rp_id == *here || gone.rp_id != *here);
                if !password && !passkeys.iter().any(another) {
                    let text =
                        "this is the last way in that you have here: add a passkey or a password first";
                    return Ok(Err(Refusal::new(ErrorCode::NotAllowed, text)));
                }
                tx.admin_passkey_remove(admin, id).await?;
                tx.console_sessions_end(admin, Some(session)).await?;
            }
            Change::SetPassword(password) => {
                tx.admin_password_set(admin, password).await?;
                tx.console_sessions_end(admin, Some(session)).await?;
            }
            Change::SetCodes(codes) => tx.admin_recovery_codes_set(admin, codes).await?,
        }
        tx.audit_append(&self.entry).await?;
        Ok(Ok(()))
    }
}

/// A label that can be shown.
fn label_of(text: &str) -> Answered<String> {
    let label = text.trim();
    if label.is_empty() || label.chars().count() > LABEL || !qpq_core::is_plain(label) {
        let text = format!("a passkey's name is one line with 1 to {LABEL} characters");
        return Err(Refusal::malformed(text));
    }
    Ok(label.to_owned())
}

/// The credential is stored already.
pub(super) fn known_passkey() -> Refusal {
    Refusal::new(ErrorCode::NameTaken, "this passkey is known already: choose another authenticator")
}
