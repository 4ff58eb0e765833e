//! Where a homeserver is reached, and by what it is known: an address and a pin or a CA.

use std::{fmt, str::FromStr};

use qpq_core::Pin;
use qpq_transport::ServerTrust;

use crate::ClientError;

/// `HOST:PORT`, the host being a name or an IP address (IPv6 in brackets).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ServerAddress {
    host: String,
    port: u16,
}

impl ServerAddress {
    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The UDP port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ServerAddress {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let refused = || ClientError::ServerAddress { text: text.chars().take(64).collect() };
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(refused)?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match bracketed {
            Some(ip) if ip.parse::<std::net::Ipv6Addr>().is_ok() => ip,
            Some(_) => return Err(refused()),
            None if host.is_empty() || host.contains([':', '/', '@', ' ']) => return Err(refused()),
            None => host,
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How the homeserver proves that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Its internal CA's key, as `qpq-server info` prints it.
    Pin(Pin),
    /// Certificates of CAs, in PEM form.
    Authorities(String),
}

/// A homeserver as a user names it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Server {
    /// Where it is.
    pub address: ServerAddress,
    /// What it is known by.
    pub trust: Trust,
}

impl Server {
    /// As the transport takes it.
    pub(crate) fn anchors(&self) -> Result<ServerTrust, ClientError> {
        match &self.trust {
            Trust::Pin(pin) => Ok(ServerTrust::Pin(*pin)),
            Trust::Authorities(pem) => ServerTrust::from_ca_pem(pem)
                .map_err(|error| ClientError::Setup { what: format!("the CA file can't be used: {error}") }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_accepted() {
        for text in ["127.0.0.1:7443", "chat.alpha.example:1", "[::1]:7443", "localhost:7443"] {
            assert_eq!(text.parse::<ServerAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", ":7443", "host", "host:", "host:0", "host:99999", "::1:7443", "[x]:1", "a b:1", "a/b:1"]
        {
            assert!(text.parse::<ServerAddress>().is_err(), "{text:?} was accepted");
        }
    }
}
