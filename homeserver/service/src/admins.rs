//! Accounts of the console and how they sign in: one-time links, passkeys, password with TOTP, recovery codes,
//! sessions, and the proof that every change wants (docs/decisions/0021-how-admins-sign-in.md).
//!
//! What is here knows nothing of HTTP: it takes what a form or a script sent and answers with what to show. Ceremonies
//! of a few minutes (a passkey being made, a TOTP secret that is not confirmed yet) live in memory, bounded; everything
//! else is stored, secrets as hashes.

mod views;

use std::{fmt, sync::Arc};

use qpq_core::{ErrorCode, PasskeyId, RequestId, Secret};
use serde_json::Value;

pub use views::{
    Ceremony, ConsolePlace, LinkView, NewSession, OwnAccount, PasskeyView, SetupLink, SignedIn, TotpOffer,
    Visit, Welcome,
};

use crate::{Answered, Ground, Refusal};

/// The use cases of admins; cheap to clone.
#[derive(Clone)]
pub struct Admins(Arc<Parts>);

/// What they share.
struct Parts {
    ground: Arc<Ground>,
    place: ConsolePlace,
}

impl fmt::Debug for Admins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admins").field("place", &self.0.place).finish_non_exhaustive()
    }
}

fn soon<T>() -> Answered<T> {
    Err(Refusal::new(ErrorCode::Internal, "admins are not there yet"))
}

#[expect(clippy::unused_async, reason = "the store is asked next")]
impl Admins {
    /// On this ground, for browsers that find the console at this place.
    pub fn new(ground: Arc<Ground>, place: ConsolePlace) -> Answered<Self> {
        Ok(Self(Arc::new(Parts { ground, place })))
    }

    /// Where browsers find the console.
    pub fn place(&self) -> &ConsolePlace {
        &self.0.place
    }

    /// A fresh link for the first admin, which voids the one before; `None` once somebody can sign in.
    pub async fn first_run(&self) -> Answered<Option<SetupLink>> {
        drop(Arc::clone(&self.0.ground));
        soon()
    }

    /// What a link is for.
    pub async fn link(&self, _token: &str) -> Answered<LinkView> {
        soon()
    }

    /// Begins to make a passkey with a link.
    pub async fn begin_setup_passkey(&self, _token: &str, _name: &str) -> Answered<Ceremony> {
        soon()
    }

    /// Uses the link up: the passkey is stored and its owner signed in.
    pub async fn finish_setup_passkey(
        &self,
        _token: &str,
        _name: &str,
        _ceremony: &str,
        _answer: Value,
        _visit: &Visit,
    ) -> Answered<Welcome> {
        soon()
    }

    /// Offers a TOTP secret with a link.
    pub async fn begin_setup_password(&self, _token: &str) -> Answered<TotpOffer> {
        soon()
    }

    /// The same offer again, after a typing mistake.
    pub async fn setup_offer(&self, _token: &str, _offer: &str) -> Answered<TotpOffer> {
        soon()
    }

    /// Uses the link up: password and TOTP secret are stored and their owner signed in.
    pub async fn finish_setup_password(
        &self,
        _token: &str,
        _name: &str,
        _password: &Secret<String>,
        _offer: &str,
        _code: &str,
        _visit: &Visit,
    ) -> Answered<Welcome> {
        soon()
    }

    /// Begins a sign-in with whichever passkey the browser finds.
    pub async fn begin_sign_in(&self, _visit: &Visit) -> Answered<Ceremony> {
        soon()
    }

    /// Signs in with a passkey.
    pub async fn sign_in_passkey(
        &self,
        _ceremony: &str,
        _answer: Value,
        _visit: &Visit,
    ) -> Answered<NewSession> {
        soon()
    }

    /// Signs in with a password and six digits, or a recovery code instead of them.
    pub async fn sign_in_password(
        &self,
        _name: &str,
        _password: &Secret<String>,
        _code: &str,
        _visit: &Visit,
    ) -> Answered<NewSession> {
        soon()
    }

    /// Signs in with a recovery code alone: for accounts without a password whose passkey is lost.
    pub async fn sign_in_recovery(&self, _name: &str, _code: &str, _visit: &Visit) -> Answered<NewSession> {
        soon()
    }

    /// Who is signed in with this cookie; `None`: nobody, or not any more.
    pub async fn session(&self, _cookie: &str) -> Answered<Option<SignedIn>> {
        soon()
    }

    /// Ends a session.
    pub async fn sign_out(&self, _signed_in: &SignedIn) -> Answered<()> {
        soon()
    }

    /// Begins to prove with a passkey who is signed in.
    pub async fn begin_proof(&self, _signed_in: &SignedIn) -> Answered<Ceremony> {
        soon()
    }

    /// Proves it; the session gets a new id and cookie.
    pub async fn prove_passkey(
        &self,
        _signed_in: &SignedIn,
        _ceremony: &str,
        _answer: Value,
        _visit: &Visit,
    ) -> Answered<NewSession> {
        soon()
    }

    /// Proves with password and code who is signed in; the session gets a new id and cookie.
    pub async fn prove_password(
        &self,
        _signed_in: &SignedIn,
        _password: &Secret<String>,
        _code: &str,
        _visit: &Visit,
    ) -> Answered<NewSession> {
        soon()
    }

    /// What the signed-in admin has.
    pub async fn own(&self, _signed_in: &SignedIn) -> Answered<OwnAccount> {
        soon()
    }

    /// Begins to make another passkey.
    pub async fn begin_add_passkey(&self, _signed_in: &SignedIn) -> Answered<Ceremony> {
        soon()
    }

    /// Stores it.
    pub async fn add_passkey(
        &self,
        _signed_in: &SignedIn,
        _label: &str,
        _ceremony: &str,
        _answer: Value,
        _request: RequestId,
    ) -> Answered<()> {
        soon()
    }

    /// Removes a passkey; never the last factor.
    pub async fn remove_passkey(
        &self,
        _signed_in: &SignedIn,
        _id: PasskeyId,
        _request: RequestId,
    ) -> Answered<()> {
        soon()
    }

    /// Offers a TOTP secret for a new password.
    pub async fn begin_set_password(&self, _signed_in: &SignedIn) -> Answered<TotpOffer> {
        soon()
    }

    /// The same offer again, after a typing mistake.
    pub async fn own_offer(&self, _signed_in: &SignedIn, _offer: &str) -> Answered<TotpOffer> {
        soon()
    }

    /// Sets password and TOTP secret in place of those before.
    pub async fn set_password(
        &self,
        _signed_in: &SignedIn,
        _password: &Secret<String>,
        _offer: &str,
        _code: &str,
        _request: RequestId,
    ) -> Answered<()> {
        soon()
    }

    /// Makes new recovery codes in place of all that are left.
    pub async fn new_recovery_codes(
        &self,
        _signed_in: &SignedIn,
        _request: RequestId,
    ) -> Answered<Vec<String>> {
        soon()
    }
}
