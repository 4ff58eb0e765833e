//! Sessions: opened by registration and login, resumed with single-use tokens, listed, revoked.

mod live;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use qpq_core::{
    AccountId, Address, DeviceAddress, DeviceId, Digest, Domain, ErrorCode, Incarnation, Secret, SessionId,
    Timestamp,
};
use qpq_storage::{Ban, Resumed, Session, Stored, WriteTx};

pub use live::{LiveSessions, SessionEnd, SessionHandle};

use crate::{Answered, Effects, Ground, Refusal, WriteJob, accounts, bans};

/// The most sessions that one listing shows.
const LISTED: usize = 10_000;

/// What a client keeps of a session.
#[derive(Clone, Debug)]
pub struct SessionGrant {
    /// The session's id.
    pub session: SessionId,
    /// The device that it belongs to.
    pub device: DeviceId,
    /// Opens it again, once; the store has only its SHA-256.
    pub resumption_token: Secret<[u8; 32]>,
    /// Until when.
    pub resumption_expires_at: Timestamp,
    /// Calls fail afterwards: resume.
    pub session_expires_at: Timestamp,
    /// This life of the database.
    pub incarnation: Incarnation,
}

/// An open session: what the connection holds and what the client keeps.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What the connection holds.
    pub handle: SessionHandle,
    /// What the client keeps.
    pub grant: SessionGrant,
}

/// A session as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// Its device.
    pub device: DeviceAddress,
    /// Whether a connection holds it now.
    pub live: bool,
}

/// The use cases of sessions.
#[derive(Clone)]
pub struct Sessions {
    ground: Arc<Ground>,
    live: Arc<LiveSessions>,
}

impl Sessions {
    /// On this ground, nothing live yet.
    pub fn new(ground: Arc<Ground>) -> Self {
        Self { ground, live: Arc::default() }
    }

    /// Those that connections hold now.
    pub const fn live(&self) -> &Arc<LiveSessions> {
        &self.live
    }

    /// Opens a session with a resumption token, which is thereby used up. A client that has stored `next` already may
    /// choose it as its next token, so that an answer lost in a crash costs it nothing; else it is drawn here.
    pub async fn resume(&self, token: &[u8], next: Option<Secret<[u8; 32]>>) -> Answered<Opened> {
        let now = self.ground.now();
        let next = next.unwrap_or_else(|| Secret::new(self.ground.draw(|entropy| entropy.bytes32())));
        if next.expose().as_slice() == token {
            return Err(Refusal::malformed("`next` is the token that is used up"));
        }
        let resumable_until = now.after(self.ground.settings().resumption_lifetime);
        let job = Resume {
            live: Arc::clone(&self.live),
            domain: self.ground.domain().clone(),
            token: Digest::of(&[token]),
            next: Digest::of(&[next.expose()]),
            now,
            resumable_until,
            expires_at: now.after(self.ground.settings().session_lifetime),
            handle: None,
        };
        match self.ground.write(job).await? {
            Ok(handle) => Ok(self.opened(handle, next, resumable_until)),
            Err(NotResumed::Banned(ban)) => Err(bans::refusal(&ban, self.ground.domain())),
            Err(NotResumed::Expired) => {
                Err(Refusal::new(ErrorCode::SessionExpired, "the resumption token has expired: log in again"))
            }
            Err(NotResumed::Unknown) => Err(Refusal::new(
                ErrorCode::Revoked,
                "the resumption token was used before or revoked: log in again",
            )),
        }
    }

    /// Sessions of an account, or of all, newest first.
    pub async fn list(&self, of: Option<&Address>) -> Answered<Vec<SessionView>> {
        let mut tx = self.ground.read().await?;
        let account = match of {
            Some(address) => Some(accounts::find(&self.ground, tx.as_mut(), address).await?.id),
            None => None,
        };
        let mut views = Vec::new();
        for session in tx.sessions(account.as_ref(), LISTED).await? {
            if let Some(device) = tx.device(&session.device).await? {
                let live = self.live.is_live(&session.id);
                views.push(SessionView { session, device: device.certificate.device, live });
            }
        }
        Ok(views)
    }

    /// Ends a session: its token is worthless and its capabilities fail at once.
    pub async fn revoke(&self, id: SessionId) -> Answered<()> {
        let done = self.ground.write(self.revocation(id)).await?;
        if done { Ok(()) } else { Err(unknown(&id)) }
    }

    /// The job behind [`Sessions::revoke`], for whoever adds something to its transaction.
    pub(crate) fn revocation(&self, id: SessionId) -> RevokeSession {
        RevokeSession { live: Arc::clone(&self.live), id, done: false }
    }

    /// The job that ends all sessions of an account.
    pub(crate) async fn revocation_of_all(&self, of: &Address) -> Answered<RevokeAll> {
        let account = accounts::find(&self.ground, self.ground.read().await?.as_mut(), of).await?.id;
        Ok(RevokeAll { live: Arc::clone(&self.live), account, revoked: Vec::new() })
    }

    /// Draws what a new session needs; the rows are written by the job that opens it.
    pub(crate) fn prepare(&self, account: AccountId, device: &DeviceAddress, now: Timestamp) -> NewSession {
        let token = Secret::new(self.ground.draw(|entropy| entropy.bytes32()));
        let id = self.ground.draw(SessionId::random);
        let settings = self.ground.settings();
        let expires_at = now.after(settings.session_lifetime);
        NewSession {
            row: Session {
                id,
                account,
                device: device.device,
                opened_at: now,
                resumed_at: now,
                resumable_until: now.after(settings.resumption_lifetime),
            },
            token_hash: Digest::of(&[token.expose()]),
            token,
            handle: self.live.prepare(id, account, device.clone(), expires_at),
        }
    }

    /// The answer to whoever opened a session.
    pub(crate) fn opened(&self, handle: SessionHandle, token: Secret<[u8; 32]>, until: Timestamp) -> Opened {
        let grant = SessionGrant {
            session: handle.id(),
            device: handle.device().device,
            resumption_token: token,
            resumption_expires_at: until,
            session_expires_at: handle.expires_at(),
            incarnation: self.ground.incarnation(),
        };
        Opened { handle, grant }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("live", &self.live).finish_non_exhaustive()
    }
}

/// No such session.
pub(crate) fn unknown(id: &SessionId) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no session `{id}`"))
}

/// A session that is about to be opened.
pub(crate) struct NewSession {
    pub(crate) row: Session,
    pub(crate) token_hash: Digest,
    pub(crate) token: Secret<[u8; 32]>,
    pub(crate) handle: SessionHandle,
}

/// Why a session was not resumed.
enum NotResumed {
    Expired,
    Unknown,
    Banned(Ban),
}

struct Resume {
    live: Arc<LiveSessions>,
    domain: Domain,
    token: Digest,
    next: Digest,
    now: Timestamp,
    resumable_until: Timestamp,
    expires_at: Timestamp,
    handle: Option<SessionHandle>,
}

impl Resume {
    /// The ban of the token's user.
    async fn ban(&self, tx: &mut dyn WriteTx) -> Stored<Option<Ban>> {
        let Some(session) = tx.session_of_token(&self.token).await? else { return Ok(None) };
        let Some(account) = tx.account(&session.account).await? else { return Ok(None) };
        bans::of_user(tx, &Address::new(account.localpart, self.domain.clone()), self.now).await
    }
}

#[async_trait]
impl WriteJob for Resume {
    type Output = Result<SessionHandle, NotResumed>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        self.handle = None;
        // Looked at before the token is used up: it is as good as before when the ban ends.
        if let Some(ban) = self.ban(tx).await? {
            return Ok(Err(NotResumed::Banned(ban)));
        }
        let session = match tx.session_resume(&self.token, &self.next, self.now, self.resumable_until).await?
        {
            Resumed::Resumed(session) => session,
            Resumed::Expired => return Ok(Err(NotResumed::Expired)),
            Resumed::Unknown => return Ok(Err(NotResumed::Unknown)),
        };
        let Some(device) = tx.device(&session.device).await? else { return Ok(Err(NotResumed::Unknown)) };
        let device = device.certificate.device;
        let handle = self.live.prepare(session.id, session.account, device, self.expires_at);
        self.handle = Some(handle.clone());
        Ok(Ok(handle))
    }

    fn effects(&mut self) -> Effects {
        if let Some(handle) = &self.handle {
            self.live.hold(handle);
        }
        Effects::default()
    }
}

/// Ends one session; `false` if there was none.
pub(crate) struct RevokeSession {
    live: Arc<LiveSessions>,
    id: SessionId,
    done: bool,
}

#[async_trait]
impl WriteJob for RevokeSession {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        self.done = tx.session_revoke(&self.id).await?;
        Ok(self.done)
    }

    fn effects(&mut self) -> Effects {
        if self.done {
            self.live.end(&self.id, &SessionEnd::Revoked);
        }
        Effects::default()
    }
}

/// Ends all sessions of an account; how many there were.
pub(crate) struct RevokeAll {
    live: Arc<LiveSessions>,
    account: AccountId,
    revoked: Vec<SessionId>,
}

#[async_trait]
impl WriteJob for RevokeAll {
    type Output = usize;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<usize> {
        self.revoked.clear();
        for session in tx.sessions(Some(&self.account), LISTED).await? {
            if tx.session_revoke(&session.id).await? {
                self.revoked.push(session.id);
            }
        }
        Ok(self.revoked.len())
    }

    fn effects(&mut self) -> Effects {
        for id in &self.revoked {
            self.live.end(id, &SessionEnd::Revoked);
        }
        Effects::default()
    }
}

#[cfg(test)]
mod tests;
