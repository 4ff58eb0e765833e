//! Signing in, and proving again who is signed in: with a passkey, with password and code, with a recovery code.

use qpq_core::Secret;
use qpq_metrics::SignInFailure;
use qpq_storage::{Admin, AdminName};
use serde_json::Value;

use super::{
    Admins, Ceremony, NewSession, SignedIn, Visit,
    ceremonies::{Pending, gone},
    factors::{Factor, wrong},
    passkeys::{self, Known, Passkeys, not_accepted},
    secrets,
    totp::TotpSecret,
};
use crate::{Answered, Refusal};

impl Admins {
    /// Begins a sign-in with whichever passkey the browser finds.
    #[expect(clippy::unused_async, reason = "callers treat all steps alike, wherever a step is kept")]
    pub async fn begin_sign_in(&self, visit: &Visit) -> Answered<Ceremony> {
        let now = self.now();
        let admitted = self.0.doors.admit(&visit.network, 1, now, "sign-ins from your network");
        self.metered(SignInFailure::RateLimited, admitted)?;
        let (options, state) = self.0.passkeys.begin_sign_in()?;
        let id = secrets::token(&self.0.ground);
        self.0.sign_ins.begin(id.expose(), Pending::SignIn(Box::new(state)), now);
        Ok(Ceremony { id: id.expose().clone(), options })
    }

    /// Signs in with a passkey.
    pub async fn sign_in_passkey(
        &self,
        ceremony: &str,
        answer: Value,
        visit: &Visit,
    ) -> Answered<NewSession> {
        let outcome = async {
            let Pending::SignIn(state) = self.0.sign_ins.take(ceremony, self.now())? else {
                return Err(gone());
            };
            let (answer, credential_id) = Passkeys::identify(answer)?;
            let (admin, known) = self.known(&credential_id).await?;
            let id = known.stored.id;
            let credential = self.0.passkeys.finish_sign_in(&answer, *state, known)?;
            self.open(&admin, Factor::Passkey { id, credential_id, credential }, None, visit).await
        };
        self.metered(SignInFailure::Passkey, outcome.await)
    }

    /// Signs in with a password and six digits, or a recovery code instead of them.
    pub async fn sign_in_password(
        &self,
        name: &str,
        password: &Secret<String>,
        code: &str,
        visit: &Visit,
    ) -> Answered<NewSession> {
        let attempt = self.attempt(visit, name)?;
        let outcome = async {
            let (admin, factor) = self.with_password(name, password, code).await?;
            let reason = factor.failure();
            self.metered(reason, self.open(&admin, factor, None, visit).await)
        };
        attempt.settled(outcome.await)
    }

    /// Signs in with a recovery code alone: for accounts without a password whose passkey is lost.
    pub async fn sign_in_recovery(&self, name: &str, code: &str, visit: &Visit) -> Answered<NewSession> {
        let attempt = self.attempt(visit, name)?;
        let outcome = async {
            let admin = self.named(name).await?.ok_or_else(wrong)?;
            let code = secrets::code_hash(code).ok_or_else(wrong)?;
            self.open(&admin, Factor::Recovery { hash: None, code }, None, visit).await
        };
        attempt.settled(self.metered(SignInFailure::RecoveryCode, outcome.await))
    }

    /// Begins to prove with a passkey who is signed in.
    pub async fn begin_proof(&self, signed_in: &SignedIn) -> Answered<Ceremony> {
        let stored = self.0.ground.read().await?.admin_passkeys(&signed_in.admin).await?;
        let usable = stored.into_iter().filter(|passkey| self.0.passkeys.usable(passkey));
        let known: Vec<Known> = usable.filter_map(passkeys::known).collect();
        if known.is_empty() {
            let text = "you have no passkey that works here: prove it with your password, or sign in again";
            return Err(Refusal::new(qpq_core::ErrorCode::NotFound, text));
        }
        let (options, state) = self.0.passkeys.begin_proof(&known)?;
        let pending = Pending::Proof { admin: signed_in.admin, state: Box::new(state) };
        Ok(self.begun(pending, options))
    }

    /// Proves it; the session gets a new id and cookie.
    pub async fn prove_passkey(
        &self,
        signed_in: &SignedIn,
        ceremony: &str,
        answer: Value,
        visit: &Visit,
    ) -> Answered<NewSession> {
        let outcome = async {
            let state = match self.0.ceremonies.take(ceremony, self.now())? {
                Pending::Proof { admin, state } if admin == signed_in.admin => state,
                _ => return Err(gone()),
            };
            let (answer, credential_id) = Passkeys::identify(answer)?;
            let (admin, known) = self.known(&credential_id).await?;
            if admin.id != signed_in.admin {
                return Err(not_accepted());
            }
            let id = known.stored.id;
            let credential = self.0.passkeys.finish_proof(&answer, &state, known)?;
            let factor = Factor::Passkey { id, credential_id, credential };
            self.open(&admin, factor, Some(signed_in.session), visit).await
        };
        self.metered(SignInFailure::Passkey, outcome.await)
    }

    /// Proves with password and code who is signed in; the session gets a new id and cookie.
    pub async fn prove_password(
        &self,
        signed_in: &SignedIn,
        password: &Secret<String>,
        code: &str,
        visit: &Visit,
    ) -> Answered<NewSession> {
        let attempt = self.attempt(visit, &signed_in.name)?;
        let outcome = async {
            let (admin, factor) = self.with_password(&signed_in.name, password, code).await?;
            if admin.id != signed_in.admin {
                return Err(wrong());
            }
            let reason = factor.failure();
            self.metered(reason, self.open(&admin, factor, Some(signed_in.session), visit).await)
        };
        attempt.settled(outcome.await)
    }

    /// Remembers what was begun with a link or a session.
    pub(super) fn begun(&self, pending: Pending, options: Value) -> Ceremony {
        let id = secrets::token(&self.0.ground);
        self.0.ceremonies.begin(id.expose(), pending, self.now());
        Ceremony { id: id.expose().clone(), options }
    }

    /// The passkey that browsers name so, made for this place, and whose it is.
    async fn known(&self, credential_id: &[u8]) -> Answered<(Admin, Known)> {
        let mut tx = self.0.ground.read().await?;
        let stored = tx.admin_passkey(credential_id).await?.ok_or_else(not_accepted)?;
        let admin = tx.admin(&stored.admin).await?.ok_or_else(not_accepted)?;
        if !self.0.passkeys.usable(&stored) {
            return Err(not_accepted());
        }
        Ok((admin, passkeys::known(stored).ok_or_else(not_accepted)?))
    }

    /// The account of a name; what can't be a name is nobody's.
    async fn named(&self, name: &str) -> Answered<Option<Admin>> {
        let Ok(name) = name.parse::<AdminName>() else { return Ok(None) };
        Ok(self.0.ground.read().await?.admin_named(&name).await?)
    }

    /// Whose password and code these are. An unknown name takes as long as a known one.
    async fn with_password(
        &self,
        name: &str,
        password: &Secret<String>,
        code: &str,
    ) -> Answered<(Admin, Factor)> {
        let admin = self.named(name).await?;
        let stored = admin.as_ref().and_then(|admin| admin.password.as_ref());
        let right = self.0.passwords.verify(stored.map(|stored| stored.hash.as_str()), password).await?;
        let (Some(stored), true) = (stored, right) else {
            return self.metered(SignInFailure::Password, Err(wrong()));
        };
        let hash = stored.hash.clone();
        let step =
            TotpSecret::from_bytes(&stored.totp_secret).and_then(|totp| totp.step_of(code, self.now()));
        let factor = match (step, secrets::code_hash(code)) {
            (Some(step), _) => Factor::Code { hash, step },
            (None, Some(code)) => Factor::Recovery { hash: Some(hash), code },
            (None, None) => return self.metered(SignInFailure::Code, Err(wrong())),
        };
        Ok((admin.ok_or_else(wrong)?, factor))
    }
}
