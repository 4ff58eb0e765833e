//! What the capabilities of one client connection share, all on its worker thread.

use std::{cell::RefCell, pin::pin, rc::Rc, sync::Arc};

use qpq_core::{ErrorCode, limits};
use qpq_service::{Answered, Refusal, SessionEnd, SessionHandle, SourceNetwork, UseCases};
use qpq_transport::{CallGate, CallPermit, CloseCode, WorkerContext};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::call::Calls;

/// Calls in flight of a connection outside of any session: enough for a login, too few for anything else.
const CALLS_BEFORE_LOGIN: usize = 8;

/// One client connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// What may be asked for.
    pub(crate) cases: UseCases,
    /// The network that it comes from, as rates count it.
    pub(crate) source: SourceNetwork,
    /// Fires when the process says that it will stop, which may be a while before it does.
    pub(crate) announced: CancellationToken,
    /// The worker that it lives on.
    pub(crate) context: WorkerContext,
    /// Calls outside of sessions.
    pub(crate) calls: Calls,
    /// Fires when the connection has ended.
    pub(crate) ended: CancellationToken,
    exported: CallGate,
    sessions: RefCell<Vec<SessionHandle>>,
    changed: Notify,
}

impl Link {
    pub(crate) fn new(
        cases: UseCases,
        source: SourceNetwork,
        announced: CancellationToken,
        context: WorkerContext,
    ) -> Rc<Self> {
        let calls = Calls::new(CALLS_BEFORE_LOGIN, context.stopping().clone(), Arc::clone(&cases.ground));
        Rc::new(Self {
            cases,
            source,
            announced,
            calls,
            context,
            ended: CancellationToken::new(),
            exported: CallGate::new(limits::EXPORTED_CAPABILITIES),
            sessions: RefCell::default(),
            changed: Notify::new(),
        })
    }

    /// Room for capabilities that the client will hold until it releases them.
    pub(crate) fn export(&self, count: usize) -> Answered<Vec<CallPermit>> {
        (0..count).map(|_| self.exported.try_enter()).collect::<Option<_>>().ok_or_else(|| {
            Refusal::new(
                ErrorCode::Overloaded,
                "this connection holds too many capabilities: release some, or connect again",
            )
        })
    }

    /// A session was opened on this connection.
    pub(crate) fn add(&self, session: SessionHandle) {
        self.sessions.borrow_mut().push(session);
        self.changed.notify_one();
    }

    /// The client has released all capabilities of a session.
    pub(crate) fn remove(&self, session: &SessionHandle) {
        self.sessions.borrow_mut().retain(|held| held.id() != session.id() || held.why() != session.why());
        self.changed.notify_one();
    }

    /// Waits until the connection has had no live session for the time that a login may take, or until its user was
    /// banned; says what to close with.
    pub(crate) async fn abandoned(&self) -> (CloseCode, String) {
        let mut last_end = None;
        loop {
            while let Some(session) = self.live() {
                tokio::select! {
                    () = session.ended().cancelled() => (),
                    () = self.changed.notified() => (),
                }
                last_end = session.why().or(last_end);
            }
            // Whoever waits for what is pushed makes no call that could tell them.
            if let Some(SessionEnd::Banned(words)) = &last_end {
                return (CloseCode::Revoked, words.as_ref().to_owned());
            }
            let mut deadline = pin!(tokio::time::sleep(limits::LOGIN_DEADLINE.to_duration()));
            while self.live().is_none() {
                tokio::select! {
                    () = &mut deadline => {
                        let (code, words) = match last_end {
                            Some(SessionEnd::Revoked) => (CloseCode::Revoked, "the session was revoked"),
                            Some(SessionEnd::Banned(_) | SessionEnd::Expired | SessionEnd::Resumed) | None => {
                                (CloseCode::Deadline, "no login in time")
                            }
                        };
                        return (code, words.to_owned());
                    },
                    () = self.changed.notified() => (),
                }
            }
        }
    }

    fn live(&self) -> Option<SessionHandle> {
        self.sessions.borrow().iter().find(|session| session.why().is_none()).cloned()
    }
}
