//! Whose rows are stored when, as soon as more than one peer sends: one call of each at a time, and who sends a lot leaves
//! room between two.
//!
//! Rows of all peers go through the one writer of the database, in the order in which they come. A peer that always has
//! more would fill it, and everybody else's rows would wait behind each of its batches. So, if any other peer has sent
//! something lately, a peer's next rows wait until its last ones are stored, and after many rows several times as long
//! again: the others find the writer free most of the time. Who is alone, or sends little, waits for nobody.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use qpq_core::Domain;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use crate::slot::Slot;

/// How long a peer counts as one that others have to leave room for.
const LATELY: Duration = Duration::from_secs(2);
/// How many times the writer's time for its rows a peer waits before its next.
const ROOM: u32 = 3;
/// Calls of so many rows leave room by themselves: many of them share one transaction with what others send.
const FEW: usize = 32;
/// It never waits longer: what takes this long is a slow disk, not much work.
const LONGEST: Duration = Duration::from_millis(500);

/// Calls of one peer that read at once; further ones wait for these, and nobody else's wait for them.
const READS: usize = 2;

/// A peer's turn.
#[derive(Debug)]
pub(crate) struct Turn {
    rows: Semaphore,
    reads: Semaphore,
}

impl Default for Turn {
    fn default() -> Self {
        Self { rows: Semaphore::new(1), reads: Semaphore::new(READS) }
    }
}

impl Turn {
    /// Answers a call from what is stored here, when it is its turn. Not for calls that ask other domains: two domains
    /// that wait for each other's turns would wait until their deadlines.
    pub(crate) async fn read<T>(&self, answer: impl Future<Output = T>) -> T {
        let _turn = self.reads.acquire().await;
        answer.await
    }
}

/// Who has sent rows lately.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<BTreeMap<Domain, Instant>>);

impl Turns {
    /// Stores so many rows of a peer when it is its turn.
    pub(crate) async fn take<T>(&self, peer: &Slot, rows: usize, store: impl Future<Output = T>) -> T {
        let crowded = self.others_sent(&peer.domain, Instant::now());
        let turn = if crowded { peer.turn.rows.acquire().await.ok() } else { None };
        let started = Instant::now();
        let stored = store.await;
        if crowded && rows > FEW {
            sleep(started.elapsed().saturating_mul(ROOM).min(LONGEST)).await;
        }
        drop(turn);
        stored
    }

    /// Notes that a peer sends, and says whether another did lately.
    fn others_sent(&self, peer: &Domain, now: Instant) -> bool {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately.retain(|_, at| now.saturating_duration_since(*at) < LATELY);
        let others = lately.keys().any(|other| other != peer);
        lately.insert(peer.clone(), now);
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn stores(turns: &Turns, peer: &Slot, rows: usize) -> Duration {
        let began = Instant::now();
        turns.take(peer, rows, async { sleep(Duration::from_millis(10)).await }).await;
        began.elapsed()
    }

    fn peer(name: &str) -> std::sync::Arc<Slot> {
        Slot::new(name.parse().unwrap()).0
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_much_leaves_room_for_who_sends_at_the_same_time() {
        let (turns, beta, gamma) = (Turns::default(), peer("beta.test"), peer("gamma.test"));
        assert_eq!(stores(&turns, &gamma, 2_000).await, Duration::from_millis(10), "nobody else sends");
        assert_eq!(stores(&turns, &beta, 1).await, Duration::from_millis(10), "little waits for nobody");
        assert_eq!(stores(&turns, &gamma, 2_000).await, Duration::from_millis(40));
        sleep(LATELY).await;
        assert_eq!(stores(&turns, &gamma, 2_000).await, Duration::from_millis(10), "alone again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peers_calls_are_stored_one_after_the_other_and_nobody_elses_wait() {
        let (turns, beta, gamma) = (Turns::default(), peer("beta.test"), peer("gamma.test"));
        let (other, first, second) =
            tokio::join!(stores(&turns, &beta, 1), stores(&turns, &gamma, 1), stores(&turns, &gamma, 1));
        assert_eq!([other, first, second].map(|took| took.as_millis()), [10, 10, 20]);
    }
}
