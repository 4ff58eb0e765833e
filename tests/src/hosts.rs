//! Hosts of their own: each a network namespace with two network cards on one bridge, links cut by `ip link`.
//!
//! Over the first card a host reaches the others: that is the one which is cut and narrowed. Over the second the test's
//! clients reach the host, as users reach their homeserver while the line to another domain is bad. The bridge has addresses
//! too, so the test itself (its clients, its UDP proxies) reaches every host. Where namespaces
//! are not permitted, [`Network::open`] says why, and the suite says so where a person reads it.

use std::{
    cell::Cell,
    fs::{File, OpenOptions, TryLockError},
    net::Ipv4Addr,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

/// Networks of tests that run at the same time.
const NETWORKS: u8 = 200;
/// Hosts of one network.
const HOSTS: u8 = 250;
/// An address of a card that nobody has.
const NOBODY: &str = "02:00:00:00:00:99";

/// One bridge and its hosts. All of it vanishes with this value.
#[derive(Debug)]
pub struct Network {
    number: u8,
    hosts: Cell<u8>,
    /// Keeps the number ours.
    _lock: File,
}

/// A host on a network. It vanishes with this value.
#[derive(Debug)]
pub struct Host {
    namespace: String,
    /// The ends of its cables at the bridge.
    port: String,
    client_port: String,
    address: Ipv4Addr,
    client_address: Ipv4Addr,
}

impl Network {
    /// Makes a network, or says why none can be made here.
    pub fn open() -> anyhow::Result<Result<Self, String>> {
        let directory = std::env::temp_dir().join("qpq-test-networks");
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("could not make {}", directory.display()))?;
        for number in 0..NETWORKS {
            let path = directory.join(number.to_string());
            let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            match lock.try_lock() {
                Ok(()) => return Ok(Self { number, hosts: Cell::new(0), _lock: lock }.made()),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        anyhow::bail!("{NETWORKS} networks are in use")
    }

    fn made(self) -> Result<Self, String> {
        // What a killed test left behind.
        self.remove();
        let (bridge, probe) = (self.bridge(), format!("qpq{}-probe", self.number));
        let here = format!("{}/24", self.address());
        let for_clients = format!("{}/24", Ipv4Addr::new(10, 214, self.number, 1));
        let steps: [&[&str]; 6] = [
            &["netns", "add", &probe],
            &["netns", "exec", &probe, "ip", "link", "set", "lo", "up"],
            &["link", "add", &bridge, "type", "bridge"],
            &["address", "add", &here, "dev", &bridge],
            &["address", "add", &for_clients, "dev", &bridge],
            &["link", "set", &bridge, "up"],
        ];
        let made = steps.into_iter().try_for_each(|step| ip(step).map(drop));
        drop(ip(&["netns", "del", &probe]));
        made.map(|()| self).map_err(|error| format!("{error:#}"))
    }

    /// The test's own address on it.
    pub const fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.number, 1)
    }

    /// A new host.
    pub fn host(&self) -> anyhow::Result<Host> {
        let last = self.hosts.get() + 2;
        ensure!(last < HOSTS, "the network is full");
        self.hosts.set(last - 1);
        let name = format!("qpq{}-{last}", self.number);
        let host = Host {
            port: format!("{name}p"),
            client_port: format!("{name}q"),
            address: Ipv4Addr::new(10, 213, self.number, last),
            client_address: Ipv4Addr::new(10, 214, self.number, last),
            namespace: name,
        };
        ip(&["netns", "add", &host.namespace])?;
        ip(&["-n", &host.namespace, "link", "set", "lo", "up"])?;
        self.plug(&host, &host.port, "eth0", host.address)?;
        self.plug(&host, &host.client_port, "eth1", host.client_address)?;
        Ok(host)
    }

    /// A cable from the bridge to a new card of a host.
    fn plug(&self, host: &Host, port: &str, card: &str, address: Ipv4Addr) -> anyhow::Result<()> {
        let (end, with_prefix) = (format!("{port}c"), format!("{address}/24"));
        let inside = |step: &[&str]| ip(&[&["-n", &host.namespace], step].concat());
        // A namespace that was deleted lets go of its cables a moment later; the next test may have the same number by then.
        drop(ip(&["link", "del", port]));
        ip(&["link", "add", port, "type", "veth", "peer", "name", &end])?;
        ip(&["link", "set", port, "master", &self.bridge(), "up"])?;
        ip(&["link", "set", &end, "netns", &host.namespace])?;
        inside(&["link", "set", &end, "name", card])?;
        inside(&["address", "add", &with_prefix, "dev", card])?;
        inside(&["link", "set", card, "up"]).map(drop)
    }

    fn bridge(&self) -> String {
        format!("qpq{}", self.number)
    }

    fn remove(&self) {
        let ours = format!("qpq{}-", self.number);
        for name in ip(&["netns", "list"]).unwrap_or_default().lines() {
            if let Some(name) = name.split(' ').next().filter(|name| name.starts_with(&ours)) {
                drop(ip(&["netns", "del", name]));
            }
        }
        drop(ip(&["link", "del", &self.bridge()]));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Host {
    /// Its address for other hosts.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its address for clients.
    pub const fn client_address(&self) -> Ipv4Addr {
        self.client_address
    }

    /// The namespace that its programs run in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Cuts its link to other hosts: nothing comes and nothing goes.
    pub fn cut(&self) -> anyhow::Result<()> {
        ip(&["link", "set", &self.port, "down"]).map(drop)
    }

    /// Mends its link.
    pub fn mend(&self) -> anyhow::Result<()> {
        ip(&["link", "set", &self.port, "up"]).map(drop)
    }

    /// Cuts one way: what this host sends to `other` goes to a card that nobody has, what `other` sends arrives.
    pub fn mute_towards(&self, other: &Self) -> anyhow::Result<()> {
        let other = other.address.to_string();
        let to = ["neigh", "replace", &other, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent"];
        ip(&[&["-n", &self.namespace], to.as_slice()].concat()).map(drop)
    }

    /// Undoes [`Self::mute_towards`].
    pub fn unmute_towards(&self, other: &Self) -> anyhow::Result<()> {
        let other = other.address.to_string();
        ip(&["-n", &self.namespace, "neigh", "del", &other, "dev", "eth0"]).map(drop)
    }

    /// Lets only so many kilobits per second of what this host sends to others through. What doesn't fit waits, and what would wait too
    /// long is lost.
    pub fn narrow(&self, kilobits: u32) -> anyhow::Result<()> {
        let rate = format!("{kilobits}kbit");
        let inside =
            ["netns", "exec", &self.namespace, "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf"];
        ip(&[inside.as_slice(), &["rate", &rate, "burst", "8kb", "latency", "400ms"]].concat()).map(drop)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Its ends of the cables go with the namespace, and the others with them.
        drop(ip(&["netns", "del", &self.namespace]));
        drop(ip(&["link", "del", &self.port]));
        drop(ip(&["link", "del", &self.client_port]));
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<String> {
    let what = format!("ip {}", arguments.join(" "));
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not run `{what}`"))?;
    ensure!(output.status.success(), "`{what}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
