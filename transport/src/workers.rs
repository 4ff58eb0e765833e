//! One worker thread per core: each connection lives on one of them, with its RPC and its `!Send` session state.
//!
//! An acceptor task takes newcomers from an endpoint and hands each to a worker through a bounded channel; the
//! worker performs the handshake and runs the listener's [`Handler`]. Every task is tracked, and stopping waits
//! for them with a deadline. While draining, newcomers are refused at once instead of hanging.

use std::{
    fmt, io,
    marker::PhantomData,
    net::SocketAddr,
    num::NonZeroUsize,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
    task::LocalSet,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use crate::{
    connection::{CloseCode, Connection},
    endpoint::Endpoint,
};

/// Newcomers that wait for one worker; when all workers have this many, more are refused.
const HANDED: usize = 64;
/// Futures that wait to be started on one worker.
const JOBS: usize = 64;
/// How long the last packets and the end of the threads may take, after the work itself has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Something to be started on a worker thread.
type Job = Box<dyn FnOnce(&WorkerContext) + Send>;

/// The workers have ended, or are ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the workers have stopped")]
pub struct WorkersStopped;

/// How many may come in, and how long they may take over it.
#[derive(Debug, Clone, Copy)]
pub struct AcceptLimits {
    /// Connections of this listener at once, handshakes included; beyond it newcomers are refused.
    pub connections: usize,
    /// A handshake that takes longer is given up.
    pub handshake: Duration,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        Self { connections: 10_000, handshake: Duration::from_secs(10) }
    }
}

/// What stopping left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopReport {
    /// Tasks that had not ended at the deadline and were dropped.
    pub abandoned: usize,
}

/// A listener that is being served. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Listening {
    draining: CancellationToken,
    tracker: TaskTracker,
}

impl Listening {
    /// Lets this listener's connections finish what is in flight, up to the deadline, while everything else goes on;
    /// tells how many tasks are left. Newcomers still shake hands: a refusal before that can't carry a reason.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.draining.cancel();
        self.tracker.close();
        timeout(deadline, self.tracker.wait()).await.ok();
        self.tracker.len()
    }
}

/// Serves the connections of one listener on one worker thread; need not be `Send`.
pub trait Handler: 'static {
    /// Whether somebody at this address may shake hands; who may not is refused, which costs next to nothing. The address is
    /// not proven yet.
    fn admits(&self, from: SocketAddr) -> bool {
        let _ = from;
        true
    }

    /// Serves one connection until it ends. When `context.stopping()` fires: finish what is in flight and return.
    fn serve(
        self: Rc<Self>,
        connection: Connection,
        context: WorkerContext,
    ) -> impl Future<Output = ()> + 'static;
}

/// What a task on a worker thread knows of its place. Stays on that thread.
#[derive(Debug, Clone)]
pub struct WorkerContext {
    index: usize,
    stopping: CancellationToken,
    tracker: TaskTracker,
    stays: PhantomData<Rc<()>>,
}

impl WorkerContext {
    /// The worker's number, from 0.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Fires when the process is draining, or the listener that the connection came in by.
    pub const fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Starts a task on this worker; stopping waits for it.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        // A panic in the task ends that task alone; the handle would only tell us so.
        drop(tokio::task::spawn_local(self.tracker.track_future(future)));
    }
}

/// The worker threads. Clones are handles to the same ones.
#[derive(Clone)]
pub struct Workers(Arc<Inner>);

/// Where newcomers are accepted.
#[derive(Debug, Clone, Copy)]
enum Accept {
    OnTheRuntime,
    OnThisThread,
}

struct Inner {
    jobs: Vec<mpsc::Sender<Job>>,
    next: AtomicUsize,
    connections: Arc<AtomicUsize>,
    /// Fires when draining begins.
    stopping: CancellationToken,
    /// Fires when the threads shall end.
    ending: CancellationToken,
    tracker: TaskTracker,
    acceptors: TaskTracker,
    accept: Accept,
    endpoints: Mutex<Vec<Endpoint>>,
    ended: Mutex<Vec<oneshot::Receiver<()>>>,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("threads", &self.threads())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

impl Workers {
    /// Starts the threads.
    pub fn start(threads: NonZeroUsize) -> io::Result<Self> {
        let (stopping, ending) = (CancellationToken::new(), CancellationToken::new());
        let tracker = TaskTracker::new();
        let (mut jobs, mut ended) = (Vec::new(), Vec::new());
        for index in 0..threads.get() {
            let (job_sender, job_receiver) = mpsc::channel(JOBS);
            let (end_sender, end_receiver) = oneshot::channel();
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (stopping, ending, tracker) = (stopping.clone(), ending.clone(), tracker.clone());
            thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                let context = WorkerContext { index, stopping, tracker, stays: PhantomData };
                LocalSet::new().block_on(&runtime, work(&context, job_receiver, &ending));
                // Whoever waited may have given up.
                end_sender.send(()).ok();
            })?;
            jobs.push(job_sender);
            ended.push(end_receiver);
        }
        Ok(Self(Arc::new(Inner {
            jobs,
            next: AtomicUsize::new(0),
            connections: Arc::default(),
            stopping,
            ending,
            tracker,
            acceptors: TaskTracker::new(),
            accept: Accept::OnTheRuntime,
            endpoints: Mutex::default(),
            ended: Mutex::new(ended),
        })))
    }

    /// One worker on the thread and in the local set that it is called in, which owns all of its tasks: dropping that
    /// set is how a simulated process ends.
    pub fn on_this_thread() -> Self {
        let (stopping, ending) = (CancellationToken::new(), CancellationToken::new());
        let tracker = TaskTracker::new();
        let (job_sender, job_receiver) = mpsc::channel(JOBS);
        let (end_sender, end_receiver) = oneshot::channel();
        let context = WorkerContext {
            index: 0,
            stopping: stopping.clone(),
            tracker: tracker.clone(),
            stays: PhantomData,
        };
        let until = ending.clone();
        drop(tokio::task::spawn_local(async move {
            work(&context, job_receiver, &until).await;
            end_sender.send(()).ok();
        }));
        Self(Arc::new(Inner {
            jobs: vec![job_sender],
            next: AtomicUsize::new(0),
            connections: Arc::default(),
            stopping,
            ending,
            tracker,
            acceptors: TaskTracker::new(),
            accept: Accept::OnThisThread,
            endpoints: Mutex::default(),
            ended: Mutex::new(vec![end_receiver]),
        }))
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.0.jobs.len()
    }

    /// Connections that were accepted and have not ended.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Acquire)
    }

    /// Accepts from `endpoint` until [`Self::stop`], which also closes it; `make` is called once on each worker.
    /// What is returned drains this listener before the others; dropping it changes nothing.
    pub async fn serve<H: Handler>(
        &self,
        endpoint: &Endpoint,
        limits: AcceptLimits,
        make: impl Fn(&WorkerContext) -> H + Send + Sync + 'static,
    ) -> Result<Listening, WorkersStopped> {
        let make = Arc::new(make);
        let mut hands = Vec::new();
        let listening = Listening { draining: self.0.stopping.child_token(), tracker: TaskTracker::new() };
        for jobs in &self.0.jobs {
            let (hand, handed) = mpsc::channel(HANDED);
            let (make, ours, all) = (Arc::clone(&make), listening.clone(), self.0.stopping.clone());
            let job: Job = Box::new(move |context| {
                let context = WorkerContext { stopping: ours.draining.clone(), ..context.clone() };
                let handler = Rc::new(make(&context));
                let door = Door { handler, context, listening: ours, handshake: limits.handshake, all };
                // Not tracked: it holds no work of its own, and ends when everything is to end.
                drop(tokio::task::spawn_local(door.take_in(handed)));
            });
            jobs.send(job).await.map_err(|_| WorkersStopped)?;
            hands.push(hand);
        }
        let acceptor = Acceptor {
            endpoint: endpoint.clone(),
            hands,
            limit: limits.connections,
            open: Arc::default(),
            all_open: Arc::clone(&self.0.connections),
            stopping: self.0.stopping.clone(),
        };
        self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner).push(endpoint.clone());
        match self.0.accept {
            Accept::OnTheRuntime => drop(self.0.acceptors.spawn(acceptor.run())),
            Accept::OnThisThread => drop(self.0.acceptors.spawn_local(acceptor.run())),
        }
        Ok(listening)
    }

    /// Runs a `!Send` future on a worker: the one with this number (modulo their count), or the next in turn.
    pub async fn spawn<F, Fut>(&self, worker: Option<usize>, make: F) -> Result<(), WorkersStopped>
    where
        F: FnOnce(WorkerContext) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let turn = worker.unwrap_or_else(|| self.0.next.fetch_add(1, Ordering::Relaxed));
        let jobs = self.0.jobs.iter().cycle().nth(turn % self.threads()).ok_or(WorkersStopped)?;
        let job: Job = Box::new(move |context| {
            let here = context.clone();
            context.spawn(async move { make(here).await });
        });
        jobs.send(job).await.map_err(|_| WorkersStopped)
    }

    /// Like [`Self::spawn`], and waits for the future's value.
    pub async fn run<T, F, Fut>(&self, worker: Option<usize>, make: F) -> Result<T, WorkersStopped>
    where
        T: Send + 'static,
        F: FnOnce(WorkerContext) -> Fut + Send + 'static,
        Fut: Future<Output = T> + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.spawn(worker, move |context| async move {
            // Whoever asked may have gone.
            answer.send(make(context).await).ok();
        })
        .await?;
        answered.await.map_err(|_| WorkersStopped)
    }

    /// Begins draining: newcomers are refused, and the `stopping()` of every context fires.
    pub fn drain(&self) {
        self.0.stopping.cancel();
    }

    /// Drains, waits for the tasks up to the deadline, closes the endpoints with a reason and ends the threads.
    pub async fn stop(&self, deadline: Duration) -> StopReport {
        self.drain();
        self.0.tracker.close();
        let abandoned = match timeout(deadline, self.0.tracker.wait()).await {
            Ok(()) => 0,
            Err(_) => self.0.tracker.len(),
        };
        let endpoints = std::mem::take(&mut *self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(
            endpoints.iter().map(|endpoint| endpoint.close(CloseCode::Draining, "stopping", LAST_WORDS)),
        )
        .await;
        self.0.acceptors.close();
        // The acceptors end with their endpoints; a thread that is stuck must not keep the process.
        timeout(LAST_WORDS, self.0.acceptors.wait()).await.ok();
        self.0.ending.cancel();
        let ended = std::mem::take(&mut *self.0.ended.lock().unwrap_or_else(PoisonError::into_inner));
        timeout(LAST_WORDS, join_all(ended)).await.ok();
        StopReport { abandoned }
    }
}

async fn work(context: &WorkerContext, mut jobs: mpsc::Receiver<Job>, ending: &CancellationToken) {
    while let Some(Some(job)) = ending.run_until_cancelled(jobs.recv()).await {
        job(context);
    }
}

/// A newcomer on its way to a worker.
struct Handed {
    incoming: quinn::Incoming,
    _counted: Counted,
}

/// One connection in the counts, its listener's and everybody's.
struct Counted([Arc<AtomicUsize>; 2]);

impl Counted {
    fn new(counts: [Arc<AtomicUsize>; 2]) -> Self {
        for count in &counts {
            count.fetch_add(1, Ordering::AcqRel);
        }
        Self(counts)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        for count in &self.0 {
            count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

struct Acceptor {
    endpoint: Endpoint,
    hands: Vec<mpsc::Sender<Handed>>,
    limit: usize,
    open: Arc<AtomicUsize>,
    all_open: Arc<AtomicUsize>,
    stopping: CancellationToken,
}

impl Acceptor {
    async fn run(self) {
        let mut turn = 0_usize;
        while let Some(incoming) = self.endpoint.accept().await {
            let open = self.open.load(Ordering::Acquire);
            if self.stopping.is_cancelled() || open >= self.limit {
                incoming.refuse();
            } else if open >= self.limit / 2 && incoming.may_retry() && !incoming.remote_address_validated() {
                // Half full: from here on an address has to be shown to be real before it costs us a handshake.
                incoming.retry().ok();
            } else {
                turn = turn.wrapping_add(1);
                self.hand_over(turn, incoming);
            }
        }
    }

    /// To the worker whose turn it is, else to any that has room; dropping a newcomer refuses it.
    fn hand_over(&self, turn: usize, incoming: quinn::Incoming) {
        let counted = Counted::new([Arc::clone(&self.open), Arc::clone(&self.all_open)]);
        let mut handed = Handed { incoming, _counted: counted };
        let workers = self.hands.len().max(1);
        for hand in self.hands.iter().cycle().skip(turn % workers).take(workers) {
            match hand.try_send(handed) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back)) => {
                    handed = back;
                }
            }
        }
        debug!("all workers are busy with handshakes, a newcomer was refused");
    }
}

/// A worker's side of one listener.
struct Door<H> {
    handler: Rc<H>,
    context: WorkerContext,
    listening: Listening,
    handshake: Duration,
    /// Fires when all listeners drain.
    all: CancellationToken,
}

impl<H: Handler> Door<H> {
    /// Starts a task per newcomer, also while only this listener drains: its handler then says why nobody is served.
    async fn take_in(self, mut handed: mpsc::Receiver<Handed>) {
        while let Some(Some(newcomer)) = self.all.run_until_cancelled(handed.recv()).await {
            self.context.spawn(self.admit(newcomer));
        }
    }

    fn admit(&self, newcomer: Handed) -> impl Future<Output = ()> + 'static {
        let (handler, context, handshake) = (Rc::clone(&self.handler), self.context.clone(), self.handshake);
        let (tracker, all) = (self.listening.tracker.clone(), self.all.clone());
        async move {
            let Handed { incoming, _counted } = newcomer;
            let from = incoming.remote_address();
            if !handler.admits(from) {
                return incoming.refuse();
            }
            let connecting = async { incoming.accept()?.await };
            // A handshake is no work in flight: stopping does not wait for it.
            match all.run_until_cancelled(timeout(handshake, connecting)).await {
                // Who comes to a draining listener hears why not, and nobody waits for that either.
                Some(Ok(Ok(connection))) if context.stopping().is_cancelled() => {
                    handler.serve(Connection::new(connection), context).await;
                }
                Some(Ok(Ok(connection))) => {
                    tracker.track_future(handler.serve(Connection::new(connection), context)).await;
                }
                Some(Ok(Err(error))) => debug!(%from, %error, "a handshake failed"),
                Some(Err(_)) => debug!(%from, "a handshake took too long"),
                None => debug!(%from, "a handshake was given up: the process is stopping"),
            }
        }
    }
}
