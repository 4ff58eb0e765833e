//! Who may use the console: accounts, what they prove themselves with, one-time links, and signed-in browsers.
//!
//! Secrets that we make (links, cookies, recovery codes) are random and stored as their SHA-256 only; a password is
//! stored as its Argon2id hash. The TOTP secret must be read to check a code, so it is stored as it is.

mod link;
mod name;
mod role;
mod session;

use std::fmt;

use async_trait::async_trait;
use qpq_core::{AdminId, ConsoleSessionId, Digest, PasskeyId, Timestamp};

pub use link::{AdminLink, LinkPurpose, PurposeError};
pub use name::{AdminName, AdminNameError};
pub use role::{AdminRole, RoleError};
pub use session::{ConsoleSession, SessionLife};

use crate::Stored;

/// An account of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Its id; passkeys carry it.
    pub id: AdminId,
    /// Its name, unique.
    pub name: AdminName,
    /// What it may do.
    pub role: AdminRole,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it last signed in.
    pub last_sign_in_at: Option<Timestamp>,
    /// Its password with the second factor, if it has one.
    pub password: Option<AdminPassword>,
}

/// A password and the second factor that always goes with it.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminPassword {
    /// Argon2id in PHC form.
    pub hash: String,
    /// The TOTP secret.
    pub totp_secret: Vec<u8>,
    /// The step of the last code that was used; it and those before it are void.
    pub last_step: u64,
}

impl fmt::Debug for AdminPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminPassword").field("last_step", &self.last_step).finish_non_exhaustive()
    }
}

/// A passkey of an admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminPasskey {
    /// Its public name.
    pub id: PasskeyId,
    /// Whose it is.
    pub admin: AdminId,
    /// The credential id by which browsers name it.
    pub credential_id: Vec<u8>,
    /// What its owner calls it.
    pub label: String,
    /// The relying party it was made for; it works nowhere else.
    pub rp_id: String,
    /// Public key and counter, as the WebAuthn library writes them.
    pub credential: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

/// An account in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminLine {
    /// The account.
    pub admin: Admin,
    /// How many passkeys it has.
    pub passkeys: u64,
    /// How many recovery codes are left.
    pub recovery_codes: u64,
    /// How many browsers are signed in.
    pub sessions: u64,
}

impl AdminLine {
    /// Whether somebody can sign in with it: it has a factor of its own.
    pub const fn is_enrolled(&self) -> bool {
        self.passkeys > 0 || self.admin.password.is_some()
    }
}

/// Reads admins.
#[async_trait]
pub trait AdminsRead: Send {
    /// An account.
    async fn admin(&mut self, id: &AdminId) -> Stored<Option<Admin>>;
    /// The account of a name.
    async fn admin_named(&mut self, name: &AdminName) -> Stored<Option<Admin>>;
    /// All accounts by name; sessions are counted that live.
    async fn admins(&mut self, life: &SessionLife) -> Stored<Vec<AdminLine>>;
    /// An account's passkeys, the oldest first.
    async fn admin_passkeys(&mut self, admin: &AdminId) -> Stored<Vec<AdminPasskey>>;
    /// The passkey that browsers name so.
    async fn admin_passkey(&mut self, credential_id: &[u8]) -> Stored<Option<AdminPasskey>>;
    /// How many recovery codes an account has left.
    async fn admin_recovery_codes(&mut self, admin: &AdminId) -> Stored<u64>;
    /// The link whose token has this SHA-256, be its time over or not.
    async fn admin_link(&mut self, token: &Digest) -> Stored<Option<AdminLink>>;
    /// The session whose cookie has this SHA-256, if it lives.
    async fn console_session(
        &mut self,
        cookie: &Digest,
        life: &SessionLife,
    ) -> Stored<Option<ConsoleSession>>;
    /// The sessions of an account, or of all, that live; the newest first.
    async fn console_sessions(
        &mut self,
        admin: Option<&AdminId>,
        life: &SessionLife,
    ) -> Stored<Vec<ConsoleSession>>;
}

/// Writes admins.
#[async_trait]
pub trait AdminsWrite: Send {
    /// Adds an account; `false` if the name is taken.
    async fn admin_create(&mut self, admin: &Admin) -> Stored<bool>;
    /// Removes an account with all it has; `false` if there is none.
    async fn admin_remove(&mut self, id: &AdminId) -> Stored<bool>;
    /// Gives an account another role.
    async fn admin_role_set(&mut self, id: &AdminId, role: AdminRole) -> Stored<()>;
    /// Notes that an account signed in.
    async fn admin_signed_in(&mut self, id: &AdminId, at: Timestamp) -> Stored<()>;
    /// Sets the password and its second factor in place of what was there.
    async fn admin_password_set(&mut self, id: &AdminId, password: &AdminPassword) -> Stored<()>;
    /// Uses a TOTP step up; `false` if it, or a later one, was used before. `present` is the step of the time now: a
    /// last step far ahead of it was noted before the clock was set back, and doesn't count.
    async fn admin_totp_take(&mut self, id: &AdminId, step: u64, present: u64) -> Stored<bool>;
    /// Adds a passkey; `false` if its credential id is known already.
    async fn admin_passkey_add(&mut self, passkey: &AdminPasskey) -> Stored<bool>;
    /// Notes that a passkey was used, and what the library keeps of it since.
    async fn admin_passkey_used(&mut self, id: &PasskeyId, credential: &str, at: Timestamp) -> Stored<()>;
    /// Removes a passkey of an account; `false` if it has no such passkey.
    async fn admin_passkey_remove(&mut self, admin: &AdminId, id: &PasskeyId) -> Stored<bool>;
    /// Takes all passkeys, the password and the recovery codes away.
    async fn admin_factors_clear(&mut self, id: &AdminId) -> Stored<()>;
    /// Puts new recovery codes in place of all that are left.
    async fn admin_recovery_codes_set(&mut self, id: &AdminId, codes: &[Digest]) -> Stored<()>;
    /// Uses a recovery code up; `false` if the account has no such code.
    async fn admin_recovery_code_take(&mut self, id: &AdminId, code: &Digest) -> Stored<bool>;
    /// Stores a link; it takes the place of the account's former one, or of the former link for the first admin.
    async fn admin_link_store(&mut self, link: &AdminLink, token: &Digest) -> Stored<()>;
    /// Uses a link up and returns it; `None` if there is none or its time is over.
    async fn admin_link_take(&mut self, token: &Digest, now: Timestamp) -> Stored<Option<AdminLink>>;
    /// Voids the link of an account, or with `None` the link for the first admin.
    async fn admin_link_void(&mut self, admin: Option<&AdminId>) -> Stored<()>;
    /// Opens a session under the SHA-256 of its cookie.
    async fn console_session_open(&mut self, session: &ConsoleSession, cookie: &Digest) -> Stored<()>;
    /// Notes that a session was used.
    async fn console_session_seen(&mut self, id: &ConsoleSessionId, at: Timestamp) -> Stored<()>;
    /// Ends a session; `false` if there is none.
    async fn console_session_end(&mut self, id: &ConsoleSessionId) -> Stored<bool>;
    /// Ends an account's sessions but this one; returns how many.
    async fn console_sessions_end(
        &mut self,
        admin: &AdminId,
        besides: Option<&ConsoleSessionId>,
    ) -> Stored<u64>;
    /// Forgets the sessions and links whose time is over; returns how many.
    async fn console_expire(&mut self, life: &SessionLife) -> Stored<u64>;
}
