//! Where the console is: where it listens, and what browsers call it.

use std::net::{Ipv4Addr, SocketAddr};

use qpq_core::Domain;
use qpq_service::ConsolePlace;

/// Where the console listens: as configured, but on loopback until `anybody` can sign in. Whoever finds the setup link before
/// becomes the owner, so they have to sit at this machine.
pub(super) fn listens(configured: Option<SocketAddr>, anybody: bool) -> Option<SocketAddr> {
    configured.map(|address| {
        if anybody || address.ip().is_loopback() {
            address
        } else {
            SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
        }
    })
}

/// Where browsers find it: they allow passkeys on `localhost` and on names, never on an IP address.
pub(super) fn place(domain: &Domain, name: Option<&Domain>, listens: SocketAddr) -> ConsolePlace {
    let (origin, rp_id) = match name {
        Some(name) => (format!("https://{name}"), name.to_string()),
        None => (format!("http://localhost:{}", listens.port()), "localhost".to_owned()),
    };
    ConsolePlace { origin, rp_id, domain: domain.to_string() }
}

/// How people open what listens there.
pub(super) fn url(address: SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        return format!("http://localhost:{}", address.port());
    }
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_reaches_it_until_somebody_can_sign_in() {
        for (configured, before, after) in [
            ("0.0.0.0:7445", "127.0.0.1:7445", "0.0.0.0:7445"),
            ("[::]:7445", "127.0.0.1:7445", "[::]:7445"),
            ("192.0.2.7:443", "127.0.0.1:443", "192.0.2.7:443"),
            ("[::1]:7445", "[::1]:7445", "[::1]:7445"),
            ("127.0.0.2:7445", "127.0.0.2:7445", "127.0.0.2:7445"),
        ] {
            let address = |text: &str| Some(text.parse().unwrap());
            assert_eq!(listens(address(configured), false), address(before), "{configured}");
            assert_eq!(listens(address(configured), true), address(after), "{configured}");
        }
        assert_eq!((listens(None, false), listens(None, true)), (None, None));
    }

    #[test]
    fn browsers_are_told_a_name_that_they_allow_passkeys_for() {
        let (domain, name): (Domain, Domain) =
            ("alpha.test".parse().unwrap(), "admin.alpha.test".parse().unwrap());
        let local = place(&domain, None, "127.0.0.1:7445".parse().unwrap());
        assert_eq!((local.origin.as_str(), local.rp_id.as_str()), ("http://localhost:7445", "localhost"));
        let named = place(&domain, Some(&name), "127.0.0.1:7445".parse().unwrap());
        assert_eq!(
            (named.origin.as_str(), named.rp_id.as_str()),
            ("https://admin.alpha.test", "admin.alpha.test")
        );
    }
}
