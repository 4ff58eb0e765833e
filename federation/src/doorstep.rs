//! Who may shake hands: everybody, except that an address from which a peer misbehaved gets one attempt a second for a while.
//!
//! A handshake is the dearest thing that somebody can ask for, and it comes before anything is known of who asks. An address
//! may be shared, so it is never shut out: whoever else is there gets in at the second or third attempt.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use qpq_core::{Millis, Timestamp};
use qpq_delivery::rates::{Rate, Rates};

/// How long an address is in disgrace.
const DISGRACE: Millis = Millis::from_secs(30);
/// Handshakes of an address in disgrace.
const HANDSHAKES: Rate = Rate { burst: 2, refill: Millis::from_secs(1) };
/// Addresses that are remembered.
const ADDRESSES: usize = 1_000;

/// The doorstep of the listener.
#[derive(Debug)]
pub(crate) struct Doorstep(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Until when.
    disgraced: BTreeMap<IpAddr, Timestamp>,
    handshakes: Rates<IpAddr>,
}

impl Default for Doorstep {
    fn default() -> Self {
        let handshakes = Rates::new(HANDSHAKES, ADDRESSES);
        Self(Mutex::new(State { disgraced: BTreeMap::new(), handshakes }))
    }
}

impl Doorstep {
    /// A peer at this address was hung up on.
    pub(crate) fn disgrace(&self, address: IpAddr, now: Timestamp) {
        let mut state = self.state();
        if state.disgraced.len() >= ADDRESSES {
            state.disgraced.retain(|_, until| *until > now);
        }
        if state.disgraced.len() < ADDRESSES {
            state.disgraced.insert(address, now.after(DISGRACE));
        }
    }

    /// Whether somebody at this address may shake hands now.
    pub(crate) fn admits(&self, address: IpAddr, now: Timestamp) -> bool {
        let mut state = self.state();
        match state.disgraced.get(&address) {
            Some(until) if *until > now => state.handshakes.take(&address, 1, now).is_ok(),
            Some(_) => {
                state.disgraced.remove(&address);
                true
            }
            None => true,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_disgrace_gets_one_attempt_a_second_and_is_forgiven() {
        let (door, now) = (Doorstep::default(), Timestamp::from_millis(1_000_000));
        let [bad, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        assert!((0..100).all(|_| door.admits(bad, now)), "nobody is in disgrace");
        door.disgrace(bad, now);
        assert_eq!((0..100).filter(|_| door.admits(bad, now)).count(), 2);
        assert!(door.admits(other, now));
        assert!(door.admits(bad, now.after(HANDSHAKES.refill)));
        let later = now.after(DISGRACE);
        assert!((0..100).all(|_| door.admits(bad, later)));
    }
}
