//! Cipher suites and the settings of every group, in one place: create, join and rejoin must agree.

use openmls::{
    extensions::{Extension, ExtensionType, Extensions, RequiredCapabilitiesExtension, UnknownExtension},
    group::{
        GroupContext, MlsGroupCreateConfig, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
        PastEpochDeletionPolicy,
    },
    prelude::{
        Capabilities, Ciphersuite, CredentialType, Lifetime, ProtocolVersion, SenderRatchetConfiguration,
    },
};
use qpq_core::{
    GroupId, Millis, Timestamp, limits,
    mls::{self, GroupPolicy, HUB_EXTENSION, HubExtension},
};

use super::MlsError;

/// Above this many members past epochs become too large to keep five of them.
const LARGE_GROUP: usize = 256;
/// Forward distance and tolerance for messages out of order within an epoch.
const OUT_OF_ORDER: u32 = 5;
const FORWARD_DISTANCE: u32 = 20_000;

/// The cipher suite of a group or KeyPackage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Suite {
    /// X-Wing (ML-KEM-768 and X25519), the default.
    #[default]
    PostQuantum,
    /// X25519 alone: smaller and faster, no protection against a later quantum computer.
    Classical,
}

impl Suite {
    /// The number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::PostQuantum => mls::SUITE_POST_QUANTUM,
            Self::Classical => mls::SUITE_CLASSICAL,
        }
    }

    /// The suite of a number.
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            mls::SUITE_POST_QUANTUM => Some(Self::PostQuantum),
            mls::SUITE_CLASSICAL => Some(Self::Classical),
            _ => None,
        }
    }

    pub(super) const fn cipher(self) -> Ciphersuite {
        match self {
            Self::PostQuantum => Ciphersuite::MLS_256_XWING_CHACHA20POLY1305_SHA256_Ed25519,
            Self::Classical => Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
        }
    }

    pub(super) fn of(cipher: Ciphersuite) -> Option<Self> {
        Self::from_number(u16::from(cipher))
    }
}

/// The settings of every group, whether made, joined or joined again.
pub(super) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        // The hub follows handshakes without secrets; applications are always encrypted.
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(false)
        .set_past_epoch_deletion_policy(past_epochs(0))
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD_DISTANCE))
        .build()
}

/// The settings of a new group: those of every group, and what only its creator decides.
pub(super) fn create_config(
    id: &GroupId,
    suite: Suite,
    now: Timestamp,
) -> Result<MlsGroupCreateConfig, MlsError> {
    let join = join_config();
    Ok(MlsGroupCreateConfig::builder()
        .wire_format_policy(join.wire_format_policy())
        .use_ratchet_tree_extension(false)
        .set_past_epoch_deletion_policy(past_epochs(0))
        .sender_ratchet_configuration(*join.sender_ratchet_configuration())
        .ciphersuite(suite.cipher())
        .capabilities(capabilities())
        .lifetime(lifetime(now))
        .with_group_context_extensions(context_extensions(id)?)
        .build())
}

/// How many past epochs a group of `members` keeps, for messages that a commit overtook.
pub(super) fn past_epochs(members: usize) -> PastEpochDeletionPolicy {
    let epochs = if members > LARGE_GROUP { 2 } else { usize::try_from(limits::PAST_EPOCHS).unwrap_or(5) };
    PastEpochDeletionPolicy::MaxEpochs(epochs)
}

/// What every leaf of ours can do; the hub extension must be among it, or the leaf fits no group.
pub(super) fn capabilities() -> Capabilities {
    Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[Suite::PostQuantum.cipher(), Suite::Classical.cipher()]),
        Some(&[ExtensionType::LastResort, ExtensionType::Unknown(HUB_EXTENSION)]),
        None,
        Some(&[CredentialType::Basic]),
    )
}

/// The lifetime of a leaf made now: an hour back for slow clocks, and an hour short of the most that is accepted.
pub(super) fn lifetime(now: Timestamp) -> Lifetime {
    let hour = Millis::from_secs(3_600);
    let end = now.after(limits::KEY_PACKAGE_LIFETIME).before(hour).before(hour);
    Lifetime::init(now.before(hour).as_millis() / 1_000, end.as_millis() / 1_000)
}

/// The group-context extensions of a new group.
fn context_extensions(id: &GroupId) -> Result<Extensions<GroupContext>, MlsError> {
    let hub = HubExtension { hub: id.hub().clone(), term: id.term(), policy: GroupPolicy::MembersAdd };
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(
            &[ExtensionType::Unknown(HUB_EXTENSION)],
            &[],
            &[CredentialType::Basic],
        )),
        Extension::Unknown(HUB_EXTENSION, UnknownExtension(hub.to_bytes())),
    ])
    .map_err(MlsError::engine("name the group's hub"))
}

/// Whether a group's context names the hub and term that its id names, by a policy that we know.
pub(super) fn names_its_hub(id: &GroupId, extensions: &Extensions<GroupContext>) -> bool {
    extensions.unknown(HUB_EXTENSION).is_some_and(|extension| {
        HubExtension::from_bytes(&extension.0).is_ok_and(|hub| hub.hub == *id.hub() && hub.term == id.term())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_those_of_the_wire() {
        for suite in [Suite::PostQuantum, Suite::Classical] {
            assert_eq!(u16::from(suite.cipher()), suite.number());
            assert_eq!(Suite::of(suite.cipher()), Some(suite));
        }
    }

    #[test]
    fn a_lifetime_stays_within_84_days() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let lifetime = lifetime(now);
        assert!(lifetime.not_after() - lifetime.not_before() <= limits::KEY_PACKAGE_LIFETIME.0 / 1_000);
        assert!(lifetime.not_before() < now.as_millis() / 1_000);
    }

    #[test]
    fn large_groups_keep_fewer_epochs() {
        assert_eq!(past_epochs(256), PastEpochDeletionPolicy::MaxEpochs(5));
        assert_eq!(past_epochs(257), PastEpochDeletionPolicy::MaxEpochs(2));
    }
}
