//! The frame of a peer's call: its request in every log line, and no more time than its caller has.

use qpq_core::{Domain, ErrorCode, Millis};
use qpq_service::{Answered, Ground, Refusal, request};
use tokio::time::timeout;
use tracing::{Instrument as _, Span, debug, field, warn};

use crate::link::Carried;

/// When it makes sense to ask again after there was too little time.
const SOON: Millis = Millis::from_secs(5);

/// Works for a call: under the request that the peer names, and no longer than the peer waits or than `bound`. What is
/// asked further on for it gets no more time either.
pub(crate) async fn answer<T>(
    ground: &Ground,
    peer: &Domain,
    span: Span,
    carried: Carried,
    bound: Millis,
    work: impl Future<Output = Answered<T>>,
) -> Answered<T> {
    let id = carried.request.unwrap_or_else(|| ground.new_request());
    span.record("request", field::display(id)).record("peer.domain", field::display(peer));
    let bound = bound.to_duration();
    let left = carried.left.unwrap_or(bound).min(bound);
    let deadline = ground.now().after(Millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)));
    let timed = async {
        let work = request::within(id, deadline, work);
        let answered = timeout(left, work).await.unwrap_or_else(|_| Err(too_late()));
        match &answered {
            // The text may name users, so only the number is logged.
            Err(refusal) if refusal.is_ours() => {
                warn!(failure.code = field::display(refusal.code), "a peer's call failed here");
            }
            Err(refusal) => {
                debug!(failure.code = field::display(refusal.code), "a peer's call was refused");
            }
            Ok(_) => debug!("a peer's call was answered"),
        }
        answered
    };
    timed.instrument(span).await.map_err(|refusal| refusal.to_request(id))
}

fn too_late() -> Refusal {
    Refusal::retry(
        ErrorCode::PeerUnreachable,
        "the domain that was asked did not get to it in the time that was left",
        SOON,
    )
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Arc, time::Duration};

    use qpq_core::{Incarnation, ManualClock, OsEntropy, RequestId, Timestamp};
    use qpq_service::{Settings, Writer};
    use qpq_storage::memory::MemoryStorage;
    use tokio::time::Instant;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const BOUND: Millis = Millis::from_secs(8);
    const REQUEST: RequestId = RequestId::from_bytes([7; 16]);

    fn ground() -> Ground {
        let mut entropy = OsEntropy::new().unwrap();
        let storage = Arc::new(MemoryStorage::new());
        let (writer, _) = Writer::new(Arc::clone(&storage) as Arc<_>);
        let incarnation = Incarnation::begin(NOW, &mut entropy);
        let (domain, settings) = ("beta.test".parse().unwrap(), Settings::default());
        let clock = Arc::new(ManualClock::at(NOW));
        Ground::new(domain, incarnation, settings, clock, Box::new(entropy), storage, writer)
    }

    fn carried(left: Option<u64>) -> Carried {
        Carried { request: Some(REQUEST), left: left.map(Duration::from_millis) }
    }

    async fn answered<T>(
        ground: &Ground,
        carried: Carried,
        work: impl Future<Output = Answered<T>>,
    ) -> Answered<T> {
        answer(ground, &"alpha.test".parse().unwrap(), Span::none(), carried, BOUND, work).await
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_when_its_caller_stops_waiting_and_never_later_than_our_own_bound() {
        let ground = ground();
        for (left, millis) in [(Some(300), 300), (Some(60_000), 8_000), (None, 8_000)] {
            let began = Instant::now();
            let refusal = answered(&ground, carried(left), pending::<Answered<()>>()).await.unwrap_err();
            assert_eq!(began.elapsed(), Duration::from_millis(millis), "{left:?}");
            assert_eq!((refusal.code, refusal.request), (ErrorCode::PeerUnreachable, Some(REQUEST)));
        }
    }

    #[tokio::test]
    async fn what_is_asked_further_on_has_the_time_that_is_left() {
        let ground = ground();
        let asks = |left| answered(&ground, carried(left), async { Ok(ground.interactive_deadline()) });
        assert_eq!(asks(Some(300)).await, Ok(NOW.after(Millis(300))));
        assert_eq!(asks(Some(60_000)).await, Ok(NOW.after(BOUND)));
        assert_eq!(ground.interactive_deadline(), NOW.after(BOUND));
    }

    #[tokio::test]
    async fn the_peers_request_is_the_one_that_is_worked_for() {
        let ground = ground();
        let work = async { Ok(request::current()) };
        assert_eq!(answered(&ground, carried(None), work).await, Ok(Some(REQUEST)));
        let drawn = answered(&ground, Carried::default(), async { Ok(request::current()) }).await;
        assert!(drawn.is_ok_and(|drawn| drawn.is_some_and(|drawn| drawn != REQUEST)));
    }
}
