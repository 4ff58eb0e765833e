//! Waiting for the witnesses of a log: what is newest there is told as soon as they have signed it, which takes a second or two.

use qpq_core::{ErrorCode, Millis};
use tokio::time::{Instant, sleep};

use crate::Refusal;

/// How long it is waited for in all: longer than a homeserver keeps its own users waiting for a witness that is silent.
const PATIENCE: Millis = Millis::from_secs(8);
/// How long between two questions, if the answer doesn't say.
const AGAIN: Millis = Millis::from_secs(1);

/// However soon the answer says.
const SHORTEST: Millis = Millis(100);

/// What is left of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    end: Instant,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { end: Instant::now() + PATIENCE.to_duration() }
    }

    /// Waits until it is worth asking again; `false` at once if nothing is pending, or it was waited for long enough.
    pub(super) async fn waits(&self, mut refusals: impl Iterator<Item = &Refusal>) -> bool {
        let Some(pending) = refusals.find(|refusal| refusal.is(ErrorCode::KeysPending)) else { return false };
        let again = pending.retry_after.unwrap_or(AGAIN).min(AGAIN).max(SHORTEST).to_duration();
        if Instant::now() + again > self.end {
            return false;
        }
        sleep(again).await;
        true
    }
}
