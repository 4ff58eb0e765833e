//! One direction of one caller: packets wait here until they are due.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    net::SocketAddr,
    rc::Rc,
};

use qpq_core::SeededEntropy;
use tokio::{net::UdpSocket, time::Instant};

use super::{
    Sky,
    fate::{Direction, Fate, fate},
};

/// No UDP packet is larger.
const LARGEST: usize = 65_536;
/// Packets under way in one direction; what comes beyond is lost, as on a real line.
const UNDER_WAY: usize = 65_536;

/// Where a packet goes.
pub(super) enum Destination {
    /// To the server, over a caller's socket.
    Connected(Rc<UdpSocket>),
    /// Back to a caller.
    To(Rc<UdpSocket>, SocketAddr),
}

/// A packet that waits.
struct Waiting {
    due: Instant,
    /// Of two that are due at once, the one that came first goes first.
    number: u64,
    bytes: Vec<u8>,
    destination: Rc<Destination>,
}

/// One direction.
pub(super) struct Lane {
    direction: Direction,
    sky: Rc<Sky>,
    entropy: SeededEntropy,
    waiting: BinaryHeap<Reverse<Waiting>>,
    number: u64,
}

impl Lane {
    pub(super) fn new(direction: Direction, sky: Rc<Sky>, seed: u64) -> Self {
        Self { direction, sky, entropy: SeededEntropy::new(seed), waiting: BinaryHeap::new(), number: 0 }
    }

    /// Takes packets and sends them on when they are due; runs until it is dropped. A packet without a destination is lost.
    pub(super) async fn run<F>(mut self, receive: F)
    where
        F: AsyncFn(&mut [u8]) -> Option<(usize, Destination)>,
    {
        let mut buffer = vec![0; LARGEST];
        loop {
            let due = self.waiting.peek().map(|Reverse(first)| first.due);
            let idle = due.is_none();
            let wait = tokio::time::sleep_until(due.unwrap_or_else(Instant::now));
            tokio::select! {
                biased;
                () = wait, if !idle => self.send_first().await,
                received = receive(&mut buffer) => if let Some((length, destination)) = received {
                    self.take(buffer.get(..length).unwrap_or_default(), destination);
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8], destination: Destination) {
        let fate = fate(&self.sky.weather.get(), self.sky.cut.get(), self.direction, &mut self.entropy);
        let mut counts = self.sky.counts.get();
        match fate {
            Fate::Arrives { after, again_after, held_back } if self.waiting.len() < UNDER_WAY => {
                let (now, destination) = (Instant::now(), Rc::new(destination));
                for after in [Some(after), again_after].into_iter().flatten() {
                    counts.passed += 1;
                    self.number += 1;
                    self.waiting.push(Reverse(Waiting {
                        due: now + after,
                        number: self.number,
                        bytes: bytes.to_vec(),
                        destination: Rc::clone(&destination),
                    }));
                }
                counts.doubled += u64::from(again_after.is_some());
                counts.held_back += u64::from(held_back);
            }
            Fate::Arrives { .. } | Fate::Lost => counts.lost += 1,
        }
        self.sky.counts.set(counts);
    }

    /// What the other end doesn't take is lost, as on a real line.
    async fn send_first(&mut self) {
        let Some(Reverse(Waiting { bytes, destination, .. })) = self.waiting.pop() else { return };
        match &*destination {
            Destination::Connected(socket) => drop(socket.send(&bytes).await),
            Destination::To(socket, to) => drop(socket.send_to(&bytes, to).await),
        }
    }
}

impl Waiting {
    const fn place(&self) -> (Instant, u64) {
        (self.due, self.number)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}
