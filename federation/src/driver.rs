//! One peer's driver: performs what the outbox core decides, and keeps the one link to the peer.
//!
//! Everything that takes time is a task whose end comes back as a [`Done`]; between two of them the state is whole.

mod comparing;
mod links;
mod sending;
mod state;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use qpq_core::{Incarnation, Millis, Timestamp};
use qpq_federation_proto::{
    Batch, CallId, Outbox, OutboxLimits, Pace, QueueState, SavedLink, StopReason, StoreId, StreamAnswer,
    StreamHead, StreamId, retry_wait,
};
use qpq_service::{Answered, Known, relay::Resumed};
use qpq_storage::{Ban, Pause, Peer};
use qpq_transport::{CloseCode, WorkerContext};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tracing::warn;

use crate::{
    core::Core,
    link::{CallError, LinkHandle},
    slot::{Command, Seen, Slot, Trouble},
};
use comparing::Comparison;
use links::Links;
use sending::Pending;

/// How long calls that are on their way may take when we stop.
const LAST_CALLS: Duration = Duration::from_secs(3);
/// The driver looks around at least this often.
const AT_LEAST: Millis = Millis::from_secs(3_600);

/// A greeting that has not come through: the peer may wait to hear that we are here, and only from a link does it hear that
/// this domain was restored and what it has lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Unheard {
    /// How often it was dialled in vain.
    failures: u32,
    /// When it is greeted again.
    at: Option<Timestamp>,
}

/// What a task has brought.
pub(crate) enum Done {
    Dialled(Result<LinkHandle, Trouble>),
    Loaded(CallId, Incarnation, Answered<Vec<Batch>>),
    Relayed {
        call: CallId,
        incarnation: Incarnation,
        link: LinkHandle,
        batches: Arc<[Batch]>,
        attempts: u8,
        answer: Result<Vec<(StreamId, StreamAnswer)>, CallError>,
        took: Duration,
    },
    Stored(StoreId, Answered<()>),
    Heads(Answered<Vec<StreamHead>>, Option<usize>),
    Compared(LinkHandle, Comparison),
    Saved(SavedLink, Answered<()>),
    Record(Box<Answered<Known>>),
    /// Whether an older link still answers, beside a newer one.
    Probed {
        older: usize,
        alive: bool,
    },
}

impl Done {
    /// Whether stopping waits for it.
    const fn is_waited_for(&self) -> bool {
        match self {
            Self::Relayed { .. } | Self::Stored(..) | Self::Saved(..) | Self::Compared(..) => true,
            Self::Dialled(_) | Self::Loaded(..) | Self::Heads(..) | Self::Record(_) | Self::Probed { .. } => {
                false
            }
        }
    }
}

pub(crate) type Task = LocalBoxFuture<'static, Done>;

/// One peer's driver.
pub(crate) struct Driver {
    core: Arc<Core>,
    slot: Arc<Slot>,
    context: WorkerContext,
    record: Peer,
    /// The ban that keeps it out.
    ban: Option<Ban>,
    /// Whether ban, record and policy allowed it when they were last looked at.
    allowed: bool,
    outbox: Outbox,
    pace: Pace,
    links: Links,
    tasks: FuturesUnordered<Task>,
    /// What waits for the link that is being dialled.
    pending: VecDeque<Pending>,
    waiters: Vec<oneshot::Sender<Result<LinkHandle, Trouble>>>,
    /// Calls and transactions on their way, which are waited for when we stop.
    unfinished: usize,
    /// What is going on already and isn't begun twice.
    busy: BTreeSet<Chore>,
    /// The last dial that failed, and when.
    trouble: Option<(Timestamp, Trouble)>,
    /// When a new link last ended a backoff, and when one that came too soon after it will.
    freed_at: Option<Timestamp>,
    free_at: Option<Timestamp>,
    /// The link's state that is to be stored next.
    unsaved: Option<SavedLink>,
    /// Asking for the peer's heads waits for a link.
    comparing_waits: bool,
    /// The peer claimed a later life of ours when it dialled us, and hasn't been asked for the proof yet.
    challenged: bool,
    /// Until there was a link once.
    unheard: Option<Unheard>,
    /// That an admin told the queue to wait.
    pause: Option<Pause>,
}

/// What happens once at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Chore {
    Dial,
    ReadHeads,
    ReadRecord,
    Save,
}

/// Drives one peer until it is no peer any more, or until we stop.
pub(crate) async fn drive(
    core: Arc<Core>,
    slot: Arc<Slot>,
    mut commands: mpsc::Receiver<Command>,
    resumed: Resumed,
    context: WorkerContext,
) {
    let Resumed { peer, ban, pause, link, heads } = resumed;
    let now = core.ground.now();
    let outbox = Outbox::resume(peer.domain.clone(), OutboxLimits::default(), link, heads, now);
    let us = core.ground.domain().clone();
    let mut driver = Driver {
        links: Links::new(us, peer.domain.clone()),
        core,
        slot: Arc::clone(&slot),
        context,
        record: peer,
        ban,
        allowed: false,
        outbox,
        pace: Pace::default(),
        tasks: FuturesUnordered::new(),
        pending: VecDeque::new(),
        waiters: Vec::new(),
        unfinished: 0,
        busy: BTreeSet::new(),
        trouble: None,
        freed_at: None,
        free_at: None,
        unsaved: None,
        comparing_waits: false,
        challenged: false,
        unheard: Some(Unheard::default()),
        pause,
    };
    driver.outbox.handle_paused(driver.pause.is_some());
    driver.judge_record();
    driver.greet();
    let (stopping, federation) = (driver.context.stopping().clone(), driver.core.stopping.clone());
    loop {
        driver.perform_actions();
        driver.show();
        let next = driver.next_timeout();
        tokio::select! {
            // In this order, so that the same events lead to the same run. What comes first is rare or bounded.
            biased;
            () = stopping.cancelled() => break,
            () = federation.cancelled() => break,
            () = slot.gone.cancelled() => {
                return driver.end(CloseCode::Revoked, "the peering has ended");
            }
            () = slot.changed.notified(), if !driver.is_busy(Chore::ReadRecord) => driver.read_record(),
            () = slot.filled.notified(), if !driver.is_busy(Chore::ReadHeads) => driver.read_heads(None),
            Some(command) = commands.recv() => driver.obey(command),
            Some(done) = driver.tasks.next(), if !driver.tasks.is_empty() => driver.take(done),
            () = sleep(next) => {}
        }
        let now = driver.core.ground.now();
        driver.outbox.handle_timeout(now);
        if driver.free_at.is_some_and(|at| at <= now) {
            driver.end_backoff(now);
        }
        if let Some(unheard) =
            driver.unheard.as_mut().filter(|unheard| unheard.at.is_some_and(|at| at <= now))
        {
            unheard.at = None;
            driver.greet();
        }
    }
    driver.drain().await;
}

impl Driver {
    fn is_busy(&self, chore: Chore) -> bool {
        self.busy.contains(&chore)
    }

    /// Begins something that stopping waits for.
    fn begin(&mut self, task: Task) {
        self.unfinished = self.unfinished.saturating_add(1);
        self.tasks.push(task);
    }

    fn take(&mut self, done: Done) {
        let now = self.core.ground.now();
        if done.is_waited_for() {
            self.unfinished = self.unfinished.saturating_sub(1);
        }
        match done {
            Done::Dialled(dialled) => self.dialled(dialled, now),
            Done::Loaded(call, life, batches) => self.loaded(call, life, batches, now),
            Done::Relayed { call, incarnation, link, batches, attempts, answer, took } => {
                if answer.is_ok() {
                    let rows = batches.iter().flat_map(Batch::rows);
                    self.pace.handle_answered(rows.map(|row| row.payload.len()).sum(), took);
                }
                self.relayed((call, incarnation), &link, &batches, attempts, answer, now);
            }
            Done::Stored(id, Ok(())) => self.outbox.handle_stored(id),
            Done::Stored(id, Err(_)) => self.outbox.handle_not_stored(id, now),
            Done::Heads(heads, limit) => self.heads(heads, limit),
            Done::Compared(link, compared) => self.compared(&link, compared, now),
            Done::Saved(link, saved) => self.saved(link, &saved),
            Done::Record(record) => self.record_read(*record),
            Done::Probed { older, alive } => self.probed(older, alive),
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.core.ground.now();
        match command {
            Command::LinkUp(link) => self.link_up(link, now),
            Command::LinkLost(id) => self.links.forget(id),
            Command::Want(waiter) => self.want(waiter, now),
            Command::Spoke => self.spoke(now),
            Command::Challenged => {
                self.challenged = true;
                self.outbox.handle_claims(false);
            }
            Command::Stop(reason) => self.outbox.handle_stopped(reason, now),
            Command::Retry => self.retry(),
        }
    }

    /// Dials, if the peer may be spoken with: it may be waiting to hear that we are back.
    fn greet(&mut self) {
        let stopped = matches!(self.outbox.status(self.core.ground.now()).state, QueueState::Stopped(_));
        if self.is_allowed() && !stopped {
            self.dial();
        }
    }

    /// The admin wants it tried now: what was held against it is forgotten, and judged anew.
    fn retry(&mut self) {
        self.trouble = None;
        if self.is_allowed() {
            self.outbox.handle_retry();
            if self.links.current().is_none() {
                self.dial();
            }
        }
    }

    /// The peer is there, and trusts us as far as we know: nothing needs to wait for a retry.
    fn spoke(&mut self, now: Timestamp) {
        self.trouble = None;
        self.outbox.handle_peer_spoke(now);
        // Its certificate was judged anew, and found good.
        if self.stop_reason() == Some(StopReason::CertificateRefused) {
            self.outbox.handle_released();
        }
    }

    /// A dial has failed: if there was no link since the start, another follows although nothing may wait.
    fn greet_later(&mut self, now: Timestamp) {
        let core = Arc::clone(&self.core);
        if let Some(unheard) = &mut self.unheard {
            unheard.failures = unheard.failures.saturating_add(1);
            unheard.at = Some(now.after(core.ground.draw(|entropy| retry_wait(unheard.failures, entropy))));
        }
    }

    fn stop_reason(&self) -> Option<StopReason> {
        match self.outbox.status(self.core.ground.now()).state {
            QueueState::Stopped(reason) => Some(reason),
            QueueState::Healthy
            | QueueState::Paused
            | QueueState::Probing { .. }
            | QueueState::BackingOff { .. } => None,
        }
    }

    fn next_timeout(&self) -> Duration {
        let now = self.core.ground.now();
        let greeting = self.unheard.and_then(|unheard| unheard.at);
        let due = self.outbox.poll_timeout().into_iter().chain(self.free_at).chain(greeting).min();
        let due = due.map_or(AT_LEAST, |at| at.since(now));
        // A millisecond later, so that the time is over by the clock too.
        Millis(due.0.saturating_add(1)).to_duration()
    }

    /// Ends at once: the peer is no peer any more.
    fn end(&mut self, code: CloseCode, reason: &str) {
        self.links.close_all(code, reason);
        let why = StopReason::Policy;
        for waiter in self.waiters.drain(..) {
            waiter.send(Err(Trouble::Stopped(why))).ok();
        }
        self.slot.show(Seen { state: "no peer".to_owned(), ..Seen::default() });
    }

    /// Sends nothing new, and waits a little for what is on its way.
    async fn drain(&mut self) {
        self.waiters_fail(&Trouble::Unreachable("the homeserver is stopping".to_owned()));
        self.drop_sends();
        let ended = async {
            while self.unfinished > 0
                && let Some(done) = self.tasks.next().await
            {
                self.take(done);
                self.drop_sends();
            }
        };
        if timeout(LAST_CALLS, ended).await.is_err() {
            warn!(peer.domain = %self.record.domain, "calls to a peer did not end in time");
        }
        self.end(CloseCode::Draining, "stopping");
    }

    fn waiters_fail(&mut self, trouble: &Trouble) {
        for waiter in self.waiters.drain(..) {
            waiter.send(Err(trouble.clone())).ok();
        }
    }
}
