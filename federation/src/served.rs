//! A peer's call that is being served: its place among those in flight, and how it is counted.

use qpq_metrics::{Direction, Metrics, Outcome};
use qpq_service::Answered;
use qpq_transport::CallPermit;
use tokio::time::Instant;

/// One call of a peer.
#[derive(Debug)]
pub(crate) struct Served {
    method: &'static str,
    metrics: Metrics,
    started: Instant,
    /// Gives its place back when the call ends; `hello` and `acceptInvite` have none.
    _permit: Option<CallPermit>,
}

impl Served {
    /// It begins. `method` is its name in the schema.
    pub(crate) fn begin(
        method: &'static str,
        metrics: Metrics,
        permit: impl Into<Option<CallPermit>>,
    ) -> Self {
        Self { method, metrics, started: Instant::now(), _permit: permit.into() }
    }

    /// The answer is known.
    pub(crate) fn answered<T>(&self, answer: &Answered<T>) {
        let outcome = Outcome::of(answer.as_ref().err().map(|refusal| refusal.code));
        self.metrics.peer_call(Direction::Received, self.method, outcome, self.started.elapsed());
    }
}
