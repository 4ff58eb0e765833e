//! Wrong attempts: few for a name from one network, more from one network in all, and none of them counts for others.
//!
//! An attempt counts as wrong from its beginning until it turns out right, so that many at once are no way around.
//! Another network has a count of its own: nobody can lock an admin out from elsewhere. Counts live in memory; a restart
//! forgives them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use qpq_core::{ErrorCode, Millis, Timestamp};

use crate::{Answered, Refusal, SourceNetwork};

/// How long a wrong attempt counts.
const WINDOW: Millis = Millis::from_secs(15 * 60);
/// Wrong attempts for a name from one network.
const PER_NAME: usize = 3;
/// Wrong attempts from one network, whatever the names.
const PER_NETWORK: usize = 30;
/// The most keys that are remembered; the one that was wrong least lately is forgotten for a new one.
const KEYS: usize = 10_000;
/// What is remembered of a name.
const NAME: usize = 64;

/// Whose attempts are counted: of a name, or of the whole network.
type Key = (SourceNetwork, Option<String>);

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<BTreeMap<Key, Vec<Timestamp>>>);

/// An attempt that is under way, and counted as wrong until it is called right.
pub(super) struct Attempt<'a> {
    all: &'a Attempts,
    network: SourceNetwork,
    name: String,
    at: Timestamp,
}

impl Attempts {
    /// Counts an attempt, or refuses it and says when to try again.
    pub(super) fn begin(&self, network: &SourceNetwork, name: &str, now: Timestamp) -> Answered<Attempt<'_>> {
        let name: String = name.trim().to_lowercase().chars().take(NAME).collect();
        let keys =
            [((network.clone(), Some(name.clone())), PER_NAME), ((network.clone(), None), PER_NETWORK)];
        let mut counts = self.lock();
        for (key, most) in &keys {
            let Some(wrong) = counts.get_mut(key) else { continue };
            // What lies ahead was noted before the clock was set back.
            wrong.retain(|at| *at <= now && now.since(*at) < WINDOW);
            if wrong.len() >= *most
                && let Some(first) = wrong.get(wrong.len() - most)
            {
                return Err(Refusal::retry(
                    ErrorCode::RateLimited,
                    "too many wrong attempts from your network, wait before the next one",
                    Millis(first.after(WINDOW).since(now).0.max(1_000)),
                ));
            }
        }
        for (key, _) in keys {
            make_room(&mut counts, &key);
            counts.entry(key).or_default().push(now);
        }
        drop(counts);
        Ok(Attempt { all: self, network: network.clone(), name, at: now })
    }

    /// No change is ever half done under this lock, so poisoning is ignored.
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Vec<Timestamp>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// Passes an outcome on: right forgives, wrong counts, and what was not judged (the store failed) doesn't.
    pub(super) fn settled<T>(self, outcome: Answered<T>) -> Answered<T> {
        match &outcome {
            Ok(_) => self.right(),
            Err(refusal) if refusal.code == ErrorCode::LoginFailed => {}
            Err(_) => self.void(),
        }
        outcome
    }

    /// It was right: the name is forgiven from this network, and the network this attempt.
    fn right(self) {
        let name = (self.network.clone(), Some(self.name.clone()));
        self.void();
        self.all.lock().remove(&name);
    }

    /// It doesn't count.
    fn void(&self) {
        let mut counts = self.all.lock();
        for key in [(self.network.clone(), Some(self.name.clone())), (self.network.clone(), None)] {
            if let Some(wrong) = counts.get_mut(&key)
                && let Some(place) = wrong.iter().rposition(|at| *at == self.at)
            {
                wrong.remove(place);
            }
        }
    }
}

fn make_room(counts: &mut BTreeMap<Key, Vec<Timestamp>>, key: &Key) {
    if counts.len() < KEYS || counts.contains_key(key) {
        return;
    }
    let oldest = counts.iter().min_by_key(|(_, wrong)| wrong.last().copied()).map(|(key, _)| key.clone());
    if let Some(oldest) = oldest {
        counts.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + second * 1_000)
    }

    fn wrong(attempts: &Attempts, network: &str, name: &str, second: u64) -> Option<u64> {
        let refused = attempts.begin(&SourceNetwork::new(network), name, at(second)).err();
        refused.map(|refusal| {
            assert_eq!(refusal.code, ErrorCode::RateLimited);
            refusal.retry_after.unwrap().0 / 1_000
        })
    }

    #[test]
    fn the_fourth_wrong_one_waits_and_another_network_does_not() {
        let attempts = Attempts::default();
        for second in [0, 10, 20] {
            assert_eq!(wrong(&attempts, "a", "ann", second), None);
        }
        assert_eq!(wrong(&attempts, "a", " ANN ", 30), Some(870));
        assert_eq!(wrong(&attempts, "b", "ann", 30), None);
        assert_eq!(wrong(&attempts, "a", "bob", 30), None);
        assert_eq!(wrong(&attempts, "a", "ann", 899), Some(1));
        // The first one no longer counts, the others do.
        assert_eq!(wrong(&attempts, "a", "ann", 900), None);
        assert_eq!(wrong(&attempts, "a", "ann", 900), Some(10));
    }

    #[test]
    fn a_right_one_forgives_its_name_there() {
        let attempts = Attempts::default();
        for _ in 0..20 {
            assert_eq!(wrong(&attempts, "a", "ann", 0), None);
            assert_eq!(wrong(&attempts, "b", "ann", 0), None);
            attempts.begin(&SourceNetwork::new("a"), "ann", at(0)).unwrap().right();
            attempts.begin(&SourceNetwork::new("b"), "ann", at(0)).unwrap().right();
        }
    }

    #[test]
    fn what_was_not_judged_does_not_count() {
        let attempts = Attempts::default();
        for _ in 0..10 {
            let attempt = attempts.begin(&SourceNetwork::new("a"), "ann", at(0)).unwrap();
            let failed: Answered<()> = Err(Refusal::new(ErrorCode::NotStored, "the disk is full"));
            attempt.settled(failed).unwrap_err();
        }
        for _ in 0..3 {
            let attempt = attempts.begin(&SourceNetwork::new("a"), "ann", at(0)).unwrap();
            let wrong: Answered<()> = Err(Refusal::new(ErrorCode::LoginFailed, "no"));
            attempt.settled(wrong).unwrap_err();
        }
        assert_eq!(wrong(&attempts, "a", "ann", 0), Some(900));
    }

    #[test]
    fn a_network_is_bounded_whatever_the_names() {
        let attempts = Attempts::default();
        for name in 0..PER_NETWORK {
            assert_eq!(wrong(&attempts, "a", &name.to_string(), 0), None);
        }
        assert_eq!(wrong(&attempts, "a", "another", 0), Some(900));
        assert_eq!(wrong(&attempts, "b", "another", 0), None);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let attempts = Attempts::default();
        for _ in 0..3 {
            assert_eq!(wrong(&attempts, "a", "ann", 10_000), None);
        }
        assert_eq!(wrong(&attempts, "a", "ann", 5), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::default();
        for network in 0..KEYS + 10 {
            assert_eq!(wrong(&attempts, &network.to_string(), "ann", 0), None);
        }
        assert!(attempts.lock().len() <= KEYS);
    }
}
