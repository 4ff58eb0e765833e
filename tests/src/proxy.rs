//! A UDP proxy of ours between two programs: it loses, delays, reorders and doubles packets, and cuts either direction,
//! as the test says at that moment and by a seed.
//!
//! Many kernels lack netem, and a test wants to change the weather while programs talk. Every program that sends to
//! [`UdpProxy::address`] gets a socket of its own towards the server, so that answers find their way back. What happens
//! to a packet is decided in `fate`, without a socket.

mod fate;
mod lane;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

use anyhow::Context as _;
use tokio::{net::UdpSocket, task::JoinHandle, task::spawn_local};

pub use fate::{Cut, Direction, Weather};
use lane::{Destination, Lane};

/// Programs that may talk through one proxy.
const CALLERS: usize = 64;

/// What a proxy did to packets so far, both directions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Went on, copies included.
    pub passed: u64,
    /// Were lost, or met a cut.
    pub lost: u64,
    /// Went on twice.
    pub doubled: u64,
    /// Were overtaken on purpose.
    pub held_back: u64,
}

/// A proxy that runs as long as this value lives.
#[derive(Debug)]
pub struct UdpProxy {
    address: SocketAddr,
    sky: Rc<Sky>,
    task: JoinHandle<()>,
}

/// What all lanes of a proxy look at.
#[derive(Debug)]
struct Sky {
    weather: Cell<Weather>,
    cut: Cell<Cut>,
    counts: Cell<Counts>,
}

impl UdpProxy {
    /// Begins to pass packets on to `server`, on this thread. It listens on a free port of `here`; its decisions follow
    /// from `seed` and the order of the packets.
    pub async fn start(here: IpAddr, server: SocketAddr, seed: u64) -> anyhow::Result<Self> {
        let listener = UdpSocket::bind((here, 0)).await.context("the proxy could not bind a socket")?;
        let address = listener.local_addr()?;
        let sky = Rc::new(Sky {
            weather: Cell::new(Weather::default()),
            cut: Cell::new(Cut::Nothing),
            counts: Cell::default(),
        });
        let calls = Calls {
            listener: Rc::new(listener),
            server,
            seed,
            sky: Rc::clone(&sky),
            callers: RefCell::default(),
        };
        let task = spawn_local(calls.forward());
        Ok(Self { address, sky, task })
    }

    /// What programs send to instead of the server.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather for packets that come from now on.
    pub fn set(&self, weather: Weather) {
        self.sky.weather.set(weather);
    }

    /// Cuts the line, or heals it. What is delayed already still arrives.
    pub fn cut(&self, cut: Cut) {
        self.sky.cut.set(cut);
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        self.sky.counts.get()
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The side that programs send to.
struct Calls {
    listener: Rc<UdpSocket>,
    server: SocketAddr,
    seed: u64,
    sky: Rc<Sky>,
    callers: RefCell<HashMap<SocketAddr, Caller>>,
}

/// One program that talks through the proxy: its socket towards the server, and the lane of the answers.
struct Caller {
    socket: Rc<UdpSocket>,
    answers: JoinHandle<()>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.answers.abort();
    }
}

impl Calls {
    async fn forward(self) {
        let listener = Rc::clone(&self.listener);
        let lane = Lane::new(Direction::Forth, Rc::clone(&self.sky), self.seed);
        lane.run(async |buffer| {
            let (length, from) = listener.recv_from(buffer).await.ok()?;
            Some((length, Destination::Connected(self.socket_of(from).await?)))
        })
        .await;
    }

    /// The socket of a caller, made at its first packet.
    async fn socket_of(&self, from: SocketAddr) -> Option<Rc<UdpSocket>> {
        if let Some(caller) = self.callers.borrow().get(&from) {
            return Some(Rc::clone(&caller.socket));
        }
        if self.callers.borrow().len() >= CALLERS {
            return None;
        }
        let any = if self.server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await.ok()?;
        socket.connect(self.server).await.ok()?;
        let socket = Rc::new(socket);
        let lane = Lane::new(Direction::Back, Rc::clone(&self.sky), self.seed ^ 1);
        let (source, listener) = (Rc::clone(&socket), Rc::clone(&self.listener));
        let answers = spawn_local(async move {
            lane.run(async |buffer| {
                let length = source.recv(buffer).await.ok()?;
                Some((length, Destination::To(Rc::clone(&listener), from)))
            })
            .await;
        });
        self.callers.borrow_mut().insert(from, Caller { socket: Rc::clone(&socket), answers });
        Some(socket)
    }
}

#[cfg(test)]
mod tests;
