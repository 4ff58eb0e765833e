//! Accounts, their devices and their sessions.

use async_trait::async_trait;
use qpq_core::{
    AccountId, DeviceCertificate, DeviceId, Digest, Domain, IdentityKey, Localpart, SessionId, Timestamp,
    TokenId,
};

use crate::{Ban, Page, Stored, Window};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id, never reused.
    pub id: AccountId,
    /// The part before the `@`.
    pub localpart: Localpart,
    /// OPAQUE's RegistrationRecord (RFC 9807, section 5.1), serialised.
    pub opaque_record: Vec<u8>,
    /// The identity key that signs its devices.
    pub identity_key: IdentityKey,
    /// The private identity key, encrypted by the client under OPAQUE's export key.
    pub sealed_identity: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A device of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its account.
    pub account: AccountId,
    /// The identity key's statement, with the device's address and signature key.
    pub certificate: DeviceCertificate,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// When it last opened a session.
    pub last_seen_at: Timestamp,
    /// When it was revoked; `None` while active.
    pub revoked_at: Option<Timestamp>,
}

impl Device {
    /// Whether a certificate says of an account what is stored: it is this device, with this signature key.
    pub fn fits(&self, account: &AccountId, certificate: &DeviceCertificate) -> bool {
        self.account == *account
            && self.certificate.device == certificate.device
            && self.certificate.signature_key == certificate.signature_key
    }
}

/// Another identity key of an account, with what it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rekey {
    /// The new identity key.
    pub identity_key: IdentityKey,
    /// Its private half, encrypted by the client under OPAQUE's export key.
    pub sealed_identity: Vec<u8>,
    /// The new key's statements about devices of the account.
    pub certificates: Vec<DeviceCertificate>,
}

/// A session of a device. The resumption token itself is never stored, only its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id; stays the same when the token is rotated.
    pub id: SessionId,
    /// Whose it is.
    pub account: AccountId,
    /// Which device's.
    pub device: DeviceId,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was last opened or resumed.
    pub resumed_at: Timestamp,
    /// Until when it can be resumed.
    pub resumable_until: Timestamp,
}

/// What came of making an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountCreated {
    /// Account and device exist.
    Created,
    /// The name is taken.
    NameTaken,
    /// The registration token is unknown, used up, expired or revoked.
    TokenRefused,
}

/// What came of a device presenting itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceEnrolled {
    /// A new device.
    New,
    /// The same device with the same key as before.
    Known,
    /// It was revoked before; revoked ids stay revoked.
    Revoked,
    /// The id exists with another key, or with another account.
    Taken,
    /// The account has the most devices allowed.
    TooMany,
}

/// What came of presenting a resumption token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// The session goes on; the new token's hash is stored instead of the old one.
    Resumed(Session),
    /// The token's time is over, or its session's.
    Expired,
    /// No such token: used before, revoked, or never issued.
    Unknown,
}

/// Which users a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserFilter {
    /// All.
    #[default]
    All,
    /// Those that are not banned.
    Active,
    /// Those that are.
    Banned,
}

/// In which order a list shows users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserSort {
    /// By name.
    #[default]
    Name,
    /// The newest account first.
    Created,
    /// Who was seen last comes first.
    Seen,
}

/// A part of the list of users.
#[derive(Clone, Copy, Debug)]
pub struct UsersQuery<'a> {
    /// This domain, which completes the names to addresses.
    pub domain: &'a Domain,
    /// Only addresses with this text in them; empty: all.
    pub search: &'a str,
    /// Which users.
    pub filter: UserFilter,
    /// In which order.
    pub sort: UserSort,
    /// The time by which bans are judged.
    pub now: Timestamp,
    /// Which part.
    pub window: Window,
}

/// A user in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLine {
    /// The account.
    pub id: AccountId,
    /// Its name.
    pub localpart: Localpart,
    /// When it was made.
    pub created_at: Timestamp,
    /// When one of its devices last opened a session.
    pub last_seen_at: Timestamp,
    /// How many active devices it has.
    pub devices: u64,
    /// The ban that counts now.
    pub ban: Option<Ban>,
}

/// Reads accounts, devices and sessions.
#[async_trait]
pub trait AccountsRead: Send {
    /// The account of a name.
    async fn account_named(&mut self, localpart: &Localpart) -> Stored<Option<Account>>;
    /// The account of an id.
    async fn account(&mut self, id: &AccountId) -> Stored<Option<Account>>;
    /// Accounts ordered by name, after `after`.
    async fn accounts(&mut self, after: Option<&Localpart>, limit: usize) -> Stored<Vec<Account>>;
    /// All devices of an account, oldest first, revoked ones included.
    async fn devices(&mut self, account: &AccountId) -> Stored<Vec<Device>>;
    /// One device.
    async fn device(&mut self, id: &DeviceId) -> Stored<Option<Device>>;
    /// All devices of the domain, oldest first, `limit` at most, after `after`.
    async fn all_devices(&mut self, after: Option<&DeviceId>, limit: usize) -> Stored<Vec<Device>>;
    /// A page of the users.
    async fn users(&mut self, query: &UsersQuery<'_>) -> Stored<Page<UserLine>>;
    /// The session whose resumption token has this SHA-256; looking uses nothing up.
    async fn session_of_token(&mut self, token: &Digest) -> Stored<Option<Session>>;
    /// One session; `None` once revoked.
    async fn session(&mut self, id: &SessionId) -> Stored<Option<Session>>;
    /// Sessions of an account, or of all, newest first, `limit` at most.
    async fn sessions(&mut self, account: Option<&AccountId>, limit: usize) -> Stored<Vec<Session>>;
}

/// Writes accounts, devices and sessions.
#[async_trait]
pub trait AccountsWrite: Send {
    /// Makes an account with its first device; takes one use of the registration token, if one is given, in the same
    /// transaction. The token is judged before the name.
    async fn account_create(
        &mut self,
        account: &Account,
        first: &Device,
        token: Option<&TokenId>,
    ) -> Stored<AccountCreated>;
    /// Gives an account another identity key, and each of its active devices that is named the certificate by that key;
    /// devices that are not named, and revoked ones, stay as they are. `false` if there is no such account.
    ///
    /// `Conflict` if a certificate is for a device that the account does not have, or says another address or signature
    /// key than the stored one.
    async fn account_rekey(&mut self, account: &AccountId, rekey: &Rekey) -> Stored<bool>;
    /// Deletes an account, its devices, sessions, KeyPackages, notices and feeds; `false` if there was none.
    /// Its memberships in groups end locally.
    async fn account_delete(&mut self, id: &AccountId) -> Stored<bool>;
    /// Adds a device, or finds it again, and then keeps the certificate that it came with; `most` counts active devices.
    async fn device_enrol(&mut self, device: &Device, most: usize) -> Stored<DeviceEnrolled>;
    /// Revokes a device: its sessions end, its KeyPackages, notices and feeds go. `false` if there was no active one.
    async fn device_revoke(&mut self, id: &DeviceId, now: Timestamp) -> Stored<bool>;
    /// Opens a session under the SHA-256 of its resumption token and notes that the device was seen.
    async fn session_open(&mut self, session: &Session, token: &Digest) -> Stored<()>;
    /// Uses up a resumption token and stores the next one's hash; `resumable_until` is the new end.
    async fn session_resume(
        &mut self,
        token: &Digest,
        next: &Digest,
        now: Timestamp,
        resumable_until: Timestamp,
    ) -> Stored<Resumed>;
    /// Ends a session; `false` if there was none.
    async fn session_revoke(&mut self, id: &SessionId) -> Stored<bool>;
    /// Ends sessions that can't be resumed any more; returns how many.
    async fn sessions_expire(&mut self, now: Timestamp) -> Stored<u64>;
}
