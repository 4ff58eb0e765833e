//! The admin socket: a Unix socket on which the owner of the process acts on the running homeserver.
//!
//! File permissions keep others out (0600 in a directory of 0700); the uid of the other end is checked all the same,
//! because permissions can be loosened by hand. It is also the actor that the audit row names.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixListener as StdListener,
    },
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use capnp_rpc::new_client;
use qpq_core::ErrorCode;
use qpq_schemas::admin_capnp::admin;
use qpq_service::{Actions, Caller, Refusal, request, wire};
use qpq_transport::{Rpc, RpcLimits};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::spawn_local,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::call::{Calls, call_span, or_fail, read};

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 8;
/// Calls in flight on each of them.
const CALLS: usize = 4;
/// A connection that lasts longer is ended: a verb is one call.
const LIFETIME: Duration = Duration::from_mins(2);
/// After a failed accept (out of file descriptors) it is tried again after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// The longest arguments, in bytes.
const ARGUMENT_BYTES: usize = 64 * 1024;

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
#[error("could not {what} the admin socket `{path}`", path = .path.display())]
pub struct AdminSocketError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The bound socket; its file is removed when it is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: StdListener,
    file: SocketFile,
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A leftover is harmless: the next start removes it.
        fs::remove_file(&self.0).ok();
    }
}

impl AdminSocket {
    /// Binds the socket. The caller holds the data directory's lock, so a socket that is there already is stale.
    pub fn bind(path: &Path) -> Result<Self, AdminSocketError> {
        let fault = |what| move |source| AdminSocketError { what, path: path.to_owned(), source };
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(path).map_err(fault("replace"))?;
        }
        let listener = StdListener::bind(path).map_err(fault("bind"))?;
        let file = SocketFile(path.to_owned());
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(fault("protect"))?;
        listener.set_nonblocking(true).map_err(fault("prepare"))?;
        Ok(Self { listener, file })
    }

    /// Performs what comes, until `stop`; what is in flight then is finished. Runs on a `LocalSet`
    /// (`Workers::spawn`).
    pub async fn serve(self, actions: Arc<Actions>, stop: CancellationToken) -> Result<(), AdminSocketError> {
        let Self { listener, file } = self;
        let listener = UnixListener::from_std(listener).map_err(|source| AdminSocketError {
            what: "listen on",
            path: file.0.clone(),
            source,
        })?;
        let (room, tasks) = (Arc::new(Semaphore::new(CONNECTIONS)), TaskTracker::new());
        let accept = async {
            // The semaphore is never closed.
            while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let serving = serve_connection(stream, Arc::clone(&actions), stop.clone());
                        drop(spawn_local(tasks.track_future(async move {
                            serving.await;
                            drop(permit);
                        })));
                    }
                    Err(error) => {
                        warn!(%error, "could not accept on the admin socket, will try again");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(accept).await;
        drop(listener);
        tasks.close();
        tasks.wait().await;
        Ok(())
    }
}

/// Binds and serves in one.
pub async fn serve_admin(
    path: &Path,
    actions: Arc<Actions>,
    stop: CancellationToken,
) -> Result<(), AdminSocketError> {
    AdminSocket::bind(path)?.serve(actions, stop).await
}

async fn serve_connection(stream: UnixStream, actions: Arc<Actions>, stop: CancellationToken) {
    let Some(uid) = trusted_uid(&stream) else { return };
    let calls = Calls::new(CALLS, stop, Arc::clone(actions.ground()));
    let server = AdminServer { actions, uid, calls: calls.clone() };
    let client: admin::Client = new_client(server);
    let (reader, writer) = stream.into_split();
    let rpc = Rpc::answering(reader, writer, client.client, RpcLimits::admin());
    let disconnector = rpc.disconnector();
    let leave = async {
        timeout(LIFETIME, calls.drained()).await.ok();
        disconnector.await.ok();
    };
    // Whoever left says nothing more; a fault was sent to the other side and matters to nobody else.
    tokio::select! {
        ended = rpc.run() => if let Err(fault) = ended { debug!(%fault, "an admin connection failed") },
        () = leave => (),
    }
}

/// The uid of the other end if it may act here: our own, or root.
fn trusted_uid(stream: &UnixStream) -> Option<u32> {
    // Not rustix' call: its process id can't be 0, which is what a client in another container's namespace has.
    let uid = match stream.peer_cred() {
        Ok(other) => other.uid(),
        Err(error) => {
            warn!(%error, "could not learn who connected to the admin socket, refused");
            return None;
        }
    };
    if uid == 0 || uid == rustix::process::geteuid().as_raw() {
        return Some(uid);
    }
    warn!(uid, "another user connected to the admin socket, refused");
    None
}

struct AdminServer {
    actions: Arc<Actions>,
    uid: u32,
    calls: Calls,
}

impl admin::Server for AdminServer {
    async fn perform(
        self: Rc<Self>,
        params: admin::PerformParams,
        mut results: admin::PerformResults,
    ) -> capnp::Result<()> {
        let work = async {
            let params = read!(params)?;
            let verb = wire::text("verb", params.get_verb())?;
            let arguments = params.get_arguments().map_err(wire::unreadable)?;
            let arguments = arguments.to_str().map_err(wire::unreadable)?;
            if arguments.len() > ARGUMENT_BYTES {
                let text = format!("`arguments` has more than {ARGUMENT_BYTES} bytes");
                return Err(Refusal::new(ErrorCode::TooLarge, text));
            }
            let request = request::current().unwrap_or_else(|| self.actions.new_request());
            let caller = Caller::uid(self.uid, request);
            self.actions.perform(&caller, verb, arguments).await
        };
        let result = or_fail!(self.calls.answer(call_span!("rpc.admin.perform"), work).await?, results);
        results.get().set_result(&result);
        Ok(())
    }
}
