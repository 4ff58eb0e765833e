//! The cap on calls in flight of one session; who gets no permit is answered `overloaded`.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts the calls in flight of one session. Clones share the count.
#[derive(Debug, Clone)]
pub struct CallGate(Arc<Count>);

#[derive(Debug)]
struct Count {
    limit: usize,
    in_flight: AtomicUsize,
}

impl CallGate {
    /// Lets so many calls in at once.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Count { limit, in_flight: AtomicUsize::new(0) }))
    }

    /// A permit for one call, to be held until it is answered; `None` when the limit is reached.
    pub fn try_enter(&self) -> Option<CallPermit> {
        let below = |count: usize| (count < self.0.limit).then(|| count + 1);
        self.0.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, below).ok()?;
        Some(CallPermit(Arc::clone(&self.0)))
    }

    /// The calls in flight now.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Acquire)
    }
}

/// One call in flight; dropping it lets the next one in.
#[derive(Debug)]
pub struct CallPermit(Arc<Count>);

impl Drop for CallPermit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_beyond_the_limit_gets_no_permit_until_one_ends() {
        let gate = CallGate::new(2);
        let first = gate.try_enter().unwrap();
        let _second = gate.try_enter().unwrap();
        assert!(gate.try_enter().is_none());
        drop(first);
        assert!(gate.try_enter().is_some());
        assert_eq!(gate.in_flight(), 1);
    }
}
