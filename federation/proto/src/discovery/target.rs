//! Which addresses DNS may lead us to. A name of the public DNS that leads into a private network is a mistake or an
//! attempt to make us knock at our own neighbours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether names may lead to addresses that only a private network has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateTargets {
    /// No: what DNS says about a domain leads to public addresses.
    Refused,
    /// Yes: an admin wrote the name into the peer's record, or said so for all.
    Allowed,
}

/// Why an address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Forbidden {
    /// `0.0.0.0/8` and `::`.
    #[error("an address of nobody")]
    Unspecified,
    /// `224.0.0.0/4` and `ff00::/8`, and the broadcast address.
    #[error("an address of many")]
    Multicast,
    /// `127.0.0.0/8` and `::1`.
    #[error("an address of this machine itself")]
    Loopback,
    /// `169.254.0.0/16` and `fe80::/10`.
    #[error("a link-local address")]
    LinkLocal,
    /// RFC 1918, `100.64.0.0/10`, `fc00::/7` and the former site-local addresses.
    #[error("an address of a private network")]
    Private,
    /// Set aside for examples (RFC 5737, RFC 3849, RFC 9637).
    #[error("an address for documentation")]
    Documentation,
    /// Set aside for something else that is not a host of the Internet.
    #[error("a reserved address")]
    Reserved,
}

impl Forbidden {
    /// Whether an admin can allow it: nobody answers at the others.
    const fn is_allowable(self) -> bool {
        match self {
            Self::Unspecified | Self::Multicast => false,
            Self::Loopback | Self::LinkLocal | Self::Private | Self::Documentation | Self::Reserved => true,
        }
    }
}

impl PrivateTargets {
    /// Whether this address may be dialled.
    pub fn judge(self, address: IpAddr) -> Result<(), Forbidden> {
        match (self, forbidden(address)) {
            (_, None) => Ok(()),
            (Self::Allowed, Some(why)) if why.is_allowable() => Ok(()),
            (_, Some(why)) => Err(why),
        }
    }
}

/// What is special about an address; `None`: it is a public one.
fn forbidden(address: IpAddr) -> Option<Forbidden> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => match inner(address) {
            Some(inner) => forbidden_v4(inner),
            None => forbidden_v6(address),
        },
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<Forbidden> {
    let found = match address.octets() {
        [0, ..] => Forbidden::Unspecified,
        [255, 255, 255, 255] | [224..=239, ..] => Forbidden::Multicast,
        [127, ..] => Forbidden::Loopback,
        [169, 254, ..] => Forbidden::LinkLocal,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Forbidden::Private,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Forbidden::Documentation,
        // Protocol assignments, the former 6to4 relays, benchmarks, and class E.
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [240..=255, ..] => Forbidden::Reserved,
        _ => return None,
    };
    Some(found)
}

/// The IPv4 address that packets to this one end at: mapped, compatible, NAT64 and 6to4 forms.
fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = |a: u16, b: u16| {
        let ([a, b], [c, d]) = (a.to_be_bytes(), b.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        // `::` and `::1` have the compatible form and mean something else.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => {
            Some(low(a, b))
        }
        _ => None,
    }
}

fn forbidden_v6(address: Ipv6Addr) -> Option<Forbidden> {
    let found = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Forbidden::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Forbidden::Loopback,
        [0xff00..=0xffff, ..] => Forbidden::Multicast,
        [0xfe80..=0xfebf, ..] => Forbidden::LinkLocal,
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Forbidden::Private,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Forbidden::Documentation,
        // Teredo, benchmarks and the other protocol assignments of 2001::/23.
        [0x2001, 0..=0x1ff, ..] => Forbidden::Reserved,
        [0x2000..=0x3fff, ..] => return None,
        // Nothing else has been given out.
        _ => Forbidden::Reserved,
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(text: &str) -> Option<Forbidden> {
        PrivateTargets::Refused.judge(text.parse().unwrap()).err()
    }

    #[test]
    fn what_is_not_a_host_of_the_internet_is_refused_with_its_reason() {
        for (why, addresses) in [
            (Forbidden::Unspecified, "0.0.0.0 0.1.2.3 :: ::ffff:0.0.0.0"),
            (Forbidden::Multicast, "224.0.0.1 239.255.255.255 255.255.255.255 ff02::1 ::ffff:224.0.0.1"),
            (Forbidden::Loopback, "127.0.0.1 127.255.0.1 ::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1"),
            (Forbidden::LinkLocal, "169.254.169.254 fe80::1 febf::1 ::ffff:169.254.169.254"),
            (Forbidden::Private, "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255"),
            (Forbidden::Private, "fc00::1 fd12::1 fec0::1 ::ffff:10.0.0.1 2002:a00:1::1 64:ff9b::c0a8:101"),
            (Forbidden::Private, "64:ff9b:1::1"),
            (Forbidden::Documentation, "192.0.2.1 198.51.100.7 203.0.113.255 2001:db8::1 3fff::1"),
            (
                Forbidden::Reserved,
                "192.0.0.8 192.88.99.1 198.18.0.1 240.0.0.1 2001::1 2001:2::1 100::1 5f00::1",
            ),
        ] {
            for address in addresses.split(' ') {
                assert_eq!(judged(address), Some(why), "{address}");
            }
        }
    }

    #[test]
    fn public_addresses_may_be_dialled() {
        for address in "9.9.9.9 172.32.0.1 100.128.0.1 192.0.1.1 2a00:1450::1 2001:4860::8888 2606:4700::1 \
                        ::ffff:9.9.9.9 64:ff9b::909:909 2002:909:909::1 3fff:1000::1"
            .split_whitespace()
        {
            assert_eq!(judged(address), None, "{address}");
        }
    }

    #[test]
    fn an_admin_can_allow_private_addresses_and_never_those_of_nobody() {
        for address in ["127.0.0.1", "::1", "10.0.0.1", "fe80::1", "fd00::1", "192.0.2.1"] {
            assert_eq!(PrivateTargets::Allowed.judge(address.parse().unwrap()), Ok(()), "{address}");
        }
        for address in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:0.0.0.0"] {
            assert!(PrivateTargets::Allowed.judge(address.parse().unwrap()).is_err(), "{address}");
        }
    }

    proptest! {
        #[test]
        fn an_ipv4_address_is_judged_the_same_in_all_its_ipv6_forms(address: u32) {
            let address = Ipv4Addr::from(address);
            let [a, b, c, d] = address.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let refused = PrivateTargets::Refused;
            let plain = refused.judge(address.into());
            prop_assert_eq!(refused.judge(address.to_ipv6_mapped().into()), plain);
            prop_assert_eq!(refused.judge(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low).into()), plain);
            prop_assert_eq!(refused.judge(Ipv6Addr::new(0x2002, high, low, 1, 0, 0, 0, 1).into()), plain);
        }
    }
}
