//! Group commit: many waiting writes, one transaction, one flush, then all answers.
//!
//! A bounded queue feeds one task. It takes what waits, up to [`BATCH`] jobs, runs them in one transaction, commits,
//! lets the effects follow, and only then answers: nobody hears of a write before it is durable. A job's expected refusal is
//! part of its output. A job that *fails* undoes the whole batch; then each job gets a transaction of its own, so
//! that one broken job can't take its neighbours with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use qpq_core::{DeviceId, Domain, ErrorCode, Millis, RequestId};
use qpq_metrics::{Limit, Metrics};
use qpq_storage::{Feed, Storage, StorageError, Stored, WriteTx};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, info_span};

use crate::{
    Answered, Ground, Refusal,
    planted::{Bug, active},
    request,
};

/// The most jobs in one transaction.
const BATCH: usize = 256;

/// What follows from a commit, outside the store.
#[derive(Debug, Default)]
pub struct Effects {
    /// Devices whose feeds have something new.
    pub wakes: BTreeMap<DeviceId, BTreeSet<Feed>>,
    /// Domains that rows wait for.
    pub destinations: BTreeSet<Domain>,
    /// Limits that refused a part of it.
    pub limits: Vec<Limit>,
}

impl Effects {
    /// A feed of a device has something new.
    pub fn wake(&mut self, device: DeviceId, feed: Feed) {
        self.wakes.entry(device).or_default().insert(feed);
    }

    /// Rows wait for a domain.
    pub fn send(&mut self, destination: Domain) {
        self.destinations.insert(destination);
    }

    /// A limit refused a part of it.
    pub fn hit(&mut self, limit: Limit) {
        self.limits.push(limit);
    }
}

/// One unit of work in a write transaction. It may run more than once; only the last run counts.
#[async_trait]
pub trait WriteJob: Send + 'static {
    /// What the caller hears after the commit.
    type Output: Send + 'static;

    /// Does the work. `Err` undoes the whole transaction: expected refusals belong into the output.
    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output>;

    /// What follows from the commit; called after it is durable, or when nobody knows whether it is.
    fn effects(&mut self) -> Effects {
        Effects::default()
    }
}

/// The way into the writer's queue; cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    queue: mpsc::Sender<Box<dyn Waiting>>,
    stopping: CancellationToken,
}

impl Writer {
    /// Makes the queue and the task's future, which the caller runs until it ends after [`Writer::stop`].
    pub fn new(storage: Arc<dyn Storage>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, jobs) = mpsc::channel(4 * BATCH);
        let stopping = CancellationToken::new();
        (Self { queue, stopping: stopping.clone() }, write_batches(storage, jobs, stopping))
    }

    /// Takes nothing new; what is queued is still written, then the task ends.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// How many jobs wait for the next batch.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.max_capacity().saturating_sub(self.queue.capacity())
    }

    /// Queues a job and waits until it is durable.
    pub(crate) async fn write<J: WriteJob>(&self, ground: Arc<Ground>, job: J) -> Answered<J::Output> {
        let (answer, answered) = oneshot::channel();
        // Below the caller's span, so that what the store says is logged with the request.
        let span = info_span!("db.job.write");
        let waiting =
            Queued { ground, job, output: None, answer: Some(answer), request: request::current(), span };
        self.queue.send(Box::new(waiting)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

fn stopping() -> Refusal {
    Refusal::retry(ErrorCode::Draining, "the homeserver is stopping, nothing was kept", Millis::from_secs(5))
}

/// A job in the queue with its caller, whatever its type.
#[async_trait]
trait Waiting: Send + std::fmt::Debug {
    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()>;
    fn committed(&mut self);
    /// Its transaction failed, and may have taken effect all the same: whoever would hear of it looks for himself.
    fn perhaps_kept(&mut self);
    fn metrics(&self) -> &Metrics;
    fn failed(&mut self, cause: StorageError);
}

struct Queued<J: WriteJob> {
    ground: Arc<Ground>,
    job: J,
    output: Option<J::Output>,
    answer: Option<oneshot::Sender<Answered<J::Output>>>,
    /// What its rows for other domains follow from.
    request: Option<RequestId>,
    span: Span,
}

impl<J: WriteJob> std::fmt::Debug for Queued<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queued").field("job", &std::any::type_name::<J>()).finish_non_exhaustive()
    }
}

#[async_trait]
impl<J: WriteJob> Waiting for Queued<J> {
    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        self.output = None;
        let work = request::of(self.request, self.job.run(tx));
        self.output = Some(work.instrument(self.span.clone()).await?);
        Ok(())
    }

    fn committed(&mut self) {
        self.ground.follow(self.job.effects());
        if let (Some(answer), Some(output)) = (self.answer.take(), self.output.take()) {
            // The caller may have gone (its connection broke); the write stands all the same.
            drop(answer.send(Ok(output)));
        }
    }

    fn perhaps_kept(&mut self) {
        let Effects { wakes, destinations, limits: _ } = self.job.effects();
        self.ground.follow(Effects { wakes, destinations, limits: Vec::new() });
    }

    fn metrics(&self) -> &Metrics {
        self.ground.metrics()
    }

    fn failed(&mut self, cause: StorageError) {
        let refusal = self.span.in_scope(|| Refusal::from(cause));
        if let Some(answer) = self.answer.take() {
            drop(answer.send(Err(refusal)));
        }
    }
}

async fn write_batches(
    storage: Arc<dyn Storage>,
    mut jobs: mpsc::Receiver<Box<dyn Waiting>>,
    stopping: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let taken = tokio::select! {
            biased;
            taken = jobs.recv_many(&mut batch, BATCH) => taken,
            () = stopping.cancelled(), if !jobs.is_closed() => {
                jobs.close();
                continue;
            }
        };
        if taken == 0 {
            return;
        }
        if write_together(storage.as_ref(), &mut batch).await.is_ok() {
            batch.drain(..).for_each(|mut job| job.committed());
            continue;
        }
        for mut job in batch.drain(..) {
            // A repeat finds what was kept, and has nothing to tell of it any more.
            job.perhaps_kept();
            match write_together(storage.as_ref(), std::slice::from_mut(&mut job)).await {
                Ok(()) => job.committed(),
                Err(cause) => {
                    job.perhaps_kept();
                    job.failed(cause);
                }
            }
        }
    }
}

/// One transaction for all of them, or nothing of any.
async fn write_together(storage: &dyn Storage, batch: &mut [Box<dyn Waiting>]) -> Result<(), StorageError> {
    let started = tokio::time::Instant::now();
    let mut tx = storage.write().await?;
    for job in batch.iter_mut() {
        job.run(tx.as_mut()).await?;
    }
    let worked = started.elapsed();
    if active(Bug::AnswerBeforeCommit) {
        for job in batch.iter_mut() {
            job.committed();
        }
    }
    tx.commit().await?;
    if let Some(metrics) = batch.first().map(|job| job.metrics()) {
        let took = started.elapsed();
        metrics.storage("write-batch", took);
        metrics.storage("write-commit", took.saturating_sub(worked));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
