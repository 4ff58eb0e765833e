//! What goes in and comes out: places, visits, links, ceremonies, sessions, one's own account.

use qpq_core::{AdminId, ConsoleSessionId, PasskeyId, RequestId, Secret, Timestamp};
use qpq_storage::{AdminRole, LinkPurpose};
use serde_json::Value;

use crate::{Actor, Caller, Proof, SourceNetwork};

/// Where browsers find the console; passkeys are bound to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsolePlace {
    /// Scheme, name and port: `http://localhost:7445`, `https://admin.alpha.example`.
    pub origin: String,
    /// The name that passkeys are made for: `localhost`, or the name in the origin.
    pub rp_id: String,
    /// The domain whose console it is; authenticators show it.
    pub domain: String,
}

/// Who visits: what limits and the list of sessions know of a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// What wrong attempts are counted by.
    pub network: SourceNetwork,
    /// What the list of sessions shows.
    pub address: String,
    /// What the browser calls itself, at most 200 characters.
    pub agent: String,
    /// The request.
    pub request: RequestId,
}

/// A one-time link, shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct SetupLink {
    /// What to open.
    pub url: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for SetupLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetupLink").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What a link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// Its purpose.
    pub purpose: LinkPurpose,
    /// Whose it is; `None`: the first admin chooses a name.
    pub name: Option<String>,
    /// What the account may do.
    pub role: AdminRole,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Something that the browser's authenticator is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Ceremony {
    /// Comes back with the answer.
    pub id: String,
    /// For `navigator.credentials.create` or `.get`, in WebAuthn's JSON form: `{"publicKey": {…}}`.
    pub options: Value,
}

/// A TOTP secret that is not stored before a code of it was seen.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpOffer {
    /// Comes back with the code.
    pub id: String,
    /// For the QR code: `otpauth://totp/…`.
    pub uri: String,
    /// For typing: base32 in groups of four.
    pub secret: String,
}

impl std::fmt::Debug for TotpOffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TotpOffer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A session that was opened just now.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The cookie; the store has only its SHA-256.
    pub cookie: Secret<String>,
    /// Whose it is.
    pub signed_in: SignedIn,
}

/// What somebody gets who has used a link up.
#[derive(Clone)]
pub struct Welcome {
    /// They are signed in.
    pub session: NewSession,
    /// Shown once.
    pub recovery_codes: Vec<String>,
}

impl std::fmt::Debug for Welcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Welcome").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A signed-in admin.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The session.
    pub session: ConsoleSessionId,
    /// The admin.
    pub admin: AdminId,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: AdminRole,
    /// When they last proved who they are.
    pub proved_at: Timestamp,
    /// In every form of theirs; derived from the cookie.
    pub form_token: String,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn")
            .field("session", &self.session)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("proved_at", &self.proved_at)
            .finish_non_exhaustive()
    }
}

impl SignedIn {
    /// As the caller of an action.
    pub fn caller(&self, request: RequestId) -> Caller {
        Caller {
            actor: Actor::Admin { id: self.admin, name: self.name.clone() },
            role: self.role,
            proof: Proof::At(self.proved_at),
            request,
        }
    }
}

/// What the signed-in admin has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAccount {
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: AdminRole,
    /// Their passkeys, the oldest first.
    pub passkeys: Vec<PasskeyView>,
    /// Whether there is a password.
    pub password: bool,
    /// Whether a second factor goes with it.
    pub totp: bool,
    /// Recovery codes that are left.
    pub recovery_codes_left: u64,
}

/// A passkey as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyView {
    /// Its id.
    pub id: PasskeyId,
    /// What its owner calls it.
    pub label: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// Whether it works where the console is now.
    pub usable_here: bool,
}
