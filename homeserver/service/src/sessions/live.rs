//! The sessions that are held by a connection at this moment, so that revoking one ends its capabilities at once.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use qpq_core::{AccountId, DeviceAddress, DeviceId, ErrorCode, SessionId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{Answered, Refusal};

/// Why a live session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// Its time is over: resume.
    Expired,
    /// It, its device or its account was revoked.
    Revoked,
    /// It was resumed on another connection.
    Resumed,
    /// Its user was banned, with these words.
    Banned(Arc<str>),
}

/// A device of an account, logged in on a connection. Cheap to clone; all clones end together.
#[derive(Clone)]
pub struct SessionHandle(Arc<Live>);

struct Live {
    id: SessionId,
    account: AccountId,
    device: DeviceAddress,
    expires_at: Timestamp,
    ended: CancellationToken,
    why: OnceLock<SessionEnd>,
    registry: Weak<LiveSessions>,
}

impl SessionHandle {
    /// The session's id; stays the same when it is resumed.
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// Whose it is.
    pub fn account(&self) -> AccountId {
        self.0.account
    }

    /// Which device's: the sender of everything that comes through it.
    pub fn device(&self) -> &DeviceAddress {
        &self.0.device
    }

    /// When it must be resumed.
    pub fn expires_at(&self) -> Timestamp {
        self.0.expires_at
    }

    /// Cancelled when the session ends.
    pub fn ended(&self) -> &CancellationToken {
        &self.0.ended
    }

    /// Why it ended, once it has.
    pub fn why(&self) -> Option<SessionEnd> {
        self.0.why.get().cloned()
    }

    /// Whether it may still be used; asked at the start of each call.
    pub fn check(&self, now: Timestamp) -> Answered<()> {
        if now >= self.expires_at() {
            self.0.end(&SessionEnd::Expired);
        }
        match self.why() {
            None => Ok(()),
            Some(SessionEnd::Expired) => Err(Refusal::new(
                ErrorCode::SessionExpired,
                "the session has expired: resume it, or log in again",
            )),
            Some(SessionEnd::Revoked) => {
                Err(Refusal::new(ErrorCode::Revoked, "the session or its device was revoked: log in again"))
            }
            Some(SessionEnd::Banned(words)) => Err(Refusal::new(ErrorCode::Banned, &*words)),
            Some(SessionEnd::Resumed) => {
                Err(Refusal::new(ErrorCode::Revoked, "the session was resumed on another connection"))
            }
        }
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle")
            .field("id", &self.id())
            .field("why", &self.why())
            .finish_non_exhaustive()
    }
}

impl Live {
    fn end(&self, why: &SessionEnd) {
        // The first reason stays.
        if self.why.set(why.clone()).is_ok() {
            self.ended.cancel();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            let mut held = registry.lock();
            if held.get(&self.id).is_some_and(|other| std::ptr::eq(other.as_ptr(), self)) {
                held.remove(&self.id);
            }
        }
    }
}

/// All live sessions; at most one connection holds each.
#[derive(Default)]
pub struct LiveSessions {
    held: Mutex<HashMap<SessionId, Weak<Live>>>,
}

impl LiveSessions {
    /// Makes a handle that nobody can end yet; [`LiveSessions::hold`] follows when the session is durable.
    pub(crate) fn prepare(
        self: &Arc<Self>,
        id: SessionId,
        account: AccountId,
        device: DeviceAddress,
        expires_at: Timestamp,
    ) -> SessionHandle {
        SessionHandle(Arc::new(Live {
            id,
            account,
            device,
            expires_at,
            ended: CancellationToken::new(),
            why: OnceLock::new(),
            registry: Arc::downgrade(self),
        }))
    }

    /// From now on the session can be ended. Called as effect of the commit that opened it: effects run in the order
    /// of the commits, so a revocation can't slip in between.
    pub(crate) fn hold(&self, handle: &SessionHandle) {
        let former =
            self.lock().insert(handle.id(), Arc::downgrade(&handle.0)).and_then(|weak| weak.upgrade());
        if let Some(former) = former {
            former.end(&SessionEnd::Resumed);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// How many of an account's there are.
    pub(crate) fn count_of(&self, account: &AccountId) -> usize {
        // As in `end_where`: what is upgraded under the lock is dropped after it.
        let all: Vec<Arc<Live>> = self.lock().values().filter_map(Weak::upgrade).collect();
        all.iter().filter(|live| live.account == *account && live.why.get().is_none()).count()
    }

    /// Whether a connection holds this session now.
    pub fn is_live(&self, id: &SessionId) -> bool {
        self.lock().contains_key(id)
    }

    /// Ends one session.
    pub(crate) fn end(&self, id: &SessionId, why: &SessionEnd) {
        self.end_where(why, |live| live.id == *id);
    }

    /// Ends the sessions of a device.
    pub(crate) fn end_device(&self, device: &DeviceId, why: &SessionEnd) {
        self.end_where(why, |live| live.device.device == *device);
    }

    /// Ends the sessions of an account.
    pub(crate) fn end_account(&self, account: &AccountId, why: &SessionEnd) {
        self.end_where(why, |live| live.account == *account);
    }

    /// Ends those whose time is over.
    pub(crate) fn expire(&self, now: Timestamp) {
        self.end_where(&SessionEnd::Expired, |live| now >= live.expires_at);
    }

    fn end_where(&self, why: &SessionEnd, which: impl Fn(&Live) -> bool) {
        // Upgraded handles are dropped after the lock: dropping the last one takes the lock itself.
        let all: Vec<Arc<Live>> = self.lock().values().filter_map(Weak::upgrade).collect();
        for live in all.iter().filter(|live| which(live)) {
            live.end(why);
        }
    }

    /// No change is ever half done under this lock, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Weak<Live>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LiveSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveSessions").field("count", &self.count()).finish()
    }
}
