//! One device of one account: what all use cases share.

use std::{cell::RefCell, collections::HashMap, path::Path, rc::Rc, sync::Arc};

use qpq_core::{
    Address, Clock, DeviceId, GroupId, IdentityKey, MessageId, OsEntropy, Secret, SystemClock, Timestamp,
    opaque::Stretch,
};
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::{
    ClientError,
    error::Refusal,
    mls::{Device, Group, Suite},
    server::{Server, ServerAddress, Trust},
    session::Session,
    store::{Account, ServerTrust, Store, StoreError, Tx, Unlock},
};

/// How a client behaves; the default is right outside tests.
#[derive(Clone, Debug)]
pub struct Options {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How the password is stretched.
    pub stretch: Stretch,
    /// The cipher suite of an account that is made or logged in here.
    pub suite: Suite,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), stretch: Stretch::default(), suite: Suite::default() }
    }
}

/// One device of one account; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) inner: Rc<Inner>,
}

/// What the handles share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) options: Options,
    me: RefCell<Option<Rc<Me>>>,
    session: RefCell<Option<Session>>,
    work: Mutex<Work>,
    /// Held while queued messages go out, so that two flushes don't offer the same message twice.
    pub(crate) outbox: Mutex<()>,
    /// Held while the feeds are pulled.
    pub(crate) pulling: Mutex<()>,
    /// Fires when a message has come.
    pub(crate) news: Notify,
    /// Fires when something waits to go out.
    pub(crate) queued: Notify,
    /// When the identity keys of users were last looked at by this process.
    pub(crate) looked_at: RefCell<HashMap<Address, Timestamp>>,
    /// What is known of the members of groups; emptied where members or keys change.
    pub(crate) proofs: RefCell<HashMap<GroupId, (crate::trust::Proof, Timestamp)>>,
    /// Why messages that wait were not kept, in the homeserver's words.
    pub(crate) refusals: RefCell<HashMap<MessageId, Refusal>>,
    /// Why messages to these users wait.
    pub(crate) reasons: RefCell<HashMap<Address, String>>,
    /// Who asks a log holds its turn.
    pub(crate) logs: RefCell<crate::log::Turns>,
    /// Held while a connection is made: a resumption token works once.
    pub(crate) connecting: Mutex<()>,
    /// Whether a task keeps the connection; then nobody else dials.
    pub(crate) live: std::cell::Cell<bool>,
    /// For a new login when the session was revoked or expired.
    password: RefCell<Option<Secret<String>>>,
}

/// Who lives in this home.
#[derive(Debug)]
pub(crate) struct Me {
    pub(crate) account: Account,
    pub(crate) device: Device,
    pub(crate) server: Server,
}

impl Me {
    pub(crate) fn of(account: Account) -> Result<Self, ClientError> {
        let address: ServerAddress = account.server.parse()?;
        let trust = match &account.trust {
            ServerTrust::Pin(pin) => Trust::Pin(*pin),
            ServerTrust::Ca(pem) => Trust::Authorities(String::from_utf8_lossy(pem).into_owned()),
        };
        Ok(Self { device: account.device(), server: Server { address, trust }, account })
    }

    pub(crate) const fn address(&self) -> &Address {
        &self.account.address
    }
}

/// As the store keeps it.
pub(crate) fn stored_trust(trust: &Trust) -> ServerTrust {
    match trust {
        Trust::Pin(pin) => ServerTrust::Pin(*pin),
        Trust::Authorities(pem) => ServerTrust::Ca(pem.clone().into_bytes()),
    }
}

/// The groups in memory. Whoever changes one holds the lock, and saves it before letting go.
#[derive(Debug, Default)]
pub(crate) struct Work {
    groups: HashMap<GroupId, Group>,
}

/// A turn at the groups. Ended in any other way than by [`Turn::done`] (an error, a cancelled call), the groups
/// in memory are dropped and loaded again, because they may be ahead of what is stored.
pub(crate) struct Turn<'a> {
    work: MutexGuard<'a, Work>,
    done: bool,
}

impl Turn<'_> {
    /// The group, from memory or from the store.
    pub(crate) async fn group(
        &mut self,
        tx: &mut Tx<'_>,
        id: &GroupId,
    ) -> Result<Option<&mut Group>, ClientError> {
        if !self.work.groups.contains_key(id)
            && let Some(group) = tx.load_group(id).await?
        {
            self.work.groups.insert(id.clone(), group);
        }
        Ok(self.work.groups.get_mut(id))
    }

    /// Takes in a group that was just made or joined.
    pub(crate) fn put(&mut self, group: Group) {
        self.work.groups.insert(group.id().clone(), group);
    }

    /// Everything changed was committed.
    pub(crate) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.work.groups.clear();
        }
    }
}

/// The account and device of a home.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Whoami {
    /// The account's address.
    pub address: Address,
    /// This device.
    pub device: DeviceId,
    /// The account's identity key.
    pub identity_key: IdentityKey,
    /// The homeserver.
    pub server: String,
    /// Whether a session can be resumed.
    pub logged_in: bool,
    /// The TLS 1.3 group of the connection to the homeserver, if there is one now.
    pub key_exchange: Option<&'static str>,
}

impl Client {
    /// Opens a home that has an account, or had one begun.
    pub async fn open(home: &Path, unlock: Unlock<'_>, options: Options) -> Result<Self, ClientError> {
        let store = match Store::open(home, unlock).await {
            Err(StoreError::Missing { .. }) => return Err(ClientError::NoAccount),
            other => other?,
        };
        Self::on(store, options).await
    }

    /// Opens a home, making it if there is none: for registering and logging in.
    pub async fn create(home: &Path, unlock: Unlock<'_>, options: Options) -> Result<Self, ClientError> {
        Self::on(Store::create(home, unlock).await?, options).await
    }

    async fn on(store: Store, options: Options) -> Result<Self, ClientError> {
        let mut tx = store.begin().await?;
        let account = tx.account().await?;
        drop(tx);
        let me = account.map(Me::of).transpose()?.map(Rc::new);
        Ok(Self {
            inner: Rc::new(Inner {
                store,
                options,
                me: RefCell::new(me),
                session: RefCell::default(),
                work: Mutex::default(),
                outbox: Mutex::default(),
                pulling: Mutex::default(),
                news: Notify::new(),
                queued: Notify::new(),
                looked_at: RefCell::default(),
                proofs: RefCell::default(),
                refusals: RefCell::default(),
                reasons: RefCell::default(),
                logs: RefCell::default(),
                connecting: Mutex::default(),
                live: std::cell::Cell::new(false),
                password: RefCell::default(),
            }),
        })
    }

    /// Who lives here.
    pub async fn whoami(&self) -> Result<Whoami, ClientError> {
        let me = self.me()?;
        let mut tx = self.inner.store.begin().await?;
        let session = tx.session().await?;
        Ok(Whoami {
            address: me.address().clone(),
            device: me.account.certificate.device.device,
            identity_key: crate::identity::Identity::from_bytes(*me.account.identity.expose()).public(),
            server: me.account.server.clone(),
            logged_in: session.is_some_and(|session| session.resumption_expires_at > self.now()),
            key_exchange: self.session().ok().and_then(|session| session.link().key_exchange()),
        })
    }

    /// The account's address.
    pub fn address(&self) -> Result<Address, ClientError> {
        Ok(self.me()?.address().clone())
    }

    /// The token that opens the next session; who uses it, ends this home's chance to resume.
    pub async fn resumption_token(&self) -> Result<Secret<[u8; 32]>, ClientError> {
        let mut tx = self.inner.store.begin().await?;
        tx.session().await?.map(|session| session.token).ok_or(ClientError::NoAccount)
    }

    /// Keeps the password in memory, so that a long-lived client logs in again by itself when its
    /// session was revoked or has expired.
    pub fn remember_password(&self, password: Secret<String>) {
        *self.inner.password.borrow_mut() = Some(password);
    }

    pub(crate) fn password(&self) -> Option<Secret<String>> {
        self.inner.password.borrow().clone()
    }

    /// Closes the connection and the store. Other handles of this client must be gone for the store's tidy close.
    pub async fn close(self) {
        self.disconnect().await;
        for _ in 0..16 {
            if Rc::strong_count(&self.inner) == 1 {
                break;
            }
            // A task that was just told to end lets go of its handle at its next turn.
            tokio::task::yield_now().await;
        }
        if let Ok(inner) = Rc::try_unwrap(self.inner) {
            inner.store.close().await;
        }
    }

    /// Ends the connection; what is queued stays queued.
    pub async fn disconnect(&self) {
        let session = self.inner.session.borrow_mut().take();
        if let Some(session) = session {
            session.close().await;
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.options.clock.now()
    }

    #[expect(clippy::unused_self, reason = "randomness belongs to the client, wherever it comes from")]
    pub(crate) fn entropy(&self) -> Result<OsEntropy, ClientError> {
        OsEntropy::new().map_err(|error| ClientError::Setup { what: error.to_string() })
    }

    pub(crate) fn me(&self) -> Result<Rc<Me>, ClientError> {
        self.inner.me.borrow().clone().ok_or(ClientError::NoAccount)
    }

    pub(crate) fn set_me(&self, me: Me) {
        *self.inner.me.borrow_mut() = Some(Rc::new(me));
    }

    /// The live session.
    pub fn session(&self) -> Result<Session, ClientError> {
        match &*self.inner.session.borrow() {
            Some(session) if !session.link().is_closed() => Ok(session.clone()),
            _ => Err(ClientError::Disconnected { reason: String::from("not connected") }),
        }
    }

    pub(crate) fn set_session(&self, session: Session) {
        *self.inner.session.borrow_mut() = Some(session);
    }

    /// Waits for a turn at the groups.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn { work: self.inner.work.lock().await, done: false }
    }
}
