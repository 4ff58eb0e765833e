//! The request that work is done for: its id and its end, which go along with the work as its span does.
//!
//! Neither changes what a use case decides, so neither is an argument. The edges begin a request ([`within`]), the
//! writer takes its id along with each job, and rows for other domains carry it there (docs/decisions/0023).

use qpq_core::{RequestId, Timestamp};

tokio::task_local! {
    static ID: Option<RequestId>;
    static DEADLINE: Timestamp;
}

/// Works for a request that ends at `deadline`; whoever asks further on gives others no more time than that.
pub async fn within<F: Future>(id: RequestId, deadline: Timestamp, work: F) -> F::Output {
    DEADLINE.scope(deadline, ID.scope(Some(id), work)).await
}

/// Works in the name of a request that has been answered, or of none.
pub async fn of<F: Future>(id: Option<RequestId>, work: F) -> F::Output {
    ID.scope(id, work).await
}

/// The request that is worked for.
pub fn current() -> Option<RequestId> {
    ID.try_with(|id| *id).ok().flatten()
}

/// When it ends.
pub fn deadline() -> Option<Timestamp> {
    DEADLINE.try_with(|deadline| *deadline).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RequestId = RequestId::from_bytes([7; 16]);

    #[tokio::test]
    async fn work_knows_its_request_and_no_other() {
        assert_eq!(current(), None);
        let end = Timestamp::from_millis(9);
        let seen = within(ID, end, async { (current(), deadline()) }).await;
        assert_eq!(seen, (Some(ID), Some(end)));
        let row = within(ID, end, of(None, async { current() })).await;
        assert_eq!((row, current(), deadline()), (None, None, None));
    }
}
