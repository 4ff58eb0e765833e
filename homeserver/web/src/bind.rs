//! Binding: the configured address, or the default one, or a free port where the default is taken.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

/// Where the admin listener is when nobody says otherwise.
const ADMIN_PORT: u16 = 7445;
/// Free ports that are tried until one is free on both loopback addresses.
const TRIES: usize = 16;

/// An address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("could not listen on {address} (`{key}`): give another address, or stop what holds this one")]
pub struct BindError {
    /// The setting.
    pub key: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Sockets that are bound and not served yet.
#[derive(Debug)]
pub struct Bound {
    /// Never empty; all have the same port.
    pub listeners: Vec<TcpListener>,
    /// The address that people are told.
    pub address: SocketAddr,
    /// The default port was taken, so this is another one.
    pub moved: bool,
}

/// Binds the admin listener: exactly what is configured; else `127.0.0.1` and `::1` on the default port, or on a free one.
pub fn bind_admin(configured: Option<SocketAddr>) -> Result<Bound, BindError> {
    const KEY: &str = "admin.listen";
    if let Some(address) = configured {
        return exactly(KEY, address);
    }
    if let Ok(bound) = loopback(KEY, ADMIN_PORT) {
        return Ok(bound);
    }
    let mut last = None;
    for _ in 0..TRIES {
        match loopback(KEY, 0) {
            Ok(bound) => return Ok(Bound { moved: true, ..bound }),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| BindError {
        key: KEY,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        source: io::ErrorKind::AddrInUse.into(),
    }))
}

/// Binds the public listener where it is configured.
pub fn bind_public(address: SocketAddr) -> Result<Bound, BindError> {
    exactly("public.listen", address)
}

fn exactly(key: &'static str, address: SocketAddr) -> Result<Bound, BindError> {
    let mut bound = one(key, address)?;
    // A browser that is told `localhost` may try ::1 first.
    if address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST)
        && let Ok(six) = one(key, SocketAddr::from((Ipv6Addr::LOCALHOST, bound.address.port())))
    {
        bound.listeners.extend(six.listeners);
    }
    Ok(bound)
}

/// Both loopback addresses on one port. A machine without IPv6 has one of them.
fn loopback(key: &'static str, port: u16) -> Result<Bound, BindError> {
    let mut four = one(key, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    match one(key, SocketAddr::from((Ipv6Addr::LOCALHOST, four.address.port()))) {
        Ok(six) => four.listeners.extend(six.listeners),
        Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => return Err(error),
        Err(error) => tracing::debug!(%error, "the console has no IPv6 address"),
    }
    Ok(four)
}

fn one(key: &'static str, address: SocketAddr) -> Result<Bound, BindError> {
    let fault = |source| BindError { key, address, source };
    let listener = TcpListener::bind(address).map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    Ok(Bound { listeners: vec![listener], address, moved: false })
}
