//! What every program must agree on about our MLS groups, beside RFC 9420: the hub extension, what a device signs
//! when it submits a commit or enrols, and which numbers we use.

use crate::{Digest, Domain, DomainError, MessageId};

/// `MLS_256_XWING_CHACHA20POLY1305_SHA256_Ed25519`, the default suite (draft-ietf-mls-pq-ciphersuites).
pub const SUITE_POST_QUANTUM: u16 = 0x004d;
/// `MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519` (RFC 9420, section 17.1), by choice.
pub const SUITE_CLASSICAL: u16 = 0x0003;

/// Type of the group-context extension that names the hub (private use, RFC 9420 section 17.3).
pub const HUB_EXTENSION: u16 = 0xf0a1;

/// The version of [`HubExtension`]'s layout.
const HUB_EXTENSION_FORMAT: u8 = 1;

/// The group-context extension every group of ours carries: which domain orders it, in which term, by which policy.
///
/// Layout: `u8 format = 1 ‖ u8 policy ‖ u32 big-endian term ‖ domain`. It repeats hub and term of the group id, so
/// that the members' confirmation covers them; a group whose two disagree is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubExtension {
    /// The domain that orders the group.
    pub hub: Domain,
    /// Its term, from 1.
    pub term: u32,
    /// Who may change the membership.
    pub policy: GroupPolicy,
}

/// Who may change a group's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupPolicy {
    /// Every member may add; a leaf is removed by its own account, or together with an Add of that account.
    MembersAdd,
}

/// Why bytes are not a hub extension.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HubExtensionError {
    /// Too short, or a format or policy of a newer version.
    #[error("the group's hub extension has a layout this version does not know")]
    Layout,
    /// The rest is not a domain.
    #[error("the group's hub extension names no valid domain")]
    Domain(#[source] DomainError),
}

impl HubExtension {
    /// The extension's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let policy = match self.policy {
            GroupPolicy::MembersAdd => 1,
        };
        let mut bytes = vec![HUB_EXTENSION_FORMAT, policy];
        bytes.extend_from_slice(&self.term.to_be_bytes());
        bytes.extend_from_slice(self.hub.as_str().as_bytes());
        bytes
    }

    /// Reads the extension's bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HubExtensionError> {
        let (head, domain) = bytes.split_first_chunk::<6>().ok_or(HubExtensionError::Layout)?;
        let [format, policy, term @ ..] = *head;
        if format != HUB_EXTENSION_FORMAT || policy != 1 {
            return Err(HubExtensionError::Layout);
        }
        let hub = std::str::from_utf8(domain).map_err(|_| HubExtensionError::Layout)?;
        Ok(Self {
            hub: hub.parse().map_err(HubExtensionError::Domain)?,
            term: u32::from_be_bytes(term),
            policy: GroupPolicy::MembersAdd,
        })
    }
}

/// What a device signs when it submits a commit: `"qpq/commit/v1" ‖ id[16] ‖ SHA-256(commit message)`.
pub fn commit_signed_bytes(id: &MessageId, commit: &[u8]) -> Vec<u8> {
    [b"qpq/commit/v1".as_slice(), id.as_bytes(), Digest::of(&[commit]).as_bytes()].concat()
}

/// What a device signs when it enrols: `"qpq/enrol/v1" ‖ challenge[32] ‖ certificate signature[64]`.
pub fn enrol_signed_bytes(challenge: &[u8; 32], certificate_signature: &[u8; 64]) -> Vec<u8> {
    [b"qpq/enrol/v1".as_slice(), challenge, certificate_signature].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn extension_round_trips(term: u32) {
            let extension =
                HubExtension { hub: "alpha.test".parse().unwrap(), term, policy: GroupPolicy::MembersAdd };
            prop_assert_eq!(HubExtension::from_bytes(&extension.to_bytes()), Ok(extension));
        }

        #[test]
        fn garbage_is_refused_without_panic(bytes: Vec<u8>) {
            drop(HubExtension::from_bytes(&bytes));
        }
    }
}
