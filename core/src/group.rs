//! The id of a conversation, which names the hub that orders it.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;

use crate::{Domain, Entropy, text_form::text_form};

/// An MLS group id (RFC 9420, section 8.1): 16 random bytes, the hub's term, the hub's domain.
///
/// Everybody who sees a message of the group can therefore tell which domain orders it. A hub that comes back
/// under a new term is a successor group, with an id of its own. Wire form: `random[16] ‖ u32 big-endian
/// term ‖ domain`; text form: `grp_<32 hex>.<term>@<domain>`. Ordered by the wire form's bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    random: [u8; 16],
    term: u32,
    hub: Domain,
}

/// Why bytes or a text are not a group id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a group id of the form grp_<32 hexadecimal digits>.<term>@<domain>")]
pub struct GroupIdError;

impl GroupId {
    /// Puts an id together from its parts.
    pub const fn new(random: [u8; 16], term: u32, hub: Domain) -> Self {
        Self { random, term, hub }
    }

    /// Draws an id for a new group that `hub` will order, in its first term.
    pub fn random(hub: Domain, entropy: &mut dyn Entropy) -> Self {
        let mut random = [0; 16];
        entropy.fill(&mut random);
        Self { random, term: 1, hub }
    }

    /// The domain that orders this group.
    pub const fn hub(&self) -> &Domain {
        &self.hub
    }

    /// The hub's term, from 1.
    pub const fn term(&self) -> u32 {
        self.term
    }

    /// The random part.
    pub const fn random_part(&self) -> &[u8; 16] {
        &self.random
    }

    /// The MLS group id.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20 + self.hub.as_str().len());
        bytes.extend_from_slice(&self.random);
        bytes.extend_from_slice(&self.term.to_be_bytes());
        bytes.extend_from_slice(self.hub.as_str().as_bytes());
        bytes
    }

    /// Reads an MLS group id.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GroupIdError> {
        let (random, rest) = bytes.split_first_chunk::<16>().ok_or(GroupIdError)?;
        let (term, hub) = rest.split_first_chunk::<4>().ok_or(GroupIdError)?;
        let text = std::str::from_utf8(hub).map_err(|_| GroupIdError)?;
        let hub: Domain = text.parse().map_err(|_| GroupIdError)?;
        if hub.as_str() != text {
            return Err(GroupIdError);
        }
        Ok(Self { random: *random, term: u32::from_be_bytes(*term), hub })
    }
}

impl FromStr for GroupId {
    type Err = GroupIdError;

    fn from_str(text: &str) -> Result<Self, GroupIdError> {
        let rest = text.strip_prefix("grp_").ok_or(GroupIdError)?;
        let (id, hub) = rest.split_once('@').ok_or(GroupIdError)?;
        let (hex, term) = id.split_once('.').ok_or(GroupIdError)?;
        let random = HEXLOWER.decode(hex.as_bytes()).map_err(|_| GroupIdError)?;
        Ok(Self {
            random: random.try_into().map_err(|_| GroupIdError)?,
            term: term.parse().map_err(|_| GroupIdError)?,
            hub: hub.parse().map_err(|_| GroupIdError)?,
        })
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "grp_{}.{}@{}", HEXLOWER.encode(&self.random), self.term, self.hub)
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_form!(GroupId);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_forms_round_trip(random: [u8; 16], term: u32) {
            let id = GroupId::new(random, term, "alpha.test".parse().unwrap());
            prop_assert_eq!(GroupId::from_bytes(&id.to_bytes()), Ok(id.clone()));
            prop_assert_eq!(id.to_string().parse::<GroupId>(), Ok(id));
        }

        #[test]
        fn order_is_the_order_of_the_bytes(a: [u8; 16], b: [u8; 16], s: u32, t: u32) {
            let (a, b) = (GroupId::new(a, s, "a.test".parse().unwrap()), GroupId::new(b, t, "b.test".parse().unwrap()));
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
        }

        #[test]
        fn garbage_is_refused_without_panic(bytes: Vec<u8>) {
            if let Ok(id) = GroupId::from_bytes(&bytes) {
                prop_assert_eq!(id.to_bytes(), bytes);
            }
        }
    }
}
