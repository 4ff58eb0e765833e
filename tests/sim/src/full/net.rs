//! A network in memory: datagrams between the endpoints of one run, lost and late as the seed says.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    future::Future,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use quinn::{
    AsyncTimer, AsyncUdpSocket, Runtime, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{
    dice::Dice,
    faults::{Counts, Fault},
    history::DomainNo,
};

/// Where peers dial a domain.
pub(crate) fn address(domain: DomainNo) -> SocketAddr {
    let host = u8::try_from(domain).unwrap_or(u8::MAX).saturating_add(1);
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), 7444)
}

fn domain_at(address: SocketAddr) -> DomainNo {
    match address.ip() {
        IpAddr::V4(ip) => usize::from(ip.octets()[3]).saturating_sub(1),
        IpAddr::V6(_) => usize::MAX,
    }
}

/// Datagrams in a thousand that are lost and late.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) late: u64,
}

/// The network of a run. Clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Net(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    sent: Notify,
}

struct State {
    dice: Dice,
    weather: Weather,
    healed: bool,
    cuts: BTreeSet<(DomainNo, DomainNo)>,
    order: u64,
    on_the_way: BTreeMap<(Instant, u64), Datagram>,
    arrived: BTreeMap<(DomainNo, DomainNo), u64>,
    inboxes: BTreeMap<SocketAddr, Arc<Inbox>>,
    counts: Counts,
    /// What was sent, in order: the mark of the whole run's packets.
    trace: u64,
}

struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    order: u64,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Inbox(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    waker: Option<Waker>,
}

/// What a full inbox of a socket drops.
const INBOX: usize = 1_024;

impl Net {
    pub(crate) fn new(dice: Dice, weather: Weather) -> Self {
        let state = State {
            dice,
            weather,
            healed: false,
            cuts: BTreeSet::new(),
            order: 0,
            on_the_way: BTreeMap::new(),
            arrived: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            counts: Counts::default(),
            trace: 0,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), sent: Notify::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A socket at a domain's address; one that was there before hears nothing any more.
    pub(crate) fn socket(&self, domain: DomainNo) -> Arc<dyn AsyncUdpSocket> {
        let (inbox, local) = (Arc::new(Inbox::default()), address(domain));
        self.state().inboxes.insert(local, Arc::clone(&inbox));
        Arc::new(Socket { net: self.clone(), inbox, local })
    }

    /// Nothing arrives at a domain's address any more.
    pub(crate) fn unplug(&self, domain: DomainNo) {
        self.state().inboxes.remove(&address(domain));
    }

    pub(crate) fn cut(&self, from: DomainNo, to: DomainNo) {
        self.state().cuts.insert((from, to));
    }

    pub(crate) fn mend(&self, from: DomainNo, to: DomainNo) {
        self.state().cuts.remove(&(from, to));
    }

    /// From now on everything arrives, soon and in order.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        state.healed = true;
        state.cuts.clear();
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    /// A number that is the same for the same packets in the same order.
    pub(crate) fn trace(&self) -> u64 {
        self.state().trace
    }

    /// Carries datagrams for ever.
    pub(crate) async fn carry(self) {
        loop {
            let next = self.state().on_the_way.keys().next().map(|(at, _)| *at);
            let sent = self.0.sent.notified();
            match next {
                None => sent.await,
                Some(at) if at <= Instant::now() => self.deliver(),
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = sent => {}
                        () = sleep_until(at) => {}
                    }
                }
            }
        }
    }

    fn deliver(&self) {
        let mut state = self.state();
        let Some((_, datagram)) = state.on_the_way.pop_first() else { return };
        let way = (domain_at(datagram.from), domain_at(datagram.to));
        let last = state.arrived.entry(way).or_insert(0);
        let late = datagram.order < *last;
        *last = datagram.order.max(*last);
        if late {
            state.counts.add(Fault::Reordering);
        }
        let Some(inbox) = state.inboxes.get(&datagram.to).map(Arc::clone) else { return };
        drop(state);
        let mut waiting = inbox.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.datagrams.len() < INBOX {
            waiting.datagrams.push_back((datagram.from, datagram.bytes));
        }
        if let Some(waker) = waiting.waker.take() {
            drop(waiting);
            waker.wake();
        }
    }

    fn send(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let mut state = self.state();
        state.order = state.order.saturating_add(1);
        let order = state.order;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        state.trace = (state.trace ^ size ^ (order << 16)).wrapping_mul(0x0100_0000_01b3);
        if state.cuts.contains(&(domain_at(from), domain_at(to))) {
            return;
        }
        let mut wait = state.dice.between(2_000, 20_000);
        if !state.healed {
            let Weather { loss, late } = state.weather;
            if state.dice.per_mille(loss) {
                return state.counts.add(Fault::Loss);
            }
            if state.dice.per_mille(late) {
                state.counts.add(Fault::Latency);
                wait = state.dice.between(200_000, 3_000_000);
            }
        }
        let at = Instant::now() + Duration::from_micros(wait);
        state.on_the_way.insert((at, order), Datagram { from, to, order, bytes: bytes.to_vec() });
        drop(state);
        self.0.sent.notify_one();
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").finish_non_exhaustive()
    }
}

struct Socket {
    net: Net,
    inbox: Arc<Inbox>,
    local: SocketAddr,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("local", &self.local).finish_non_exhaustive()
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.net.send(self.local, transmit.destination, transmit.contents);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut waiting = self.inbox.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut received = 0;
        for (buffer, meta) in bufs.iter_mut().zip(meta) {
            let Some((from, bytes)) = waiting.datagrams.pop_front() else { break };
            let Some(room) = buffer.get_mut(..bytes.len()) else { continue };
            room.copy_from_slice(&bytes);
            *meta = RecvMeta { addr: from, len: bytes.len(), stride: bytes.len(), ecn: None, dst_ip: None };
            received += 1;
        }
        if received > 0 {
            return Poll::Ready(Ok(received));
        }
        waiting.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// Sending never waits.
#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// quinn's tasks and timers: on the run's clock, and in the local set of the domain that they work for.
#[derive(Debug)]
pub(crate) struct OnThisThread;

impl Runtime for OnThisThread {
    fn new_timer(&self, at: std::time::Instant) -> Pin<Box<dyn AsyncTimer>> {
        quinn::TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(tokio::task::spawn_local(future));
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}
