//! Where a domain's federation listener is dialled: `HOST:PORT`, a name or an IP address.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use qpq_core::Domain;

/// A dialable address. It may move; the domain is the identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FederationAddress {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Host {
    Name(Domain),
    Address(IpAddr),
}

/// Why a text is not a dialable address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not of the form `HOST:PORT`.
    #[error("`{text}` is not an address of the form HOST:PORT (IPv6 in brackets)")]
    Form {
        /// What was given, cut to 64 characters.
        text: String,
    },
    /// `0.0.0.0`, `[::]` or a multicast address.
    #[error("nobody can dial `{text}`: give the name or address under which others reach this domain")]
    NotDialable {
        /// What was given.
        text: String,
    },
}

impl FederationAddress {
    /// The host as a resolver or a socket wants it: a name, or an IP address without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        }
    }

    /// What must be looked up, or needn't be.
    pub(crate) const fn place(&self) -> &Host {
        &self.host
    }

    /// The UDP port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for FederationAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let form = || AddressError::Form { text: text.chars().take(64).collect() };
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        if text.len() > 255 || port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(form());
        }
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(form)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = if let Some(inner) = bracketed {
            Host::Address(inner.parse::<Ipv6Addr>().map_err(|_| form())?.into())
        } else if let Ok(address) = host.parse::<Ipv4Addr>() {
            Host::Address(address.into())
        } else {
            Host::Name(host.parse().map_err(|_| form())?)
        };
        if let Host::Address(address) = host
            && (address.is_unspecified() || address.is_multicast())
        {
            return Err(AddressError::NotDialable { text: text.to_owned() });
        }
        Ok(Self { host, port })
    }
}

impl fmt::Display for FederationAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_addresses_are_dialable() {
        for text in
            ["localhost:7444", "alpha.example:1", "127.0.0.1:7444", "[::1]:7444", "[2001:db8::1]:65535"]
        {
            assert_eq!(
                text.parse::<FederationAddress>().map(|address| address.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!("[::1]:7444".parse::<FederationAddress>().unwrap().host(), "::1");
    }

    #[test]
    fn what_nobody_can_dial_is_refused_in_words() {
        for text in [
            "",
            "alpha.example",
            ":7444",
            "alpha.example:0",
            "alpha.example:+1",
            "::1:7444",
            "a b:1",
            "a:70000",
        ] {
            assert!(matches!(text.parse::<FederationAddress>(), Err(AddressError::Form { .. })), "{text:?}");
        }
        for text in ["0.0.0.0:7444", "[::]:7444", "224.0.0.1:1"] {
            assert!(
                matches!(text.parse::<FederationAddress>(), Err(AddressError::NotDialable { .. })),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_round_trips(text in "\\PC{0,60}") {
            if let Ok(address) = text.parse::<FederationAddress>() {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
    }
}
