//! The way of every call: a permit or `overloaded`, a span, a deadline, then the use case; its answer is a value.
//!
//! Only `overloaded` leaves as an RPC exception, before any work was done. Everything else is a [`Refusal`], which
//! the caller of [`Calls::answer`] writes into the `failure` field of its results.

use std::{sync::Arc, time::Duration};

use qpq_core::{ErrorCode, Millis};
use qpq_metrics::{Limit, Outcome};
use qpq_service::{Answered, Ground, Refusal, request};
use qpq_transport::{CallGate, CallPermit};
use tokio::time::Instant;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tracing::{Instrument as _, Span, debug, field, warn};

/// The whole time of a call; calls across domains end earlier, by their own deadline.
const CALL_DEADLINE: Millis = Millis::from_secs(30);
/// The last replies reach the stream's writer after the calls themselves have ended.
const LAST_REPLIES: Duration = Duration::from_millis(50);

/// Lets calls in: those of one session, or those of a connection that has none yet.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    gate: CallGate,
    in_flight: TaskTracker,
    stopping: CancellationToken,
    ground: Arc<Ground>,
}

/// One call in flight: room in its gate, and a reason for a stopping process to wait.
#[derive(Debug)]
pub(crate) struct Call {
    _permit: CallPermit,
    _token: TaskTrackerToken,
}

impl Calls {
    /// So many at once; `stopping` keeps new ones out.
    pub(crate) fn new(limit: usize, stopping: CancellationToken, ground: Arc<Ground>) -> Self {
        Self { gate: CallGate::new(limit), in_flight: TaskTracker::new(), stopping, ground }
    }

    /// Another gate of the same connection.
    pub(crate) fn another(&self, limit: usize) -> Self {
        Self {
            gate: CallGate::new(limit),
            in_flight: self.in_flight.clone(),
            stopping: self.stopping.clone(),
            ground: Arc::clone(&self.ground),
        }
    }

    /// A call that is answered even by a stopping process.
    pub(crate) fn enter(&self) -> capnp::Result<Call> {
        let permit = self.gate.try_enter().ok_or_else(|| {
            self.ground.metrics().limit_hit(Limit::Calls);
            capnp::Error::overloaded("too many calls in flight: wait for some answers".to_owned())
        })?;
        Ok(Call { _permit: permit, _token: self.in_flight.token() })
    }

    /// Lets a call in and runs it.
    pub(crate) async fn answer<T>(
        &self,
        span: Span,
        work: impl Future<Output = Answered<T>>,
    ) -> capnp::Result<Answered<T>> {
        let _call = self.enter()?;
        if self.stopping.is_cancelled() {
            return Ok(Err(draining()));
        }
        let id = self.ground.new_request();
        span.record("request", field::display(id));
        // Spans that nobody logs have no name here.
        let method = span.metadata().map_or("unlogged", |metadata| metadata.name());
        let started = Instant::now();
        let timed = async {
            let work = request::within(id, self.ground.now().after(CALL_DEADLINE), work);
            let timed = tokio::time::timeout(CALL_DEADLINE.to_duration(), work).await;
            let answered = timed.unwrap_or_else(|_| Err(too_slow()));
            match &answered {
                // The text may name users, so only the number is logged.
                Err(refusal) if refusal.is_ours() => {
                    warn!(failure.code = field::display(refusal.code), "the call failed");
                }
                Err(refusal) => {
                    debug!(failure.code = field::display(refusal.code), "the call was refused");
                }
                Ok(_) => debug!("the call was answered"),
            }
            answered
        };
        let answered = timed.instrument(span).await;
        let code = answered.as_ref().err().map(|refusal| refusal.code);
        self.ground.metrics().call(method, Outcome::of(code), started.elapsed());
        Ok(answered.map_err(|refusal| refusal.to_request(id)))
    }

    /// What a stopping process waits for.
    pub(crate) const fn in_flight(&self) -> &TaskTracker {
        &self.in_flight
    }

    /// Waits until the process is stopping and what was in flight has been answered.
    pub(crate) async fn drained(&self) {
        self.stopping.cancelled().await;
        self.in_flight.close();
        self.in_flight.wait().await;
        tokio::time::sleep(LAST_REPLIES).await;
    }
}

fn draining() -> Refusal {
    Refusal::retry(
        ErrorCode::Draining,
        "the homeserver is stopping: reconnect in a moment",
        Millis::from_secs(5),
    )
}

fn too_slow() -> Refusal {
    Refusal::retry(
        ErrorCode::NotStored,
        "the homeserver is too busy to answer: repeat the call, with the same ids",
        Millis::from_secs(5),
    )
}

/// The span of a call; its request is drawn when the call is let in.
macro_rules! call_span {
    ($name:literal) => {
        tracing::info_span!($name, request = tracing::field::Empty)
    };
}

/// The params of a call, or the refusal that says that they can't be read.
macro_rules! read {
    ($params:expr) => {
        $params.get().map_err(qpq_service::wire::unreadable)
    };
}

/// Hands the value on, or writes the refusal into the results and returns.
macro_rules! or_fail {
    ($answered:expr, $results:expr) => {
        match $answered {
            Ok(value) => value,
            Err(refusal) => {
                qpq_service::wire::write_failure(&refusal, $results.get().init_failure());
                return Ok(());
            }
        }
    };
}

pub(crate) use {call_span, or_fail, read};

#[cfg(test)]
mod tests {
    use qpq_core::{Incarnation, OsEntropy, SystemClock, Timestamp};
    use qpq_service::{Settings, Writer};
    use qpq_storage::memory::MemoryStorage;

    use super::*;

    fn ground() -> Arc<Ground> {
        let mut entropy = OsEntropy::new().unwrap();
        let storage = Arc::new(MemoryStorage::new());
        let (writer, _) = Writer::new(Arc::clone(&storage) as Arc<_>);
        let incarnation = Incarnation::begin(Timestamp::from_millis(1), &mut entropy);
        let (domain, settings) = ("alpha.test".parse().unwrap(), Settings::default());
        let clock = Arc::new(SystemClock);
        Arc::new(Ground::new(domain, incarnation, settings, clock, Box::new(entropy), storage, writer))
    }

    #[tokio::test]
    async fn the_call_beyond_the_cap_is_overloaded_before_any_work() {
        let calls = Calls::new(1, CancellationToken::new(), ground());
        let _first = calls.enter().unwrap();
        let mut worked = false;
        let refused = calls.answer(Span::none(), async {
            worked = true;
            Ok(())
        });
        assert_eq!(refused.await.unwrap_err().kind, capnp::ErrorKind::Overloaded);
        assert!(!worked);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_is_refused_at_its_deadline() {
        let calls = Calls::new(1, CancellationToken::new(), ground());
        let refusal =
            calls.answer(Span::none(), std::future::pending::<Answered<()>>()).await.unwrap().unwrap_err();
        assert!(refusal.retry_after.is_some());
        assert!(calls.in_flight().is_empty());
    }

    #[tokio::test]
    async fn a_refusal_names_the_request_that_its_work_was_done_for() {
        let calls = Calls::new(1, CancellationToken::new(), ground());
        let mut seen = None;
        let work = async {
            seen = request::current();
            Err::<(), _>(Refusal::new(ErrorCode::Internal, "a fault"))
        };
        let refusal = calls.answer(Span::none(), work).await.unwrap().unwrap_err();
        assert!(seen.is_some());
        assert_eq!(refusal.request, seen);
    }

    #[tokio::test]
    async fn a_stopping_process_refuses_new_calls_in_words() {
        let stopping = CancellationToken::new();
        let calls = Calls::new(1, stopping.clone(), ground());
        stopping.cancel();
        let refusal = calls.answer(Span::none(), async { Ok(()) }).await.unwrap().unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Draining);
    }
}
