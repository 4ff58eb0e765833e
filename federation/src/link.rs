//! A link that is up: calls from anywhere in the process, performed on the thread where its capabilities live.

use std::{fmt, pin::pin, time::Duration};

use futures::{StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use qpq_core::{Millis, RequestId};
use qpq_federation_proto::Presented;
use qpq_metrics::{Direction, Metrics, Outcome};
use qpq_schemas::federation_capnp::link;
use qpq_service::{Refusal, request};
use qpq_transport::{CloseCode, Connection};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use crate::{core::Core, introduction::Claims};

/// Calls on their way over one link at once; further ones wait.
const CALLS: usize = 32;

/// Who dialled a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialled {
    ByUs,
    ByThem,
}

/// What travels with a call beside what is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The request that it is made for.
    pub(crate) request: Option<RequestId>,
    /// How long its caller still waits.
    pub(crate) left: Option<Duration>,
}

/// A call, to be made on the link's thread.
type Job = Box<dyn FnOnce(link::Client) -> LocalBoxFuture<'static, ()> + Send>;

/// A link that is up. Clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct LinkHandle {
    connection: Connection,
    dialled: Dialled,
    claims: Claims,
    jobs: mpsc::Sender<Job>,
    metrics: Metrics,
}

/// Why a call brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The link broke; the call may be repeated over another.
    Lost,
    /// No answer in time.
    Deadline,
    /// Too much is going on over there.
    Overloaded(Millis),
    /// It was answered, and refused.
    Refused(Refusal),
    /// The answer makes no sense.
    Nonsense(String),
}

impl CallError {
    /// As it is counted.
    const fn outcome(&self) -> Outcome {
        match self {
            Self::Overloaded(_) => Outcome::Later,
            Self::Refused(refusal) => Outcome::of(Some(refusal.code)),
            Self::Lost | Self::Deadline | Self::Nonsense(_) => Outcome::Failed,
        }
    }
}

impl From<capnp::Error> for CallError {
    fn from(error: capnp::Error) -> Self {
        match error.kind {
            capnp::ErrorKind::Disconnected => Self::Lost,
            capnp::ErrorKind::Overloaded => Self::Overloaded(Millis::from_secs(1)),
            // Text of a peer: bounded, and nothing that could play with a terminal.
            _ => Self::Nonsense(error.extra.chars().filter(|c| !c.is_control()).take(200).collect()),
        }
    }
}

impl From<Refusal> for CallError {
    /// What can't be read in an answer.
    fn from(refusal: Refusal) -> Self {
        Self::Nonsense(refusal.text)
    }
}

impl fmt::Debug for LinkHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkHandle")
            .field("id", &self.id())
            .field("dialled", &self.dialled)
            .finish_non_exhaustive()
    }
}

impl LinkHandle {
    /// A handle, and the task that performs its calls on this thread.
    pub(crate) fn new(
        connection: Connection,
        client: link::Client,
        dialled: Dialled,
        claims: Claims,
        metrics: Metrics,
    ) -> (Self, impl Future<Output = ()> + 'static) {
        let (jobs, waiting) = mpsc::channel(CALLS);
        let task = perform(connection.clone(), client, waiting);
        (Self { connection, dialled, claims, jobs, metrics }, task)
    }

    /// Its number in this process.
    pub(crate) fn id(&self) -> usize {
        self.connection.id()
    }

    pub(crate) const fn dialled(&self) -> Dialled {
        self.dialled
    }

    /// What the peer claimed when the link came up.
    pub(crate) const fn claims(&self) -> Claims {
        self.claims
    }

    pub(crate) fn is_up(&self) -> bool {
        !self.connection.is_closed() && !self.jobs.is_closed()
    }

    pub(crate) fn key_exchange(&self) -> Option<&'static str> {
        self.connection.key_exchange()
    }

    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        self.connection.close(code, reason);
    }

    /// Waits for its end and tells why.
    pub(crate) async fn closed(&self) -> String {
        self.connection.closed().await
    }

    /// What its certificate is worth under the record of today.
    pub(crate) fn judge(&self, core: &Core, peer: &qpq_storage::Peer) -> Presented {
        self.connection.peer_certificate().map_or(Presented::WrongDomain, |certificate| {
            core.presented(&certificate, &peer.domain, Some(peer))
        })
    }

    /// Makes a call and waits for its answer up to the deadline. `method` is its name in the schema.
    pub(crate) async fn call<T, F, Fut>(
        &self,
        method: &'static str,
        deadline: Duration,
        make: F,
    ) -> Result<T, CallError>
    where
        T: Send + 'static,
        F: FnOnce(link::Client, Carried) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, CallError>> + 'static,
    {
        let started = Instant::now();
        let answer = self.exchange(deadline, make).await;
        let outcome = answer.as_ref().map_or_else(CallError::outcome, |_| Outcome::Ok);
        self.metrics.peer_call(Direction::Sent, method, outcome, started.elapsed());
        answer
    }

    async fn exchange<T, F, Fut>(&self, deadline: Duration, make: F) -> Result<T, CallError>
    where
        T: Send + 'static,
        F: FnOnce(link::Client, Carried) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, CallError>> + 'static,
    {
        let (request, end) = (request::current(), Instant::now() + deadline);
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |client| {
            Box::pin(async move {
                // Waiting for a turn has taken some of the time.
                let left = end.saturating_duration_since(Instant::now());
                let carried = Carried { request, left: Some(left) };
                let made = timeout(left, make(client, carried)).await.unwrap_or(Err(CallError::Deadline));
                // Whoever asked may have gone.
                answer.send(made).ok();
            })
        });
        let exchange = async {
            self.jobs.send(job).await.map_err(|_| CallError::Lost)?;
            answered.await.unwrap_or(Err(CallError::Lost))
        };
        timeout(deadline, exchange).await.unwrap_or(Err(CallError::Deadline))
    }
}

/// Performs calls until the connection has ended; what was on its way then is lost.
async fn perform(connection: Connection, client: link::Client, mut waiting: mpsc::Receiver<Job>) {
    let mut running = FuturesUnordered::new();
    let mut ended = pin!(connection.closed());
    loop {
        tokio::select! {
            biased;
            _ = &mut ended => return,
            Some(()) = running.next(), if !running.is_empty() => {}
            job = waiting.recv(), if running.len() < CALLS => match job {
                Some(job) => running.push(job(client.clone())),
                None if running.is_empty() => return,
                None => while running.next().await.is_some() {},
            },
        }
    }
}
