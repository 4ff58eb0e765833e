//! `Session`: a device of an account, logged in. Its capabilities are the authorisation and end with it.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
};

use capnp_rpc::new_client;
use qpq_core::limits;
use qpq_schemas::client_capnp::{
    account, contacts, devices, directory, groups, key_packages, mailbox, session, session_grant,
};
use qpq_service::{Answered, SessionGrant, SessionHandle, UseCases};
use qpq_transport::CallPermit;
use tokio_util::sync::DropGuard;
use tracing::Span;

use crate::{
    account::AccountServer, call::Calls, contacts::ContactsServer, devices::DevicesServer,
    directory::DirectoryServer, groups::GroupsServer, key_packages::KeyPackagesServer, link::Link,
    mailbox::MailboxServer,
};

/// How many capabilities a session is: itself and its seven areas. Each exists once, however often it is asked for.
pub(crate) const CAPABILITIES: usize = 8;

/// What the capabilities of one session share.
pub(crate) struct Live {
    /// Its connection.
    pub(crate) link: Rc<Link>,
    /// Who calls.
    pub(crate) handle: SessionHandle,
    calls: Calls,
    /// The session's one subscription ends when this is replaced.
    subscription: Cell<Option<DropGuard>>,
    _held: Vec<CallPermit>,
}

impl Live {
    /// What may be asked for.
    pub(crate) fn cases(&self) -> &UseCases {
        &self.link.cases
    }

    /// Lets a call of this session in, if the session is still good, and runs it.
    pub(crate) async fn answer<T>(
        &self,
        span: Span,
        work: impl Future<Output = Answered<T>>,
    ) -> capnp::Result<Answered<T>> {
        let checked = async {
            self.handle.check(self.cases().ground.now())?;
            work.await
        };
        self.calls.answer(span, checked).await
    }

    /// A new subscription takes the place of the former one.
    pub(crate) fn replace_subscription(&self, guard: DropGuard) {
        drop(self.subscription.replace(Some(guard)));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.link.remove(&self.handle);
    }
}

/// Gives an opened session to the connection.
pub(crate) fn open(link: &Rc<Link>, handle: SessionHandle, held: Vec<CallPermit>) -> session::Client {
    link.add(handle.clone());
    let calls = link.calls.another(limits::CALLS_IN_FLIGHT);
    let live =
        Rc::new(Live { link: Rc::clone(link), handle, calls, subscription: Cell::new(None), _held: held });
    new_client(SessionServer { live, areas: Areas::default() })
}

/// Writes what the client keeps.
pub(crate) fn write_grant(grant: &SessionGrant, mut builder: session_grant::Builder<'_>) {
    builder.set_session(grant.session.as_bytes());
    builder.set_device(grant.device.as_bytes());
    builder.set_resumption_token(grant.resumption_token.expose());
    builder.set_resumption_expires_at(grant.resumption_expires_at.as_millis());
    builder.set_session_expires_at(grant.session_expires_at.as_millis());
    builder.set_incarnation(&grant.incarnation.to_bytes());
}

struct SessionServer {
    live: Rc<Live>,
    areas: Areas,
}

#[derive(Default)]
struct Areas {
    account: OnceCell<account::Client>,
    devices: OnceCell<devices::Client>,
    key_packages: OnceCell<key_packages::Client>,
    directory: OnceCell<directory::Client>,
    mailbox: OnceCell<mailbox::Client>,
    groups: OnceCell<groups::Client>,
    contacts: OnceCell<contacts::Client>,
}

/// The area's one capability, made when it is first asked for.
macro_rules! area {
    ($method:ident, $setter:ident, $params:ident, $results:ident, $server:ident) => {
        async fn $method(
            self: Rc<Self>,
            _: session::$params,
            mut results: session::$results,
        ) -> capnp::Result<()> {
            let client = self.areas.$method.get_or_init(|| new_client($server::new(Rc::clone(&self.live))));
            results.get().$setter(client.clone());
            Ok(())
        }
    };
}

impl session::Server for SessionServer {
    area!(account, set_account, AccountParams, AccountResults, AccountServer);
    area!(devices, set_devices, DevicesParams, DevicesResults, DevicesServer);
    area!(key_packages, set_key_packages, KeyPackagesParams, KeyPackagesResults, KeyPackagesServer);
    area!(directory, set_directory, DirectoryParams, DirectoryResults, DirectoryServer);
    area!(mailbox, set_mailbox, MailboxParams, MailboxResults, MailboxServer);
    area!(groups, set_groups, GroupsParams, GroupsResults, GroupsServer);
    area!(contacts, set_contacts, ContactsParams, ContactsResults, ContactsServer);
}
