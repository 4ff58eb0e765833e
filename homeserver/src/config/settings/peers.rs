//! How peers find us, and we them.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use qpq_federation::{DiscoverySettings, Dnssec};
use qpq_federation_proto::{AddressError, FederationAddress, PrivateTargets};

use super::{ConfigError, Layers, dialled, flag, optional, read};

/// What peers are told to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The listen address.
    Listen,
    /// This one.
    Address(FederationAddress),
    /// Nothing: they ask DNS.
    Dns,
}

impl Told {
    /// The address, for a listener that is bound here; `None`: DNS says it.
    pub(crate) fn address(&self, bound: SocketAddr) -> Result<Option<FederationAddress>, AddressError> {
        match self {
            Self::Listen => bound.to_string().parse().map(Some),
            Self::Address(address) => Ok(Some(address.clone())),
            Self::Dns => Ok(None),
        }
    }

    /// As people read it.
    pub(crate) fn shown(&self, bound: SocketAddr) -> String {
        match self {
            Self::Listen => bound.to_string(),
            Self::Address(address) => address.to_string(),
            Self::Dns => "dns".to_owned(),
        }
    }
}

/// How peers are found.
pub(super) fn discovery(layers: &Layers) -> Result<DiscoverySettings, ConfigError> {
    Ok(DiscoverySettings {
        servers: read(layers, "federation.dns", name_servers)?,
        dnssec: read(layers, "federation.dnssec", |text| match text {
            "validate" => Ok(Dnssec::Validate),
            "off" => Ok(Dnssec::Off),
            _ => Err("give `validate` or `off`".to_owned()),
        })?,
        anchors: read(layers, "federation.dns-anchors", optional(|text| Ok(PathBuf::from(text))))?,
        private: if read(layers, "federation.allow-private", flag)? {
            PrivateTargets::Allowed
        } else {
            PrivateTargets::Refused
        },
    })
}

fn name_servers(text: &str) -> Result<Vec<SocketAddr>, String> {
    let server = |text: &str| {
        let text = text.trim();
        let with_port = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53)));
        with_port.map_err(|_| format!("`{text}` is no name server: give IP or IP:PORT, for example 9.9.9.9"))
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(server).collect()
}

/// What peers are told to dial.
pub(super) fn told(text: &str) -> Result<Told, String> {
    if text == "dns" {
        return Ok(Told::Dns);
    }
    let Some(text) = dialled(text)? else { return Ok(Told::Listen) };
    text.parse().map(Told::Address).map_err(|error: AddressError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::parsed, *};

    #[test]
    fn peers_can_be_left_to_dns_and_dns_to_whom_one_likes() {
        let config = parsed(
            "domain = \"a.test\"\n[federation]\nlisten = \"0.0.0.0:7444\"\naddress = \"dns\"\n\
             dns = \"9.9.9.9, [::1]:5353\"\ndnssec = \"off\"\nallow-private = true",
        )
        .unwrap();
        assert_eq!(config.federation_address, Told::Dns);
        let servers: Vec<SocketAddr> = vec!["9.9.9.9:53".parse().unwrap(), "[::1]:5353".parse().unwrap()];
        assert_eq!(config.discovery.servers, servers);
        assert_eq!(config.discovery.dnssec, Dnssec::Off);
        assert_eq!(config.discovery.private, PrivateTargets::Allowed);
        for (line, wanted) in [
            ("dns = \"dns.test\"", "`dns.test` is no name server"),
            ("dnssec = \"maybe\"", "`validate` or `off`"),
            ("address = \"a.test\"", "HOST:PORT"),
        ] {
            let error =
                parsed(&format!("domain = \"a.test\"\n[federation]\n{line}")).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
